//! The immutable body of a ticket.

use castor_proto::limits::DECODE_MAX;
use castor_proto::ticket::TicketBody;

/// Bytes of one body.
pub fn body(bytes: &[u8]) {
    let most = 4 * DECODE_MAX + 64 * bytes.len();
    let Ok(body) = super::within(most, || TicketBody::decode(bytes)) else {
        return;
    };
    assert_eq!(body.id.kind(), Some(body.kind()));
    assert!(body.kind().is_single_use() != body.view.is_empty());
    let _ = (body.key(), body.root());
    let written = body.encode();
    assert_eq!(TicketBody::decode(&written), Ok(body));
}
