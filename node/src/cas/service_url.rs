//! Service URLs: what is accepted, how a ticket is added, when two are the same.
//!
//! Compared as the field does: without `;jsessionid` and
//! fragment, percent-decoded, whatever the case; nothing else is normalised. Redirects go to the URL
//! as it was received, the ticket before the fragment.
//!
//! Definitions are matched with the URL as it was received, and browsers and servers read it in their
//! own way. So that nobody gets round a strict definition, or gets a ticket sent elsewhere, what the
//! two read differently is refused, or looked up in [both spellings](ServiceUrl::plain).

use std::borrow::Cow;

use castor_proto::limits::SERVICE_URL_MAX;

use super::dots::has_dots;
use crate::services::url::{authority_end, path_end, without_session};
use crate::web::form;

/// A service URL that can be redirected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl(String);

/// Why a service URL is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServiceUrlError {
    /// Longer than any browser's, as received or as it stands in a header.
    #[error("the URL is longer than {SERVICE_URL_MAX} bytes")]
    TooLong,
    /// Control characters: an attempt to inject a header.
    #[error("the URL has control characters")]
    Control,
    /// Not a URL, or one that runs in the browser.
    #[error("it is not a URL that can be redirected to")]
    Scheme,
    /// Where it leads could be read in two ways: by us as one host, by a browser as another.
    #[error("the URL has characters in its host, or a backslash, that browsers misread")]
    Authority,
    /// Browsers or servers go somewhere else than what definitions are matched with.
    #[error(
        "the URL has `.` or `..` in its path, which browsers or servers resolve; send it resolved"
    )]
    Dots,
}

/// Schemes that run something in the browser instead of leading anywhere.
const REFUSED_SCHEMES: [&str; 7] = [
    "javascript",
    "data",
    "vbscript",
    "file",
    "blob",
    "about",
    "view-source",
];

impl ServiceUrl {
    /// Takes a URL as received.
    ///
    /// # Errors
    /// [`ServiceUrlError`].
    pub fn parse(text: &str) -> Result<Self, ServiceUrlError> {
        if text.len() > SERVICE_URL_MAX {
            return Err(ServiceUrlError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(ServiceUrlError::Control);
        }
        let (scheme, rest) = text.split_once("://").ok_or(ServiceUrlError::Scheme)?;
        let mut chars = scheme.chars();
        let is_scheme = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
            && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let runs = REFUSED_SCHEMES
            .iter()
            .any(|s| scheme.eq_ignore_ascii_case(s));
        if !is_scheme || runs || rest.is_empty() {
            return Err(ServiceUrlError::Scheme);
        }
        check_authority(scheme, rest)?;
        // Checked as it will stand in `Location`, where a character can take nine bytes: the
        // buffers of proxies are sized for this bound.
        if to_ascii(text).len() > SERVICE_URL_MAX {
            return Err(ServiceUrlError::TooLong);
        }
        Ok(Self(text.to_owned()))
    }

    /// The URL as received.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL as definitions see it.
    pub fn matchable(&self) -> Cow<'_, str> {
        without_session(&self.0)
    }

