//! The SOAP request of a SAML 1.1 validation: which ticket, and which request asks.
//!
//! Clients write it with and without prefixes, headers, comments and blanks; what counts is the
//! namespace and the local name. Bounded in size, depth and number of elements; a document type, the
//! door of every XML attack, is refused.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// Largest request, in bytes; real ones have about 600.
pub const REQUEST_MAX: usize = 16 * 1024;
/// Deepest element.
const DEPTH_MAX: usize = 16;
/// Longest `RequestID`.
const ID_MAX: usize = 256;

const PROTOCOL: &str = "urn:oasis:names:tc:SAML:1.0:protocol";

/// What a request asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamlRequest {
    /// Its id, for `InResponseTo`.
    pub id: Option<String>,
    /// The ticket, in the clothes of an artifact.
    pub artifact: String,
}

/// Why a body is not a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SamlRequestError {
    /// Too large, or too deep.
    #[error("the SAML request is larger than any real one")]
    TooLarge,
    /// Not text.
    #[error("the SAML request is not UTF-8 text")]
    NotUtf8,
    /// Not XML.
    #[error("the SAML request is not well-formed XML")]
    Malformed,
    /// A document type or an entity of its own.
    #[error("the SAML request has a document type or an unknown entity, which no request needs")]
    Forbidden,
    /// No artifact, or several.
    #[error("the SAML request needs exactly one AssertionArtifact")]
    Artifact,
}

