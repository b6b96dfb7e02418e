//! The ticket-granting cookie, among whatever else a browser sends.

use castor_node::web::cookies::{self, Presented};
use castor_proto::seal::Purpose;
use castor_proto::seal::aead::SealedValue;
use castor_proto::ticket::TicketKind;
use http::{HeaderMap, HeaderValue, header};

/// Cookie headers, a line each; and the same bytes sealed by somebody with the keys.
pub fn cookie(bytes: &[u8]) {
    let ring = super::ring();
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(16) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::COOKIE, value);
        }
    }
    let most = 16 * bytes.len() + 16_384;
    let presented = super::within(most, || cookies::read(&headers, &ring, None));
    assert!(
        !matches!(presented, Presented::Session { .. }),
        "nobody has these keys"
    );

    let Ok(sealed) = SealedValue::seal(&ring, Purpose::Cookie, b"TGC", [1; 24], bytes) else {
        return;
    };
    let value = format!("TGC={}", sealed.to_text());
    headers.append(
        header::COOKIE,
        HeaderValue::try_from(value).expect("base64url"),
    );
    if let Presented::Session { id, stale_key } = cookies::read(&headers, &ring, None) {
        // What stands behind a mark is what the cookie is bound to.
        let before = bytes.split(|byte| *byte == b'@').next();
        assert_eq!((Some(id.as_str().as_bytes()), stale_key), (before, false));
        assert_eq!(id.kind(), Some(TicketKind::Tgt));
    }
}
