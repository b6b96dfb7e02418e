//! What engines say to each other, after decryption: the content of an envelope.

use castor_proto::codec;
use castor_proto::limits::DECODE_MAX;
use castor_proto::message::PeerMessage;

/// Bytes of one envelope.
pub fn messages(bytes: &[u8]) {
    // One length may ask for DECODE_MAX, and lengths nest three deep; what is there in full takes up
    // to 64 times its encoded size (an empty text is one byte on the wire, a reference in memory).
    let most = 4 * DECODE_MAX + 64 * bytes.len();
    let decoded = super::within(most, || codec::decode::<Vec<PeerMessage>>(bytes));
    let Ok(messages) = decoded else {
        return;
    };
    for message in &messages {
        let _ = (message.check(), message.lane());
        assert!(
            format!("{message:?}").len() < 80,
            "a message shows a digest only"
        );
    }
    let written = codec::encode(&messages);
    assert!(written.len() <= bytes.len(), "the shortest form is written");
    assert_eq!(codec::decode::<Vec<PeerMessage>>(&written), Ok(messages));
}
