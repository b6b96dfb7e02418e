//! Sealed, signed envelopes: what arrives before anything is decrypted.

use castor_proto::hello::ClusterTag;
use castor_proto::ids::{Incarnation, NodeName};
use castor_proto::message::Lane;
use castor_proto::seal::{Expected, KeyRing, NodeSigner, Outgoing, open_envelope, seal_envelope};
use castor_proto::version::WireVersion;

/// The one envelope of these keys that anybody but the sender has: kept with the wire's golden bytes.
const GENUINE: &[u8] = include_bytes!("../../../testdata/v1/envelope.bin");
const RING: &str = "castor-key-v1 current 00c0ffee 1795000000000 \
                    AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";

/// No bytes open but the genuine ones; as a payload, any bytes survive.
pub fn envelope(bytes: &[u8]) {
    let ring = KeyRing::parse(RING).expect("a ring");
    let signer = NodeSigner::from_seed(&[7; 32]).expect("a key");
    let sender = NodeName::parse("node-1").expect("a name");
    let receiver = NodeName::parse("node-2").expect("a name");
    let expected = Expected {
        cluster: ClusterTag::of("demo"),
        sender: &sender,
        incarnation: Incarnation([1; 16]),
        receiver: &receiver,
        lane: Lane::Stream,
    };
    let key = signer.public_key();
    let opened = super::within(2 * bytes.len() + 4_096, || {
        open_envelope(bytes.to_vec(), &ring, &key, &expected)
    });
    assert_eq!(opened.is_ok(), bytes == GENUINE, "{opened:?}");

    let outgoing = Outgoing {
        version: WireVersion::V1,
        cluster: expected.cluster,
        sender: &sender,
        incarnation: expected.incarnation,
        receiver: &receiver,
        lane: Lane::Stream,
        sequence: bytes.len() as u64,
        nonce: [9; 24],
    };
    let mut sealed = seal_envelope(&ring, &signer, &outgoing, bytes).expect("fits");
    let opened = open_envelope(sealed.clone(), &ring, &key, &expected).expect("just sealed");
    assert_eq!(&*opened.payload, bytes);
    let changed = bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>() % sealed.len();
    sealed[changed] ^= 1;
    assert!(open_envelope(sealed.clone(), &ring, &key, &expected).is_err());
}
