//! A cookie jar for one server.
//!
//! Promises: names, paths, removal (`Max-Age=0`, an `Expires` in the past) and `Secure` as a
//! browser does them; at most [`COOKIES_MAX`] cookies.
//! Does not: keep cookies of several hosts apart; a simulated person has one jar per CAS server.

use http::{HeaderMap, HeaderValue, header};

/// Most cookies kept; more are ignored.
const COOKIES_MAX: usize = 32;

/// Cookies of one simulated person. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

#[derive(Clone)]
struct Cookie {
    name: String,
    value: String,
    path: String,
    secure: bool,
}

impl std::fmt::Debug for Jar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.cookies.iter().map(|cookie| &cookie.name))
            .finish()
    }
}

impl Jar {
    /// Takes over the `Set-Cookie` headers of an answer to a request for `path`.
    pub fn store(&mut self, headers: &HeaderMap, path: &str) {
        for header in headers.get_all(header::SET_COOKIE) {
            if let Some((cookie, removed)) = header.to_str().ok().and_then(|h| parse(h, path)) {
                self.cookies
                    .retain(|old| old.name != cookie.name || old.path != cookie.path);
                if !removed && self.cookies.len() < COOKIES_MAX {
                    self.cookies.push(cookie);
                }
            }
        }
    }

    /// The `Cookie` header for a request, when any cookie belongs there. `trusted` is true for
    /// HTTPS and, as browsers hold it, for loopback.
    pub fn header(&self, path: &str, trusted: bool) -> Option<HeaderValue> {
        let sent: Vec<String> = self
            .cookies
            .iter()
            .filter(|cookie| path_matches(path, &cookie.path) && (trusted || !cookie.secure))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if sent.is_empty() {
            None
        } else {
            HeaderValue::from_str(&sent.join("; ")).ok()
        }
    }

    /// Whether a cookie of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.cookies.iter().any(|cookie| cookie.name == name)
    }
}

fn parse(header: &str, request_path: &str) -> Option<(Cookie, bool)> {
    let mut parts = header.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let directory = request_path
        .rfind('/')
        .map_or("/", |at| &request_path[..at]);
    let mut cookie = Cookie {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        path: if directory.is_empty() {
            "/".to_owned()
        } else {
            directory.to_owned()
        },
        secure: false,
    };
    let mut removed = false;
    let mut aged = false;
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            "max-age" => {
                aged = true;
                removed = value
                    .trim()
                    .parse::<i64>()
                    .is_ok_and(|seconds| seconds <= 0);
            }
            // Servers write the epoch to remove a cookie; other dates are left to Max-Age.
            "expires" if !aged => removed = value.contains("1970"),
            _ => {}
        }
    }
    if cookie.name.is_empty() {
        None
    } else {
        Some((cookie, removed))
    }
}

/// RFC 6265, 5.1.4.
fn path_matches(request: &str, cookie: &str) -> bool {
    request == cookie
        || (request.starts_with(cookie)
            && (cookie.ends_with('/') || request[cookie.len()..].starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(lines: &[&str]) -> Jar {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::SET_COOKIE, HeaderValue::from_str(line).unwrap());
        }
        let mut jar = Jar::default();
        jar.store(&headers, "/cas/login");
        jar
    }

    #[test]
    fn sends_where_the_path_fits_and_secure_only_where_trusted() {
        let jar = jar(&["TGC=abc=d; Path=/cas; Secure; HttpOnly", "plain=1"]);
        assert_eq!(
            jar.header("/cas/login", true).unwrap(),
            "TGC=abc=d; plain=1"
        );
        assert_eq!(jar.header("/cas/login", false).unwrap(), "plain=1");
        assert!(jar.header("/castor", true).is_none());
    }

    #[test]
    fn replaces_and_removes() {
        let mut jar = jar(&["TGC=a; Path=/cas", "TGC=b; Path=/cas"]);
        assert_eq!(jar.header("/cas", true).unwrap(), "TGC=b");
        let mut headers = HeaderMap::new();
        headers.append(
            header::SET_COOKIE,
            HeaderValue::from_static("TGC=; Path=/cas; Max-Age=0"),
        );
        jar.store(&headers, "/cas/logout");
        assert!(!jar.has("TGC"));
    }
}