    /// The URL as most servers read it, when that is another text: host in small letters, no default
    /// port, path decoded, slashes for backslashes, no empty segments. Definitions must not tell the two apart.
    pub fn plain(&self) -> Option<String> {
        let matchable = self.matchable();
        let (scheme, rest) = matchable.split_once("://")?;
        let (authority, after) = rest.split_at(authority_end(rest));
        let (path, query) = after.split_at(path_end(after));
        let small = |text: &str| !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let port = default_port(scheme).unwrap_or("\0");
        if small(scheme)
            && small(authority)
            && !authority.ends_with(port)
            && !path.contains('%')
            && !path.contains("//")
        {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let mut host = authority.to_ascii_lowercase();
        if let Some(port) = default_port(&scheme)
            && let Some(bare) = host.strip_suffix(port)
        {
            host.truncate(bare.len());
        }
        let mut path = decode(path, Plus::Stays).unwrap_or_else(|| path.to_owned());
        path = path.replace('\\', "/");
        while path.contains("//") {
            path = path.replace("//", "/");
        }
        let plain = format!("{scheme}://{host}{path}{query}");
        (plain != matchable).then_some(plain)
    }

    /// The URL a browser is sent to, without a ticket.
    pub fn redirect(&self) -> String {
        to_ascii(&self.0).into_owned()
    }

    /// The URL a browser is sent to, with a ticket under its usual name.
    pub fn redirect_with_ticket(&self, instead: Option<&str>, ticket: &str) -> String {
        self.redirect_with(instead, &[("ticket".to_owned(), ticket.to_owned())])
    }

    /// The URL a browser is sent to, with parameters before the fragment. `instead` replaces the
    /// URL, when the definition says so.
    pub fn redirect_with(&self, instead: Option<&str>, parameters: &[(String, String)]) -> String {
        let target = instead.unwrap_or(&self.0);
        let (base, fragment) = match target.split_once('#') {
            Some((base, fragment)) => (base, Some(fragment)),
            None => (target, None),
        };
        let mut joint = if base.contains('?') { '&' } else { '?' };
        let mut url = to_ascii(base).into_owned();
        for (name, value) in parameters {
            url.push(joint);
            url.push_str(name);
            url.push('=');
            url.push_str(&form::encode(value));
            joint = '&';
        }
        if let Some(fragment) = fragment {
            url.push('#');
            url.push_str(&to_ascii(fragment));
        }
        url
    }
}

/// Refuses what makes browsers see another host than the one that definitions are matched with:
/// user names, parameters and backslashes. `rest` is what follows `://`.
fn check_authority(scheme: &str, rest: &str) -> Result<(), ServiceUrlError> {
    let (authority, after) = rest.split_at(authority_end(rest));
    let misread = |c: char| {
        matches!(c, '@' | ';' | '\\' | '"' | '\'' | '`' | '<' | '>')
            || c.is_whitespace()
            || c.is_control()
    };
    let (path, _) = after.split_at(path_end(after));
    // Browsers skip further slashes of these two and take the next word for the host.
    let needs_host = ["http", "https"]
        .iter()
        .any(|s| scheme.eq_ignore_ascii_case(s));
    if authority.contains(misread) || path.contains('\\') || (needs_host && authority.is_empty()) {
        return Err(ServiceUrlError::Authority);
    }
    // Every browser resolves them in these two.
    if needs_host && has_dots(path) {
        return Err(ServiceUrlError::Dots);
    }
    Ok(())
}

/// The port that need not be written, as it would stand behind a host.
fn default_port(scheme: &str) -> Option<&'static str> {
    match scheme {
        "http" => Some(":80"),
        "https" => Some(":443"),
        _ => None,
    }
}

/// Whether the service of a validation is the one that a ticket was issued for.
pub fn is_same(issued: &str, presented: &str) -> bool {
    if issued == presented {
        return true;
    }
    let (issued, presented) = (comparable(issued), comparable(presented));
    let fold = |text: &str| {
        text.chars()
            .flat_map(char::to_lowercase)
            .collect::<String>()
    };
    fold(&issued) == fold(&presented)
}

fn comparable(url: &str) -> String {
    let whole = without_session(url);
    let url = whole.split('#').next().unwrap_or_default();
    decode(url, Plus::IsBlank).unwrap_or_else(|| url.to_owned())
}

/// What a plus sign means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    /// A blank, as in forms: so the field compares service URLs.
    IsBlank,
    /// Itself, as in paths.
    Stays,
}

