//! Queries and form bodies.

use castor_node::web::form::{Form, encode};

/// The bytes of a query or of a body.
pub fn form(bytes: &[u8]) {
    let Ok(form) = super::within(16 * bytes.len() + 16_384, || Form::parse(bytes)) else {
        return;
    };
    for name in [
        "service",
        "ticket",
        "renew",
        "execution",
        "username",
        "password",
    ] {
        let Ok(Some(value)) = form.one(name) else {
            continue;
        };
        assert!(form.has(name) && !value.is_empty());
        let again = format!("{name}={}", encode(value));
        let again = Form::parse(again.as_bytes()).expect("our own text");
        assert_eq!(again.one(name), Ok(Some(value)));
    }
    let _ = format!("{form:?}");
}
