//! Sealed values: what a browser sends back as a cookie or in a hidden input.

use castor_proto::seal::aead::SealedValue;
use castor_proto::seal::{KeyRing, Purpose, base64url};

const GENUINE: &[u8] = include_bytes!("../../../testdata/v1/sealed_cookie.bin");
const RING: &str = "castor-key-v1 current 00c0ffee 1795000000000 \
                    AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";

/// Once as text, once as the bytes behind the text.
pub fn sealed(bytes: &[u8]) {
    let ring = KeyRing::parse(RING).expect("a ring");
    let most = 4 * bytes.len() + 4_096;
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(value) = super::within(most, || SealedValue::from_text(text)) {
            assert_eq!(value.to_text(), text, "one text for one value");
        }
        if let Some(decoded) = base64url::decode(text) {
            assert_eq!(base64url::encode(&decoded), text);
        }
    }
    assert_eq!(
        base64url::decode(&base64url::encode(bytes)).as_deref(),
        Some(bytes)
    );
    let Ok(value) = super::within(most, || SealedValue::from_bytes(bytes)) else {
        return;
    };
    assert_eq!(value.to_bytes(), bytes);
    let opened = super::within(most, || value.open(&ring, Purpose::Cookie, b"context"));
    assert_eq!(opened.is_ok(), bytes == GENUINE, "nothing else opens");
}