/// Percent-decoding as the field does it; `None` when it is malformed.
fn decode(url: &str, plus: Plus) -> Option<String> {
    let mut bytes = Vec::with_capacity(url.len());
    let mut rest = url.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match first {
            b'+' if plus == Plus::IsBlank => b' ',
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                rest = tail;
                let digits = std::str::from_utf8(digits).ok()?;
                digits
                    .bytes()
                    .all(|b| b.is_ascii_hexdigit())
                    .then_some(())?;
                u8::from_str_radix(digits, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A URL that can stand in a header: what cannot is percent-encoded, the rest is left alone.
fn to_ascii(url: &str) -> Cow<'_, str> {
    const ENCODE: percent_encoding::AsciiSet = percent_encoding::CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>');
    percent_encoding::utf8_percent_encode(url, &ENCODE).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn same_service_or_not() {
        for (issued, presented, same) in [
            ("https://a.edu/x", "https://a.edu/x", true),
            ("https://a.edu/x", "https://A.EDU/X", true),
            ("https://a.edu/x?u=a%2Fb", "https://a.edu/x?u=a%2fb", true),
            ("https://a.edu/x?u=a%2Fb", "https://a.edu/x?u=a/b", true),
            ("https://a.edu/x?u=a+b", "https://a.edu/x?u=a%20b", true),
            ("https://a.edu/x;jsessionid=1", "https://a.edu/x", true),
            (
                "https://a.edu/x;jsessionid=1?q=1",
                "https://a.edu/x;JSESSIONID=2?q=1",
                true,
            ),
            ("https://a.edu/x#top", "https://a.edu/x", true),
            ("https://a.edu/%C3%A9", "https://a.edu/é", true),
            ("https://a.edu/%zz", "https://a.edu/%ZZ", true),
            ("https://a.edu/x", "https://a.edu/x/", false),
            ("https://a.edu/?a=1&b=2", "https://a.edu/?b=2&a=1", false),
            ("https://a.edu/", "https://a.edu:443/", false),
            ("https://a.edu/", "http://a.edu/", false),
            ("https://a.edu/x", "https://a.edu/../x", false),
            ("https://a.edu/x;jsessionid=1/y", "https://a.edu/x", false),
            ("https://a.edu/x;jsessionid=1/y", "https://a.edu/x/y", true),
            (
                "https://a.edu/x?u=a;jsession&v=1",
                "https://a.edu/x?u=a",
                false,
            ),
            ("https://a.edu/x?a=%23b", "https://a.edu/x?a=%23c", false),
            ("https://a.edu/%", "https://a.edu/", false),
            ("https://a.edu;jsessionid=1", "https://a.edu", false),
            (
                "https://a.edu;jsession@evil.example/",
                "https://a.edu",
                false,
            ),
            (
                "https://a.edu;jsession@evil.example/",
                "https://a.edu/",
                false,
            ),
            ("https://a.edu/x;jsessionid=1?q=1", "https://a.edu/x", false),
        ] {
            assert_eq!(is_same(issued, presented), same, "{issued} / {presented}");
            assert_eq!(is_same(presented, issued), same, "{presented} / {issued}");
        }
    }

    #[test]
    fn tickets_go_before_the_fragment() {
        for (service, expected) in [
            ("https://a.edu", "https://a.edu?ticket=ST-1"),
            ("https://a.edu/x?y=1", "https://a.edu/x?y=1&ticket=ST-1"),
            (
                "https://a.edu/x#/route?z",
                "https://a.edu/x?ticket=ST-1#/route?z",
            ),
            (
                "https://a.edu/x;jsessionid=7?y",
                "https://a.edu/x;jsessionid=7?y&ticket=ST-1",
            ),
            (
                "https://a.edu/é \"<x>",
                "https://a.edu/%C3%A9%20%22%3Cx%3E?ticket=ST-1",
            ),
            ("https://a.edu/%C3%A9", "https://a.edu/%C3%A9?ticket=ST-1"),
        ] {
            let url = ServiceUrl::parse(service).unwrap();
            assert_eq!(url.redirect_with_ticket(None, "ST-1"), expected);
        }
        let url = ServiceUrl::parse("https://a.edu/x").unwrap();
        let instead = url.redirect_with_ticket(Some("https://b.edu/?k"), "ST-1");
        assert_eq!(instead, "https://b.edu/?k&ticket=ST-1");
    }

    #[test]
    fn what_cannot_be_redirected_to_is_refused() {
        let long = format!("https://a.edu/{}", "x".repeat(SERVICE_URL_MAX));
        for (text, error) in [
            ("https://a.edu/\r\nSet-Cookie: x", ServiceUrlError::Control),
            ("https://a.edu/\u{7f}", ServiceUrlError::Control),
            ("https://a.edu/\u{85}", ServiceUrlError::Control),
            ("javascript://x/%0aalert(1)", ServiceUrlError::Scheme),
            ("JavaScript://x", ServiceUrlError::Scheme),
            ("/relative", ServiceUrlError::Scheme),
            ("https:/a", ServiceUrlError::Scheme),
            ("", ServiceUrlError::Scheme),
            ("https://", ServiceUrlError::Scheme),
            (&*long, ServiceUrlError::TooLong),
        ] {
            assert_eq!(ServiceUrl::parse(text), Err(error), "{text}");
        }
        assert!(ServiceUrl::parse("imaps://mail.edu").is_ok());
        assert!(ServiceUrl::parse("edu.campus.app://cas").is_ok());
    }

    #[test]
    fn hosts_that_browsers_read_in_another_way_are_refused() {
        for text in [
            "http://127.0.0.1;jsession@evil.example/",
            "https://a.edu;JSESSIONID=1@evil.example/",
            "https://a.edu@evil.example/",
            "https://a.edu:443@evil.example/",
            "https://a.edu;jsessionid=1/",
            "https://a.edu;x",
            "https://evil.example\\@a.edu/",
            "https://evil.example\\.a.edu/",
            "https://a.edu/x\\y",
            "https:///evil.example/",
            "https://?evil.example",
            "https://a.edu evil/",
            "https://a.edu\u{a0}/",
            "https://a.edu\"/",
            "https://a.edu'/",
            "https://a.edu`/",
            "https://a.edu<x>/",
        ] {
            let error = Err(ServiceUrlError::Authority);
            assert_eq!(ServiceUrl::parse(text), error, "{text}");
        }
        for (text, matchable) in [
            ("https://a.edu:8443/~x@y;z", "https://a.edu:8443/~x@y;z"),
            ("https://a.edu?u=a@b;c\\d", "https://a.edu?u=a@b;c\\d"),
            ("https://a.edu#a\\b@c", "https://a.edu#a\\b@c"),
            ("https://a.edu/;jsessionid=1@x?q", "https://a.edu/?q"),
            ("https://a.edu/;jsessionid=1/x?q", "https://a.edu//x?q"),
            (
                "https://a.edu/?q;jsessionid=1",
                "https://a.edu/?q;jsessionid=1",
            ),
            ("https://[::1]:8443/;JSESSION", "https://[::1]:8443/"),
            ("edu.campus.app:///cas", "edu.campus.app:///cas"),
        ] {
            let url = ServiceUrl::parse(text).unwrap();
            assert_eq!(url.matchable(), matchable);
        }
    }

    #[test]
    fn a_path_that_browsers_resolve_is_refused() {
        for text in [
            "https://a.edu/app1;jsessionid=x/../../~mallory/",
            "https://a.edu/app1;jsessionid=x/%2e%2E/~mallory/",
            "https://a.edu/app1/..",
            "https://a.edu/./app1",
            "HTTP://a.edu/x/.%2e;y/z?q",
            "https://a.edu/..#x",
            "https://a.edu/x%2F..%2Fsecret/",
            "https://a.edu/x%2f%2e%2E/secret/",
            "https://a.edu/.%2Fsecret/",
            "https://a.edu/..%2Fsecret/",
            "https://a.edu/x%5C..%5csecret/",
            "https://a.edu/..%5Csecret/",
            "https://a.edu/..;/secret/",
            "https://a.edu/..%3Bx/secret/",
            "https://a.edu/x/.;y%2Fz",
            "https://a.edu/%zz/..%2fsecret/",
            "https://a.edu/%ff%2F..%2Fsecret/",
        ] {
            let error = Err(ServiceUrlError::Dots);
            assert_eq!(ServiceUrl::parse(text), error, "{text}");
        }
        for text in [
            "https://a.edu/.well-known/x..y/...",
            "https://a.edu/x?next=/../y",
            "https://a.edu/x%2Fy/%5C/..%2",
            "https://a.edu/x;../y?u=%2F..%2F",
            "https://a.edu/x#/../y",
            "edu.campus.app://x/../y",
        ] {
            assert!(ServiceUrl::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn other_spellings_of_a_url_are_known() {
        for (text, plain) in [
            (
                "https://a.edu/%61dmin/?q=%61",
                Some("https://a.edu/admin/?q=%61"),
            ),
            ("https://A.edu/x", Some("https://a.edu/x")),
            ("HTTPS://a.edu:443/x", Some("https://a.edu/x")),
            ("http://a.edu:80", Some("http://a.edu")),
            ("https://a.edu//x///y", Some("https://a.edu/x/y")),
            ("https://a.edu/x;jsession=1//y", Some("https://a.edu/x/y")),
            ("https://a.edu/x%2Fy%5Cz", Some("https://a.edu/x/y/z")),
            ("https://a.edu/x+y?a//b%20", None),
            ("http://a.edu:443/x", None),
            ("https://a.edu/%zz", None),
        ] {
            let url = ServiceUrl::parse(text).unwrap();
            assert_eq!(url.plain().as_deref(), plain, "{text}");
        }
    }

    #[test]
    fn a_redirect_is_bounded_as_it_is_sent() {
        // Three bytes as received, nine in a header.
        let of = |count: usize| format!("https://a.edu/{}", "\u{20ac}".repeat(count));
        let fits = (SERVICE_URL_MAX - "https://a.edu/".len()) / 9;
        assert_eq!(
            ServiceUrl::parse(&of(fits + 1)),
            Err(ServiceUrlError::TooLong)
        );
        let url = ServiceUrl::parse(&of(fits)).unwrap();
        assert!(url.redirect().len() <= SERVICE_URL_MAX);
        let ticket = "x".repeat(castor_proto::ticket::TicketId::MAX);
        let sent = url.redirect_with_ticket(None, &ticket);
        assert!(sent.len() <= SERVICE_URL_MAX + "?ticket=".len() + ticket.len());
    }

    proptest! {
        #[test]
        fn a_redirect_is_a_header_value_and_keeps_its_parts(text in "https://a[/?#][ -~é]{0,60}") {
            let parsed = ServiceUrl::parse(&text);
            let misread = [ServiceUrlError::Authority, ServiceUrlError::Dots];
            prop_assume!(!misread.map(Err).contains(&parsed));
            let url = parsed.unwrap();
            let target = url.redirect_with_ticket(None, "ST-1-abc");
            prop_assert!(http::HeaderValue::try_from(target.as_str()).is_ok());
            prop_assert_eq!(target.matches("ticket=ST-1-abc").count(), 1);
            let before = target.split('#').next().unwrap();
            prop_assert!(before.ends_with("ticket=ST-1-abc"));
        }

        #[test]
        fn comparing_never_panics_and_is_reflexive(a in ".{0,60}", b in ".{0,60}") {
            prop_assert!(is_same(&a, &a));
            prop_assert_eq!(is_same(&a, &b), is_same(&b, &a));
        }
    }
}
