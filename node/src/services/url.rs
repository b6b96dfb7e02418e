//! The URL of an application as definitions see it: without the session that Java servers put into the path.

use std::borrow::Cow;

/// Cuts `;jsession...` out of the path, each to the end of its segment: what follows it is still part
/// of where the URL leads. What looks like it in the authority stays: it would hide the host.
pub fn without_session(url: &str) -> Cow<'_, str> {
    const SESSION: &str = ";jsession";
    // Nearly all of them.
    if !url.contains(';') {
        return Cow::Borrowed(url);
    }
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(after_scheme..).unwrap_or_default();
    let begin = after_scheme + authority_end(rest);
    let (before, after) = url.split_at(begin);
    let (path, query) = after.split_at(path_end(after));
    let mut kept = before.to_owned();
    let mut path = path;
    while let Some(at) = path.to_ascii_lowercase().find(SESSION) {
        let (part, session) = path.split_at(at);
        kept.push_str(part);
        path = session.find('/').map_or("", |end| &session[end..]);
    }
    Cow::Owned(kept + path + query)
}

/// Where the path ends in what follows the authority.
pub fn path_end(after: &str) -> usize {
    after.find(['?', '#']).unwrap_or(after.len())
}

/// Where the authority ends in what follows `://`.
pub fn authority_end(rest: &str) -> usize {
    rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())
}
