//! Frames put together from a stream that comes in pieces.

use castor_proto::frame::{FrameDecoder, encode};

/// The first byte is the size of the pieces, the rest the stream.
pub fn frame(bytes: &[u8]) {
    let Some((size, stream)) = bytes.split_first() else {
        return;
    };
    let mut rewritten = Vec::new();
    let error = super::within(8 * stream.len() + 4_096, || {
        let mut decoder = FrameDecoder::new();
        for piece in stream.chunks(usize::from(*size).max(1)) {
            decoder.push(piece);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => {
                        assert!(frame.payload.len() <= frame.kind.bytes_max());
                        rewritten.extend(encode(frame.kind, &frame.payload).expect("fits"));
                    }
                    Ok(None) => break,
                    Err(error) => {
                        decoder.push(b"CSTR");
                        assert_eq!(decoder.next_frame(), Err(error.clone()), "it stays refused");
                        return Some(error);
                    }
                }
            }
        }
        decoder.finish().err()
    });
    assert!(stream.starts_with(&rewritten), "frames are written as read");
    let rest = stream.len() - rewritten.len();
    assert_eq!(error.is_none(), rest == 0, "{rest} bytes left, {error:?}");
}