/// Reads the body of a request.
///
/// # Errors
/// [`SamlRequestError`].
pub fn read(body: &[u8]) -> Result<SamlRequest, SamlRequestError> {
    if body.len() > REQUEST_MAX {
        return Err(SamlRequestError::TooLarge);
    }
    let text = std::str::from_utf8(body).map_err(|_| SamlRequestError::NotUtf8)?;
    let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
    let mut seen = Seen::default();
    loop {
        let (namespace, event) = reader
            .read_resolved_event()
            .map_err(|_| SamlRequestError::Malformed)?;
        let ours = matches!(namespace, ResolveResult::Bound(name) if name.0 == PROTOCOL);
        match event {
            Event::Start(tag) => seen.open(ours, &tag)?,
            Event::Empty(tag) => {
                seen.open(ours, &tag)?;
                seen.close()?;
            }
            Event::End(_) => seen.close()?,
            Event::Text(part) => seen.text(&part),
            Event::CData(part) => seen.text(&part),
            Event::GeneralRef(reference) => {
                let c = resolve(&reference)?;
                seen.text(c.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return Err(SamlRequestError::Forbidden),
            Event::Eof => return seen.finish(),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
}

/// What was read so far.
#[derive(Default)]
struct Seen {
    depth: usize,
    id: Option<String>,
    /// Depth of the open artifact, and what it says so far.
    open: Option<(usize, String)>,
    artifact: Option<String>,
}

impl Seen {
    fn open(&mut self, ours: bool, tag: &BytesStart<'_>) -> Result<(), SamlRequestError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SamlRequestError::TooLarge);
        }
        if !ours {
            return Ok(());
        }
        match tag.local_name().as_ref() {
            "Request" => self.id = request_id(tag)?,
            "AssertionArtifact" if self.open.is_some() || self.artifact.is_some() => {
                return Err(SamlRequestError::Artifact);
            }
            "AssertionArtifact" => self.open = Some((self.depth, String::new())),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, part: &str) {
        if let Some((depth, text)) = &mut self.open
            && *depth == self.depth
        {
            text.push_str(part);
        }
    }

    fn close(&mut self) -> Result<(), SamlRequestError> {
        if let Some((depth, text)) = self.open.take() {
            if depth == self.depth {
                self.artifact = Some(text.trim().to_owned());
            } else {
                self.open = Some((depth, text));
            }
        }
        self.depth = self
            .depth
            .checked_sub(1)
            .ok_or(SamlRequestError::Malformed)?;
        Ok(())
    }

    fn finish(self) -> Result<SamlRequest, SamlRequestError> {
        if self.depth != 0 {
            return Err(SamlRequestError::Malformed);
        }
        let artifact = self.artifact.filter(|artifact| !artifact.is_empty());
        Ok(SamlRequest {
            id: self.id,
            artifact: artifact.ok_or(SamlRequestError::Artifact)?,
        })
    }
}

fn request_id(tag: &BytesStart<'_>) -> Result<Option<String>, SamlRequestError> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| SamlRequestError::Malformed)?;
        if attribute.key.as_ref() == "RequestID" {
            let id = attribute.value.into_owned();
            let plain = id
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'));
            return Ok(Some(id).filter(|id| !id.is_empty() && id.len() <= ID_MAX && plain));
        }
    }
    Ok(None)
}

fn resolve(reference: &BytesRef<'_>) -> Result<char, SamlRequestError> {
    if let Some(c) = reference
        .resolve_char_ref()
        .map_err(|_| SamlRequestError::Malformed)?
    {
        return Ok(c);
    }
    match reference.as_ref() {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(SamlRequestError::Forbidden),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn envelope(request: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><!-- c --><S:Envelope \
             xmlns:S=\"http://schemas.xmlsoap.org/soap/envelope/\"><S:Header/><S:Body>{request}\
             </S:Body></S:Envelope>"
        )
    }

    #[test]
    fn requests_as_clients_write_them() {
        let read = |request: &str| read(envelope(request).as_bytes()).unwrap();
        let prefixed = read(
            "<samlp:Request xmlns:samlp=\"urn:oasis:names:tc:SAML:1.0:protocol\" \
             MajorVersion=\"1\" MinorVersion=\"1\" RequestID=\"_192.168.16.51.1024506224022\" \
             IssueInstant=\"2026-11-20T17:30:00.123Z\">\n  <samlp:AssertionArtifact>\n ST-1-x \
             </samlp:AssertionArtifact></samlp:Request>",
        );
        assert_eq!(prefixed.id.as_deref(), Some("_192.168.16.51.1024506224022"));
        assert_eq!(prefixed.artifact, "ST-1-x");
        let plain = read(
            "<Request xmlns=\"urn:oasis:names:tc:SAML:1.0:protocol\"><!-- a --><AssertionArtifact>\
             <![CDATA[ST-2]]>&#45;x</AssertionArtifact></Request>",
        );
        assert_eq!((plain.id, plain.artifact.as_str()), (None, "ST-2-x"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        use SamlRequestError as E;
        let artifact = |inner: &str| {
            envelope(&format!(
                "<p:Request xmlns:p=\"{PROTOCOL}\">{inner}</p:Request>"
            ))
        };
        let one = "<p:AssertionArtifact>ST-1</p:AssertionArtifact>";
        for (body, expected) in [
            (String::new(), E::Artifact),
            ("nonsense".to_owned(), E::Artifact),
            (artifact(""), E::Artifact),
            (artifact("<p:AssertionArtifact/>"), E::Artifact),
            (artifact(&one.repeat(2)), E::Artifact),
            (
                artifact("<AssertionArtifact>ST-1</AssertionArtifact>"),
                E::Artifact,
            ),
            (
                artifact("<p:AssertionArtifact>&x;</p:AssertionArtifact>"),
                E::Forbidden,
            ),
            (
                format!("<!DOCTYPE x [<!ENTITY x \"y\">]>{}", artifact(one)),
                E::Forbidden,
            ),
            (artifact("<p:AssertionArtifact>ST-1"), E::Malformed),
            (format!("{}<", artifact(one)), E::Malformed),
            ("<a>".repeat(17), E::TooLarge),
            (" ".repeat(REQUEST_MAX + 1), E::TooLarge),
        ] {
            assert_eq!(read(body.as_bytes()), Err(expected), "{body:.200}");
        }
        assert_eq!(read(&[0xff]), Err(E::NotUtf8));
    }

    #[test]
    fn an_id_that_could_break_the_answer_is_left_out() {
        for id in [
            "a\u{22}b".replace('"', "&quot;"),
            "x".repeat(257),
            String::new(),
        ] {
            let request = format!(
                "<p:Request xmlns:p=\"{PROTOCOL}\" RequestID=\"{id}\">\
                 <p:AssertionArtifact>ST-1</p:AssertionArtifact></p:Request>"
            );
            assert_eq!(read(envelope(&request).as_bytes()).unwrap().id, None);
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
        }
    }
}
