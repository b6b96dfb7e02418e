//! The SOAP request of a SAML 1.1 validation.

use castor_node::cas::saml_request::{REQUEST_MAX, read};

/// The bytes of a body.
pub fn saml_request(bytes: &[u8]) {
    let read = super::within(16 * bytes.len() + 16_384, || read(bytes));
    let Ok(request) = read else {
        return;
    };
    assert!(bytes.len() <= REQUEST_MAX);
    let id = request.id.as_deref().unwrap_or_default();
    // A longer one would be repeated in every answer.
    assert!(id.len() <= 256 && request.artifact.len() <= bytes.len());
    // An entity that names others would be text that nobody sent.
    assert!(!request.artifact.is_empty());
    let _ = format!("{request:?}");
}
