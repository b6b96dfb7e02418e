//! Did a login form come from our own page?
//!
//! Against login CSRF: a page of another site must not be able to sign a browser in as somebody
//! else. Browsers say where a form comes from, in `Sec-Fetch-Site`, else in `Origin`, else in
//! `Referer`; the first that is there decides. Scripts that send none of them are let through:
//! they are no browser, and a cross-site form in a browser always carries one. A token in a second
//! cookie would add nothing to that and would break clients that keep no cookies before sign-in.
//!
//! Where people come over https, a page of the same host over http is another site: whoever is on the way can write
//! it.

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

/// Judges a form by its headers. `public_host` is the host that people see over https, when it is configured; `https`
/// says whether this request came over https, as far as is known. Not every proxy tells: what came to another
/// host than the public one, perhaps straight to this node, may have come over http.
pub fn of_form(headers: &HeaderMap, public_host: Option<&str>, https: bool) -> Origin {
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
    let same = place_of(claimed).is_some_and(|(scheme, host)| {
        let host = Some(host.as_str());
        ours.contains(&host) && (scheme == "https" || !(https || host == public_host))
    });
    if same { Origin::Own } else { Origin::Foreign }
}

/// Scheme of a URL, and its host and port, lower case, without the port when it is the scheme's own.
fn place_of(url: &str) -> Option<(&str, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    let own_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let host = host.strip_suffix(own_port).unwrap_or(&host);
    (!host.is_empty()).then(|| (scheme, host.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(https: bool, pairs: &[(&'static str, &str)]) -> Origin {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        of_form(&headers, Some("sso.example.edu"), https)
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
            for https in [true, false] {
                assert_eq!(judge(https, &headers), expected, "{headers:?}");
            }
        }
    }

    #[test]
    fn the_same_host_over_http_is_another_site() {
        let (node, public) = (("host", "127.0.0.1:8501"), ("host", "sso.example.edu"));
        let straight = "http://127.0.0.1:8501";
        for (https, headers, expected) in [
            (
                false,
                [public, ("origin", "http://sso.example.edu")],
                Origin::Foreign,
            ),
            (
                true,
                [public, ("origin", "http://sso.example.edu")],
                Origin::Foreign,
            ),
            (
                false,
                [public, ("referer", "http://sso.example.edu:80/x")],
                Origin::Foreign,
            ),
            (
                false,
                [node, ("origin", "http://sso.example.edu")],
                Origin::Foreign,
            ),
            (true, [node, ("origin", straight)], Origin::Foreign),
            (false, [node, ("origin", straight)], Origin::Own),
            (
                false,
                [node, ("origin", "https://127.0.0.1:8501")],
                Origin::Own,
            ),
            (
                false,
                [public, ("origin", "https://sso.example.edu")],
                Origin::Own,
            ),
            (
                true,
                [public, ("sec-fetch-site", "same-origin")],
                Origin::Own,
            ),
        ] {
            assert_eq!(judge(https, &headers), expected, "{https} {headers:?}");
        }
    }
}
