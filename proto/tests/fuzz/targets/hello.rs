//! The first words on a link, both ways.

use castor_proto::codec::{self, Decode, Encode};
use castor_proto::hello::{Hello, HelloAnswer};
use castor_proto::limits::{ADDRESS_MAX, DECODE_MAX, HELLO_MAX, KEYS_MAX};
use castor_proto::version::VersionRange;

/// Bytes of a hello, and of the answer to one.
pub fn hello(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(HELLO_MAX)];
    if let Some(hello) = round_trip::<Hello>(bytes) {
        if hello.is_bounded() {
            assert!(hello.keys.len() <= KEYS_MAX && hello.advertise.len() <= ADDRESS_MAX);
        }
        let ours = VersionRange::SUPPORTED;
        assert_eq!(ours.negotiate(hello.wire), hello.wire.negotiate(ours));
    }
    match round_trip::<HelloAnswer>(bytes) {
        Some(HelloAnswer::Accepted(accepted)) => {
            let _ = accepted.is_bounded();
        }
        Some(HelloAnswer::Refused(refusal)) => {
            assert!(!refusal.reason().is_empty() && !refusal.to_string().is_empty());
        }
        None => {}
    }
}

fn round_trip<T: Encode + Decode + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let most = 2 * DECODE_MAX + 64 * bytes.len();
    let value = super::within(most, || codec::decode::<T>(bytes)).ok()?;
    assert_eq!(
        codec::decode::<T>(&codec::encode(&value)).as_ref(),
        Ok(&value)
    );
    Some(value)
}
