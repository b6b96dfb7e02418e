//! The URL of a call, taken apart once, so that what is checked is what is called.

use http::Uri;

use super::CallError;

/// Longest URL that is called, with what the caller added.
const URL_MAX: usize = 8192;

/// Where a call goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) tls: bool,
    /// In small letters, without brackets and without a last dot.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query.
    pub(super) path: String,
}

/// The path is left out: it may hold a ticket.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({}:{})", self.host, self.port)
    }
}

impl Target {
    /// Takes a URL apart; the fragment is dropped, which is never sent.
    ///
    /// # Errors
    /// [`CallError::Url`].
    pub fn parse(url: &str) -> Result<Self, CallError> {
        if url.len() > URL_MAX {
            return Err(CallError::Url("it is too long"));
        }
        let url = url.split('#').next().unwrap_or(url);
        let uri: Uri = ascii(url)
            .parse()
            .map_err(|_| CallError::Url("it is malformed"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(CallError::Url("it is not http or https")),
        };
        let authority = uri.authority().ok_or(CallError::Url("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(CallError::Url("it has a user name"));
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let named = !host.is_empty()
            && host.len() <= 253
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'));
        if !named {
            return Err(CallError::Url("its host is not a name or an address"));
        }
        // A port that is written but is no port must not become the usual one.
        let port = match authority.as_str().rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => {
                port.parse()
                    .ok()
                    .filter(|port| *port > 0)
                    .ok_or(CallError::Url("its port is not one"))?
            }
            _ if tls => 443,
            _ => 80,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            tls,
            host,
            port,
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        })
    }

    /// Whether it is https.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host, in small letters.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host and port as in a `CONNECT` line.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    /// What the header `Host` says: the port only when it is not the scheme's own.
    pub(super) fn host_header(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.bracketed(),
            _ => self.authority(),
        }
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

/// Percent-encodes what cannot stand in a request line.
fn ascii(url: &str) -> String {
    const ENCODE: percent_encoding::AsciiSet = percent_encoding::CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    percent_encoding::utf8_percent_encode(url, &ENCODE).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (bool, String, u16, String) {
        let target = Target::parse(url).unwrap();
        (target.tls, target.host, target.port, target.path)
    }

    #[test]
    fn urls_are_taken_apart() {
        let is = |tls, host: &str, port, path: &str| (tls, host.to_owned(), port, path.to_owned());
        for (url, expected) in [
            (
                "https://App.example.edu",
                is(true, "app.example.edu", 443, "/"),
            ),
            (
                "http://a.edu:8080/x?y=1#z",
                is(false, "a.edu", 8080, "/x?y=1"),
            ),
            ("https://[2001:db8::1]/", is(true, "2001:db8::1", 443, "/")),
            ("https://[::1]:8443/", is(true, "::1", 8443, "/")),
            ("https://a.edu.?q=a b", is(true, "a.edu", 443, "/?q=a%20b")),
            (
                "https://a.edu/é;jsessionid=1",
                is(true, "a.edu", 443, "/%C3%A9;jsessionid=1"),
            ),
        ] {
            assert_eq!(parts(url), expected, "{url}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            "",
            "/x",
            "ftp://a.edu/",
            "https://",
            "https:///x",
            "https://u@a.edu/",
            "https://u:p@a.edu/",
            "https://a.edu:0/",
            "https://a.edu:99999/",
            "https://a.edu:x/",
            "https://a.edu:/",
            "https://a%2eedu/",
            "https://é.edu/",
            "https://a.edu\r\nX: y/",
            "https://a b/",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad:?}");
        }
        let long = format!("https://a.edu/{}", "x".repeat(URL_MAX));
        assert!(Target::parse(&long).is_err());
        let shown = format!("{:?}", Target::parse("https://a.edu/?pgtId=PGT-1").unwrap());
        assert!(!shown.contains("PGT"), "{shown}");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_called_a_url_is_one_or_is_refused(url in "(https?://)?\\PC{0,60}") {
            if let Ok(target) = Target::parse(&url) {
                assert!(target.port > 0 && target.path.starts_with('/'));
                assert!(!target.host.contains(['/', '@', '?', '#', '\\', ' ']));
                assert!(!target.path.contains([' ', '\r', '\n']));
            }
        }
    }

    #[test]
    fn the_host_header_has_the_port_that_is_not_usual() {
        let host = |url| Target::parse(url).unwrap().host_header();
        assert_eq!(host("https://a.edu/"), "a.edu");
        assert_eq!(host("https://a.edu:80/"), "a.edu:80");
        assert_eq!(host("http://[::1]:8080/"), "[::1]:8080");
    }
}
