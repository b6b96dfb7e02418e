//! The logout request, byte for byte as clients in the field read it.
//!
//! One line, prefix `samlp`, `SessionIndex` a direct child: phpCAS finds it by a pattern, mod_auth_cas
//! among the children of the root. The encoded body is at most 1023 bytes, which is what mod_auth_cas
//! keeps of it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::web::form;

/// Longest encoded body, the parameter's name included.
pub(super) const BODY_MAX: usize = 1023;

/// Longest user name, encoded as it stands in the body, that is told.
const USER_MAX: usize = 100;

/// What stands for a user who is not told.
const NOT_USED: &str = "@NOT_USED@";

/// What one request says.
#[derive(Debug, Clone)]
pub(super) struct Message<'a> {
    /// The request's id.
    pub(super) id: &'a str,
    /// When it is made.
    pub(super) now: jiff::Timestamp,
    /// The user as the application knows them.
    pub(super) user: Option<&'a str>,
    /// The service ticket that the application received.
    pub(super) ticket: &'a str,
}

impl Message<'_> {
    /// The XML document.
    pub(super) fn xml(&self) -> String {
        let user = self.user.filter(|user| is_xml(user)).map(escape);
        let user = user.filter(|user| form::encode(user).len() <= USER_MAX);
        let user = user.as_deref().unwrap_or(NOT_USED);
        let (id, ticket) = (escape(self.id), escape(self.ticket));
        // Whole seconds: the oldest parsers know no fractions.
        let now = self.now.strftime("%Y-%m-%dT%H:%M:%SZ");
        format!(
            "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             ID=\"{id}\" Version=\"2.0\" IssueInstant=\"{now}\">\
             <saml:NameID xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">{user}</saml:NameID>\
             <samlp:SessionIndex>{ticket}</samlp:SessionIndex></samlp:LogoutRequest>"
        )
    }

    /// The form body of a back-channel request.
    pub(super) fn body(&self) -> String {
        let of = |message: &Self| format!("logoutRequest={}", form::encode(&message.xml()));
        let body = of(self);
        if body.len() <= BODY_MAX {
            return body;
        }
        let user = None;
        of(&Self { user, ..*self })
    }

    /// A logout URL with what a front-channel request adds to it.
    pub(super) fn front_url(&self, url: &str) -> String {
        let (base, fragment) = match url.split_once('#') {
            Some((base, fragment)) => (base, Some(fragment)),
            None => (url, None),
        };
        let joint = if base.contains('?') { '&' } else { '?' };
        let packed = form::encode(&STANDARD.encode(deflated(self.xml().as_bytes())));
        let time = self.now.as_millisecond();
        let mut out = format!("{base}{joint}callback=castor&logoutRequest={packed}&_={time}");
        if let Some(fragment) = fragment {
            out.push('#');
            out.push_str(fragment);
        }
        out
    }
}

/// Raw deflate without compression: one stored block. The texts are a few hundred bytes, so that
/// compressing them would gain little.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 5);
    let mut chunks = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(chunk) = chunks.next() {
        let length = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
        out.push(u8::from(chunks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(chunk);
    }
    out
}

/// Whether every character may stand in an XML document.
fn is_xml(text: &str) -> bool {
    text.chars().all(|c| {
        matches!(c, ' '..='\u{7e}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
    })
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "LR-1-0123456789abcdef01234567";

    fn message<'a>(user: &'a str, ticket: &'a str) -> Message<'a> {
        Message {
            id: ID,
            now: "2026-11-20T17:31:00.123Z".parse().unwrap(),
            user: Some(user),
            ticket,
        }
    }

    #[test]
    fn the_body_is_what_clients_look_for() {
        let xml = message("mlee7", "ST-5-x-node1").xml();
        assert_eq!(
            xml,
            "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             ID=\"LR-1-0123456789abcdef01234567\" Version=\"2.0\" \
             IssueInstant=\"2026-11-20T17:31:00Z\"><saml:NameID \
             xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">mlee7</saml:NameID>\
             <samlp:SessionIndex>ST-5-x-node1</samlp:SessionIndex></samlp:LogoutRequest>"
        );
        let body = message("mlee7", "ST-5-x-node1").body();
        assert!(body.starts_with("logoutRequest=%3Csamlp%3ALogoutRequest%20xmlns"));
        assert!(!body.contains(['+', '&', '<', '\n']));
        let parsed = form::Form::parse(body.as_bytes()).unwrap();
        assert_eq!(parsed.one("logoutRequest"), Ok(Some(xml.as_str())));
    }

    #[test]
    fn whoever_the_user_is_the_body_fits() {
        let ticket = format!("ST-{}", "9".repeat(61));
        for user in ["", "a", "é", "<&>\"'", "a\u{1}b", "\u{202e}x", "𝒳"] {
            for repeat in [1, 10, 50, 1000] {
                let user = user.repeat(repeat);
                let message = message(&user, &ticket);
                let (xml, body) = (message.xml(), message.body());
                assert!(body.len() <= BODY_MAX, "{user:?}: {}", body.len());
                let told = xml.contains(NOT_USED);
                let fits = is_xml(&user) && form::encode(&escape(&user)).len() <= USER_MAX;
                assert_eq!(told, !fits, "{user:?}");
                assert!(xml.contains(&format!(
                    "<samlp:SessionIndex>{ticket}</samlp:SessionIndex>"
                )));
                let mut reader = quick_xml::Reader::from_str(&xml);
                while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
            }
        }
        assert!(message(&"a".repeat(101), "ST-1-x").xml().contains(NOT_USED));
        let nobody = Message {
            user: None,
            ..message("", "ST-1-x")
        };
        assert!(nobody.xml().contains(">@NOT_USED@</saml:NameID>"));
    }

    proptest::proptest! {
        #[test]
        fn any_user_and_ticket_give_a_document_and_a_body_that_fits(
            user in "\\PC{0,200}", ticket in "ST-[0-9]{1,20}-[A-Za-z0-9-]{1,40}",
        ) {
            let message = message(&user, &ticket);
            assert!(message.body().len() <= BODY_MAX);
            let xml = message.xml();
            let mut reader = quick_xml::Reader::from_str(&xml);
            while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
        }
    }

    #[test]
    fn front_channel_urls_carry_the_request_deflated() {
        let message = message("mlee7", "ST-5-x-node1");
        for (url, before, after) in [
            ("https://a.edu/x", "https://a.edu/x?callback=castor&", ""),
            (
                "https://a.edu/x?y=1#z",
                "https://a.edu/x?y=1&callback=castor&",
                "#z",
            ),
        ] {
            let front = message.front_url(url);
            assert!(
                front.starts_with(before) && front.ends_with(after),
                "{front}"
            );
            assert!(front.contains("&_=1795195860123"), "{front}");
            let (_, query) = front.split_once('?').unwrap();
            let query = query.split('#').next().unwrap();
            let form = form::Form::parse(query.as_bytes()).unwrap();
            let packed = form.one("logoutRequest").unwrap().unwrap();
            let bytes = STANDARD.decode(packed).unwrap();
            let length = u16::from_le_bytes([bytes[1], bytes[2]]);
            let check = u16::from_le_bytes([bytes[3], bytes[4]]);
            assert_eq!(
                (bytes[0], length, check),
                (1, length, !length),
                "one stored block"
            );
            assert_eq!(usize::from(length), bytes.len() - 5);
            assert_eq!(bytes[5..], *message.xml().as_bytes());
        }
    }
}
