//! Did a login form come from our own page?
//!
//! Against login CSRF: a page of another site must not be able to sign a browser in as somebody
//! else. Browsers say where a form comes from, in `Sec-Fetch-Site`, else in `Origin`, else in
//! `Referer`; the first that is there decides. Scripts that send none of them are let through:
//! they are no browser, and a cross-site form in a browser always carries one. A token in a second
//! cookie would add nothing to that and would break clients that keep no cookies before sign-in.

use http::{HeaderMap, header};

use super::client_ip;

/// What the request says about its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From our own page, or typed in, or not from a browser.
    Own,
    /// From another site.
    Foreign,
}

/// Judges a form by its headers. `public_host` is the host people see, when it is configured.
pub fn of_form(headers: &HeaderMap, public_host: Option<&str>) -> Origin {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return match site {
            "same-origin" | "none" => Origin::Own,
            _ => Origin::Foreign,
        };
    }
    let claimed = text(header::ORIGIN.as_str()).or_else(|| text(header::REFERER.as_str()));
    let Some(claimed) = claimed else {
        return Origin::Own;
    };
    let requested = client_ip::host(headers);
    let ours = [public_host, requested.as_deref()];
    let same = host_of(claimed).is_some_and(|host| ours.contains(&Some(host.as_str())));
    if same { Origin::Own } else { Origin::Foreign }
}

/// Host and port of a URL, lower case, without the port when it is the scheme's own.
fn host_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    let own_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let host = host.strip_suffix(own_port).unwrap_or(&host);
    (!host.is_empty()).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(pairs: &[(&'static str, &str)]) -> Origin {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        of_form(&headers, Some("sso.example.edu"))
    }

    #[test]
    fn where_forms_come_from() {
        let host = ("host", "127.0.0.1:8443");
        for (headers, expected) in [
            (vec![host], Origin::Own),
            (vec![host, ("sec-fetch-site", "same-origin")], Origin::Own),
            (vec![host, ("sec-fetch-site", "none")], Origin::Own),
            (vec![host, ("sec-fetch-site", "same-site")], Origin::Foreign),
            (
                vec![host, ("sec-fetch-site", "cross-site")],
                Origin::Foreign,
            ),
            (
                vec![host, ("origin", "https://127.0.0.1:8443")],
                Origin::Own,
            ),
            (
                vec![host, ("origin", "https://SSO.example.edu:443")],
                Origin::Own,
            ),
            (
                vec![host, ("origin", "https://evil.example")],
                Origin::Foreign,
            ),
            (
                vec![host, ("origin", "https://sso.example.edu.evil")],
                Origin::Foreign,
            ),
            (vec![host, ("origin", "null")], Origin::Foreign),
            (
                vec![host, ("referer", "https://sso.example.edu/cas/login?x")],
                Origin::Own,
            ),
            (
                vec![host, ("referer", "https://evil.example/")],
                Origin::Foreign,
            ),
            (
                vec![
                    host,
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://sso.example.edu"),
                ],
                Origin::Foreign,
            ),
        ] {
            assert_eq!(judge(&headers), expected, "{headers:?}");
        }
    }
}
