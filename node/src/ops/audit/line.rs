//! One event as a line of JSON with Apereo's keys, and the masking of ticket ids.

use std::borrow::Cow;
use std::net::IpAddr;

use super::{Event, Place};

/// Characters of who and what that are kept; both can be what a stranger typed.
const WHO_CHARS_MAX: usize = 256;
const WHAT_CHARS_MAX: usize = 2048;

/// Who is unknown, in Apereo's words.
const UNKNOWN: &str = "audit:unknown";

/// The event as one line, without the line's end.
pub(super) fn json(event: &Event, place: &Place, when: jiff::Timestamp) -> String {
    let address = |ip: Option<IpAddr>| {
        ip.map_or_else(|| Cow::Borrowed("local"), |ip| Cow::Owned(ip.to_string()))
    };
    let who = cut(event.who.as_deref().unwrap_or(UNKNOWN), WHO_CHARS_MAX);
    let what = cut(&event.what, WHAT_CHARS_MAX);
    let mut line = Line(Vec::with_capacity(384 + what.len()));
    line.member("{\"who\":", &masked(&who));
    line.member(",\"what\":", &masked(&what));
    line.member(",\"action\":", event.action.name());
    line.member(",\"application\":", "CAS");
    line.member(",\"when\":", &format!("{when:.3}"));
    line.member(",\"clientIpAddress\":", &address(event.client));
    line.member(",\"serverIpAddress\":", &address(place.server));
    line.member(",\"node\":", &place.node);
    if let Some(id) = &event.request {
        line.member(",\"requestId\":", &masked(id));
    }
    line.0.push(b'}');
    // Made of text only.
    String::from_utf8(line.0).unwrap_or_default()
}

/// Written member by member: a map for each event would cost more than everything else in it.
struct Line(Vec<u8>);

impl Line {
    fn member(&mut self, key: &str, value: &str) {
        self.0.extend_from_slice(key.as_bytes());
        // Text into memory cannot fail.
        let _ = serde_json::to_writer(&mut self.0, value);
    }
}

fn cut(text: &str, chars_max: usize) -> Cow<'_, str> {
    // Most are far shorter in bytes already.
    if text.len() <= chars_max {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

const PREFIXES: [&str; 6] = ["PGTIOU-", "PGT-", "TGT-", "TST-", "ST-", "PT-"];

/// `text` with every ticket id in it masked: `TGT-3-*****abc`.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    // What is before `kept` is in `out`.
    let (mut kept, mut at) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        // Every prefix begins with one of these.
        let may_begin = matches!(byte, b'P' | b'T' | b'S')
            && (at == kept || begins_word(text.get(..at).unwrap_or_default()));
        let found = may_begin.then(|| ticket(text.get(at..)?)).flatten();
        if let Some((id, after)) = found {
            out.push_str(text.get(kept..at).unwrap_or_default());
            out.push_str(&id);
            kept = text.len() - after.len();
            at = kept;
        } else {
            at += 1;
        }
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    out
}

/// Whether a word begins behind this text.
fn begins_word(before: &str) -> bool {
    let letter = before.bytes().next_back();
    !letter.is_some_and(|byte| byte.is_ascii_alphanumeric()) || ends_in_escape(before)
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
