//! Reads the XML answer of `/serviceValidate`.
//!
//! Promises: only a well-formed document with exactly one `authenticationSuccess` or
//! `authenticationFailure` in the CAS namespace counts as an answer.
//! Does not: read the JSON form or CAS 1 text.

use std::fmt;

use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use crate::http::{Answer, CallError};

const NAMESPACE: &str = "http://www.yale.edu/tp/cas";

/// Attributes in the order of the document, without `isFromNewLogin`, which tells of the ticket and
/// not of the user.
pub type Attributes = Vec<(String, String)>;

/// The outcome of one validation.
#[derive(Debug)]
pub enum Validation {
    /// The ticket was accepted.
    Success {
        /// The user, exactly as written.
        user: String,
        /// What was released about the user.
        attributes: Attributes,
    },
    /// The ticket was refused.
    Refused {
        /// Code, such as `INVALID_TICKET`.
        code: String,
    },
    /// 5xx: the server says it cannot answer now.
    Unavailable(u16),
    /// Anything else that answered.
    Odd(String),
    /// No answer.
    Failed(CallError),
}

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success { user, .. } => write!(f, "success for {user}"),
            Self::Refused { code } => write!(f, "refused, {code}"),
            Self::Unavailable(status) => write!(f, "status {status}"),
            Self::Odd(what) => write!(f, "odd answer: {what}"),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

/// Reads the answer to a validation.
pub fn read(answer: Result<Answer, CallError>) -> Validation {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Validation::Failed(error),
    };
    match answer.status.as_u16() {
        200 => parse(&answer.body).unwrap_or_else(Validation::Odd),
        status @ 500..=599 => Validation::Unavailable(status),
        status => Validation::Odd(format!("status {status}")),
    }
}

#[derive(Default)]
struct Seen {
    path: Vec<String>,
    successes: usize,
    failures: usize,
    user: Option<String>,
    attributes: Attributes,
    code: String,
    reason: String,
    text: String,
}

/// Reads the document.
///
/// # Errors
/// What is odd about it.
pub fn parse(body: &[u8]) -> Result<Validation, String> {
    let text = std::str::from_utf8(body).map_err(|_| "not UTF-8".to_owned())?;
    let mut reader = NsReader::from_str(text);
    let mut seen = Seen::default();
    loop {
        let (namespace, event) = reader
            .read_resolved_event()
            .map_err(|error| format!("not XML: {error}"))?;
        let ours = matches!(namespace, ResolveResult::Bound(n) if n.as_ref() == NAMESPACE);
        match event {
            Event::Start(tag) => {
                seen.open(ours, tag.local_name().as_ref(), code_of(&tag)?);
            }
            Event::Empty(tag) => {
                seen.open(ours, tag.local_name().as_ref(), code_of(&tag)?);
                seen.close();
            }
            Event::End(_) => seen.close(),
            Event::Text(part) => seen.text.push_str(&part),
            Event::CData(part) => seen.text.push_str(&part),
            Event::GeneralRef(reference) => seen.text.push(resolve(&reference)?),
            Event::DocType(_) => return Err("a document type, which no answer needs".to_owned()),
            Event::Eof => break,
            _ => {}
        }
    }
    seen.finish()
}

impl Seen {
    fn open(&mut self, ours: bool, name: &str, code: String) {
        let name = if ours { name.to_owned() } else { String::new() };
        self.path.push(name);
        self.text.clear();
        match self.place().as_slice() {
            ["serviceResponse", "authenticationSuccess"] => self.successes += 1,
            ["serviceResponse", "authenticationFailure"] => {
                self.failures += 1;
                self.code = code;
            }
            _ => {}
        }
    }

    fn close(&mut self) {
        let text = std::mem::take(&mut self.text);
        match self.place().as_slice() {
            ["serviceResponse", "authenticationSuccess", "user"] => self.user = Some(text),
            ["serviceResponse", "authenticationFailure"] => self.reason = text,
            [
                "serviceResponse",
                "authenticationSuccess",
                "attributes",
                name,
            ] if *name != "isFromNewLogin" => {
                let name = (*name).to_owned();
                self.attributes.push((name, text));
            }
            _ => {}
        }
        self.path.pop();
    }

    fn place(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    fn finish(self) -> Result<Validation, String> {
        if !self.path.is_empty() {
            return Err("the document ends within an element".to_owned());
        }
        match (self.successes, self.failures, self.user) {
            (1, 0, Some(user)) => Ok(Validation::Success {
                user,
                attributes: self.attributes,
            }),
            (1, 0, None) => Err("a success without a user".to_owned()),
            (0, 1, _) if self.reason.trim().is_empty() => {
                Err("a failure without a text, which clients take for a success".to_owned())
            }
            (0, 1, _) => Ok(Validation::Refused { code: self.code }),
            (s, f, _) => Err(format!("{s} successes and {f} failures in one answer")),
        }
    }
}

fn code_of(tag: &quick_xml::events::BytesStart<'_>) -> Result<String, String> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| format!("not XML: {error}"))?;
        if attribute.key.as_ref() == "code" {
            return Ok(attribute.value.into_owned());
        }
    }
    Ok(String::new())
}

fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Result<char, String> {
    if let Some(c) = reference
        .resolve_char_ref()
        .map_err(|error| error.to_string())?
    {
        return Ok(c);
    }
    match reference.as_ref() {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err("an entity that XML does not know".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(inner: &str) -> String {
        format!(
            "<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'>\n {inner}\n</cas:serviceResponse>\n"
        )
    }

    #[test]
    fn reads_success_and_failure() {
        let success = wrap(
            "<cas:authenticationSuccess>\n<cas:user>o&apos;neil &amp; co</cas:user>\
             <cas:attributes><cas:isFromNewLogin>true</cas:isFromNewLogin>\
             <cas:mail>a@b</cas:mail></cas:attributes></cas:authenticationSuccess>",
        );
        match parse(success.as_bytes()) {
            Ok(Validation::Success { user, attributes }) => {
                assert_eq!(user, "o'neil & co");
                assert_eq!(attributes, [("mail".to_owned(), "a@b".to_owned())]);
            }
            other => panic!("{other:?}"),
        }
        let failure = wrap(
            "<cas:authenticationFailure code=\"INVALID_TICKET\">not recognized</cas:authenticationFailure>",
        );
        match parse(failure.as_bytes()) {
            Ok(Validation::Refused { code }) => assert_eq!(code, "INVALID_TICKET"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refuses_what_is_neither() {
        for body in [
            "",
            "hello",
            "<a><b></a>",
            &wrap(""),
            &wrap("<cas:authenticationSuccess></cas:authenticationSuccess>"),
            &wrap("<cas:authenticationFailure code='X'> </cas:authenticationFailure>"),
            &wrap(
                "<cas:authenticationSuccess><cas:user>a</cas:user></cas:authenticationSuccess>\
                <cas:authenticationFailure code='X'>t</cas:authenticationFailure>",
            ),
            "<serviceResponse><authenticationSuccess><user>a</user></authenticationSuccess></serviceResponse>",
            "<!DOCTYPE x><a/>",
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
