//! Service URLs: accepted or not, compared, and sent a browser to.

use castor_node::cas::service_url::{ServiceUrl, is_same};
use castor_proto::limits::SERVICE_URL_MAX;

const TICKET: &str = "ST-1-abc";

/// Two URLs, a line each.
pub fn service_url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (one, two) = text.split_once('\n').unwrap_or((text, ""));
    let most = 64 * bytes.len() + 4_096;
    assert!(super::within(most, || is_same(one, one)), "{one:?}");
    assert_eq!(is_same(one, two), is_same(two, one));
    let Ok(url) = super::within(most, || ServiceUrl::parse(one)) else {
        return;
    };
    assert_eq!(url.as_str(), one);
    let plain = url.redirect();
    assert!(plain.len() <= SERVICE_URL_MAX);
    let host = |url: &str| {
        let rest = url.split_once("://").expect("a scheme").1.to_owned();
        rest.split(['/', '?', '#', ';']).next().map(str::to_owned)
    };
    assert_eq!(
        host(&url.matchable()),
        host(one),
        "what is matched has the host that is visited"
    );
    let matched = url.matchable();
    let (path, _) = matched.split_at(matched.find(['?', '#']).unwrap_or(matched.len()));
    let http = ["http://", "https://"].map(|scheme| path.get(..scheme.len()) == Some(scheme));
    let after = path.splitn(4, '/').nth(3).unwrap_or_default();
    let mut read = after.to_ascii_lowercase().replace('\\', "/");
    for (spelt, is) in [("%2f", "/"), ("%5c", "/"), ("%3b", ";"), ("%2e", ".")] {
        read = read.replace(spelt, is);
    }
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    assert!(
        !http.contains(&true) || !read.split('/').any(is_dots),
        "a browser or a server would resolve what is matched: {matched:?}"
    );
    let target = url.redirect_with_ticket(None, TICKET);
    for sent in [&plain, &target] {
        assert!(
            http::HeaderValue::try_from(sent.as_str()).is_ok(),
            "{sent:?}"
        );
    }
    let (before, after) = target.split_once('#').unwrap_or((&target, ""));
    assert!(before.ends_with(&format!("ticket={TICKET}")), "{target}");
    assert!(plain.ends_with(after), "{target}");
}
