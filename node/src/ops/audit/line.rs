//! One event as a line of JSON with Apereo's keys, and the masking of ticket ids.

use super::{Event, Place};

/// Characters of who and what that are kept; both can be what a stranger typed.
const WHO_CHARS_MAX: usize = 256;
const WHAT_CHARS_MAX: usize = 2048;

/// Who is unknown, in Apereo's words.
const UNKNOWN: &str = "audit:unknown";

/// The event as one line, without the line's end.
pub(super) fn json(event: &Event, place: &Place, when: jiff::Timestamp) -> String {
    let address = |ip: Option<std::net::IpAddr>| match ip {
        Some(ip) => ip.to_string(),
        None => "local".to_owned(),
    };
    let mut line = serde_json::json!({
        "who": masked(&cut(event.who.as_deref().unwrap_or(UNKNOWN), WHO_CHARS_MAX)),
        "what": masked(&cut(&event.what, WHAT_CHARS_MAX)),
        "action": event.action.name(),
        "application": "CAS",
        "when": format!("{when:.3}"),
        "clientIpAddress": address(event.client),
        "serverIpAddress": address(place.server),
        "node": place.node,
    });
    if let (Some(id), Some(members)) = (&event.request, line.as_object_mut()) {
        members.insert("requestId".to_owned(), masked(id).into());
    }
    line.to_string()
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

const PREFIXES: [&str; 6] = ["PGTIOU-", "PGT-", "TGT-", "TST-", "ST-", "PT-"];

/// `text` with every ticket id in it masked: `TGT-3-*****abc`.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        let word_begins =
            !before.is_some_and(|c: char| c.is_ascii_alphanumeric()) || ends_in_escape(&out);
        if let Some((id, after)) = word_begins.then(|| ticket(rest)).flatten() {
            out.push_str(&id);
            rest = after;
            before = Some('*');
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            before = Some(first);
        }
    }
    out
}

/// Whether a percent-encoded byte, also one that was encoded again, ends the text: a word begins
/// behind it.
fn ends_in_escape(text: &str) -> bool {
    let Some((mut before, digits)) = text.as_bytes().split_last_chunk::<2>() else {
        return false;
    };
    while let Some(shorter) = before.strip_suffix(b"25") {
        before = shorter;
    }
    before.ends_with(b"%") && digits.iter().all(u8::is_ascii_hexdigit)
}

/// A ticket id at the beginning of `text`: its masked form and what follows.
fn ticket(text: &str) -> Option<(String, &str)> {
    let prefix = PREFIXES.iter().find(|prefix| text.starts_with(**prefix))?;
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .unwrap_or(text.len());
    let (id, after) = text.split_at_checked(end)?;
    let (sequence, secret) = id.get(prefix.len()..)?.split_once('-')?;
    if sequence.is_empty() || !sequence.bytes().all(|b| b.is_ascii_digit()) || secret.is_empty() {
        return None;
    }
    let tail = match secret.len() {
        // Too little would be left unknown.
        0..=8 => "",
        length => secret.get(length - 3..).unwrap_or_default(),
    };
    Some((format!("{prefix}{sequence}-*****{tail}"), after))
}
