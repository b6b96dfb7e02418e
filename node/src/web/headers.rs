//! Security headers of what a browser gets.
//!
//! Nothing is allowed that a page does not need. `form-action` is the one delicate directive:
//! Chromium applies it to every redirect that follows a posted form, so a login page that leads to
//! an application must allow the application, and wherever that sends the browser next. Hosts
//! cannot be listed, because nobody knows the application's own redirects; schemes can. Without an
//! application the form may only come back to us.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What a page needs beyond the strict minimum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// The service URL the form leads to in the end.
    pub leads_to: Option<String>,
    /// URL of a picture on another host.
    pub picture: Option<String>,
    /// URLs on other hosts that the page fetches as pictures, to tell applications of a logout.
    pub fetched: Vec<String>,
    /// Whether the page brings a script of ours.
    pub script: bool,
}

/// Most origins that are named; more would make the header longer than proxies take.
const ORIGINS_MAX: usize = 24;

const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Puts the headers of an HTML page on a response.
pub fn of_page(headers: &mut HeaderMap, needs: &Needs, https: bool) {
    if let Ok(policy) = HeaderValue::try_from(policy(needs)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html;charset=UTF-8"),
    );
    for (name, value) in [
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    of_any(headers, https);
}

/// Puts the headers on a response that every answer with something private has: pages, redirects
/// with a ticket, validation answers.
pub fn of_any(headers: &mut HeaderMap, https: bool) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
        (header::EXPIRES, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with it browsers send `Origin: null` with our own form.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
}

/// Puts the headers of an asset on a response.
pub fn of_asset(headers: &mut HeaderMap, https: bool) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // A picture opened by itself must not be able to do anything.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    );
    if https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
}

fn policy(needs: &Needs) -> String {
    let mut policy = String::from(
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'self'; \
         font-src 'self'; img-src 'self'",
    );
    let picture = needs.picture.iter().filter_map(|url| origin(url));
    let fetched = needs.fetched.iter().filter_map(|url| source(url));
    let origins: BTreeSet<String> = picture.chain(fetched).collect();
    if origins.len() > ORIGINS_MAX {
        policy.push_str(" https: http:");
    } else {
        for origin in origins {
            policy.push(' ');
            policy.push_str(&origin);
        }
    }
    if needs.script {
        policy.push_str("; script-src 'self'");
    }
    policy.push_str("; form-action 'self'");
    if let Some(url) = &needs.leads_to {
        policy.push_str(" https:");
        match scheme(url).as_deref() {
            None | Some("https") => {}
            Some(scheme) => {
                policy.push(' ');
                policy.push_str(scheme);
                policy.push(':');
            }
        }
    }
    policy
}

/// The scheme of a URL, if it can stand in a policy.
fn scheme(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once(':')?;
    let mut chars = scheme.chars();
    let valid = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    valid.then(|| scheme.to_ascii_lowercase())
}

/// Whether a page can have a browser fetch a URL as a picture.
pub fn is_fetchable(url: &str) -> bool {
    source(url).is_some()
}

/// What allows a browser to fetch an http(s) URL: its origin, or its scheme where the origin cannot
/// stand in a policy, such as an address in brackets or a name beyond ASCII.
fn source(url: &str) -> Option<String> {
    let scheme = scheme(url).filter(|s| s == "https" || s == "http")?;
    let rest = url.get(scheme.len()..)?.strip_prefix("://")?;
    let has_host = !rest.is_empty() && !rest.starts_with(['/', '?', '#']);
    has_host.then(|| origin(url).unwrap_or_else(|| format!("{scheme}:")))
}

/// Scheme, host and port of an http(s) URL, if they can stand in a policy.
fn origin(url: &str) -> Option<String> {
    let scheme = scheme(url).filter(|s| s == "https" || s == "http")?;
    let rest = url.get(scheme.len()..)?.strip_prefix("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    let valid = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'));
    valid.then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy_of(leads_to: Option<&str>, picture: Option<&str>) -> String {
        policy(&Needs {
            leads_to: leads_to.map(Into::into),
            picture: picture.map(Into::into),
            ..Needs::default()
        })
    }

    #[test]
    fn forms_may_lead_where_the_service_is_and_nowhere_else() {
        assert!(policy_of(None, None).ends_with("form-action 'self'"));
        let https = policy_of(Some("https://a.edu/x"), None);
        assert!(https.ends_with("form-action 'self' https:"), "{https}");
        let http = policy_of(Some("HTTP://127.0.0.1:9000/"), None);
        assert!(http.ends_with("form-action 'self' https: http:"), "{http}");
        let app = policy_of(Some("edu.campus.app://cas"), None);
        assert!(app.ends_with("https: edu.campus.app:"), "{app}");
    }

    #[test]
    fn nothing_can_be_injected_into_the_policy() {
        for bad in ["x; script-src *://a", "a b://c", "\u{e9}://x", "://"] {
            let with = policy_of(Some(bad), Some(bad));
            assert!(!with.contains('*') && !with.contains("a b"), "{with}");
        }
        let picture = policy_of(None, Some("https://img.edu:8443/a.png; x"));
        assert!(
            picture.contains("img-src 'self' https://img.edu:8443;"),
            "{picture}"
        );
        let bad = policy_of(None, Some("https://img.edu;script-src/"));
        assert!(bad.contains("img-src 'self';"), "{bad}");
    }

    #[test]
    fn what_a_page_fetches_is_named_by_origin_and_many_by_scheme() {
        let fetching = |count: usize| {
            let urls = (0..count).map(|n| format!("https://app{}.edu/out?x={n}", n % 30));
            policy(&Needs {
                fetched: urls.chain(["x; y".to_owned()]).collect(),
                ..Needs::default()
            })
        };
        let two = fetching(2);
        assert!(
            two.contains("img-src 'self' https://app0.edu https://app1.edu; form-action"),
            "{two}"
        );
        for (url, source) in [
            ("https://my_app.edu:8443/out", "https://my_app.edu:8443"),
            ("https://[::1]:8443/out", "https:"),
            ("http://b\u{fc}cher.example/out", "http:"),
            ("https://a.edu;script-src */", "https:"),
        ] {
            assert!(is_fetchable(url), "{url}");
            let policy = policy(&Needs {
                fetched: vec![url.to_owned()],
                ..Needs::default()
            });
            let expected = format!("img-src 'self' {source}; form-action");
            assert!(policy.contains(&expected), "{url}: {policy}");
        }
        for url in ["app://phone/out", "https:///out", "x"] {
            assert!(!is_fetchable(url), "{url}");
        }
        let many = fetching(200);
        assert!(
            many.contains("img-src 'self' https: http:;") && many.len() < 300,
            "{many}"
        );
    }

    #[test]
    fn pages_are_strict_and_never_kept() {
        let mut headers = HeaderMap::new();
        of_page(&mut headers, &Needs::default(), true);
        let get = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert!(get("content-security-policy").starts_with("default-src 'none'"));
        assert!(get("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(get("cache-control"), "no-store");
        assert_eq!(get("x-content-type-options"), "nosniff");
        assert!(headers.contains_key("strict-transport-security"));
        let mut plain = HeaderMap::new();
        of_page(&mut plain, &Needs::default(), false);
        assert!(!plain.contains_key("strict-transport-security"));
    }
}
