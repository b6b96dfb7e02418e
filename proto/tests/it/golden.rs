//! The format does not change by accident: every message has its bytes in `testdata/v1`, or in
//! `testdata/v2` when that version brought it; what version 2 did not change has its bytes in `v1`.
//!
//! A changed or missing file fails. Bytes of a released version are never regenerated; a new message
//! gets its file with `CASTOR_BLESS=1 cargo test -p castor-proto --test it golden`, which also
//! writes changed ones, for review.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;

use castor_proto::codec::{self, Decode, Encode};
use castor_proto::error::DecodeError;
use castor_proto::frame::{self, FrameDecoder, FrameKind};
use castor_proto::hello::{ClusterTag, Hello, HelloAnswer};
use castor_proto::ids::Incarnation;
use castor_proto::message::{Lane, PeerMessage};
use castor_proto::seal::aead::SealedValue;
use castor_proto::seal::{
    Expected, KeyRing, NodeSigner, Outgoing, Purpose, open_envelope, seal_envelope,
};
use castor_proto::ticket::TicketBody;
use castor_proto::version::WireVersion;

use crate::samples;

const RING: &str = "castor-key-v1 current 00c0ffee 1795000000000 \
                    AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";

fn folder(version: WireVersion) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/v{version}"))
}

fn check(version: WireVersion, name: &str, bytes: &[u8]) {
    let path = folder(version).join(format!("{name}.bin"));
    if std::env::var_os("CASTOR_BLESS").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; new messages get their file with CASTOR_BLESS=1",
            path.display()
        )
    });
    assert_eq!(
        bytes, golden,
        "{name}: the encoding differs from the golden bytes"
    );
}

/// Encodes to the golden bytes; the golden bytes decode to the value; no shorter bytes do.
fn check_value<T: Encode + Decode + PartialEq + Debug>(name: &str, value: &T) {
    check_value_since(WireVersion::V1, name, value);
}

fn check_value_since<T: Encode + Decode + PartialEq + Debug>(
    version: WireVersion,
    name: &str,
    value: &T,
) {
    let bytes = codec::encode(value);
    check(version, name, &bytes);
    assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value), "{name}");
    for cut in 0..bytes.len() {
        assert!(
            codec::decode::<T>(&bytes[..cut]).is_err(),
            "{name} cut at {cut}"
        );
    }
}

#[test]
fn ticket_bodies_keep_their_bytes() {
    for (name, body) in samples::bodies() {
        check_value(&format!("ticket_{name}"), &body);
        assert_eq!(
            TicketBody::decode(&body.encode()).as_ref(),
            Ok(&body),
            "{name}"
        );
    }
}

#[test]
fn messages_keep_their_bytes() {
    let all = samples::messages().into_iter();
    for (name, message) in all.chain(samples::messages_v2()) {
        check_value_since(message.since(), &format!("message_{name}"), &message);
        assert!(message.check(), "{name} keeps the limits");
    }
}

#[test]
fn a_message_belongs_to_the_version_that_brought_it() {
    let of = |samples: &[(&str, PeerMessage)], version| {
        samples
            .iter()
            .all(|(_, message)| message.since() == version)
    };
    assert!(of(&samples::messages(), WireVersion::V1));
    assert!(of(&samples::messages_v2(), WireVersion::V2));
}

#[test]
fn hellos_keep_their_bytes() {
    check_value("hello", &samples::hello());
    assert!(samples::hello().is_bounded());
    for (name, answer) in samples::answers() {
        check_value(&format!("hello_answer_{name}"), &answer);
    }
}

/// How many variants the decoder knows, asked with every possible tag.
fn variants_known<T: Decode>() -> usize {
    let unknown = DecodeError::Invalid("an unknown variant");
    (0..250u8)
        .filter(|tag| codec::decode::<T>(&[*tag]).err() != Some(unknown.clone()))
        .count()
}

fn variants_sampled<'a, T: Encode + 'a>(values: impl Iterator<Item = &'a T>) -> usize {
    values
        .map(|value| codec::encode(value)[0])
        .collect::<BTreeSet<_>>()
        .len()
}

#[test]
fn every_variant_has_golden_bytes() {
    let mut messages = samples::messages();
    messages.extend(samples::messages_v2());
    let sampled = variants_sampled(messages.iter().map(|(_, message)| message));
    assert_eq!(
        sampled,
        variants_known::<PeerMessage>(),
        "a message without a sample"
    );

    let answers = samples::answers();
    let sampled = variants_sampled(answers.iter().map(|(_, answer)| answer));
    assert_eq!(sampled, variants_known::<HelloAnswer>());
    let refusals: Vec<_> = answers
        .iter()
        .filter_map(|(_, answer)| match answer {
            HelloAnswer::Refused(refusal) => Some(refusal.clone()),
            HelloAnswer::Accepted(_) => None,
        })
        .collect();
    let known = variants_known::<castor_proto::hello::Refusal>();
    assert_eq!(
        variants_sampled(refusals.iter()),
        known,
        "a refusal without a sample"
    );
}

#[test]
fn no_golden_file_is_left_without_its_test() {
    let mut expected: BTreeSet<String> = ["hello", "envelope", "frame", "sealed_cookie"]
        .map(String::from)
        .into();
    expected.extend(
        samples::bodies()
            .iter()
            .map(|(name, _)| format!("ticket_{name}")),
    );
    expected.extend(
        samples::messages()
            .iter()
            .map(|(name, _)| format!("message_{name}")),
    );
    expected.extend(
        samples::answers()
            .iter()
            .map(|(name, _)| format!("hello_answer_{name}")),
    );
    assert_eq!(files(WireVersion::V1), expected);
    let newer = samples::messages_v2();
    let newer = newer.iter().map(|(name, _)| format!("message_{name}"));
    assert_eq!(files(WireVersion::V2), newer.collect());
}

fn files(version: WireVersion) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let files = std::fs::read_dir(folder(version)).unwrap();
    files.map(|entry| stem(entry.unwrap().path())).collect()
}

#[test]
fn an_envelope_keeps_its_bytes() {
    let ring = KeyRing::parse(RING).unwrap();
    let signer = NodeSigner::from_seed(&[7; 32]).unwrap();
    let (sender, receiver) = (samples::node(1), samples::node(2));
    let messages: Vec<PeerMessage> = samples::messages()
        .into_iter()
        .map(|(_, message)| message)
        .collect();
    let payload = codec::encode(&messages);
    let outgoing = Outgoing {
        version: WireVersion::V1,
        cluster: ClusterTag::of("demo"),
        sender: &sender,
        incarnation: Incarnation([1; 16]),
        receiver: &receiver,
        lane: Lane::Stream,
        sequence: 258,
        nonce: std::array::from_fn(|place| place as u8),
    };
    let bytes = seal_envelope(&ring, &signer, &outgoing, &payload).unwrap();
    check(WireVersion::V1, "envelope", &bytes);
    let expected = Expected {
        cluster: outgoing.cluster,
        sender: &sender,
        incarnation: outgoing.incarnation,
        receiver: &receiver,
        lane: Lane::Stream,
    };
    let opened = open_envelope(bytes.clone(), &ring, &signer.public_key(), &expected).unwrap();
    assert_eq!(
        codec::decode::<Vec<PeerMessage>>(&opened.payload).unwrap(),
        messages
    );
}

#[test]
fn a_frame_keeps_its_bytes() {
    let hello = codec::encode(&samples::hello());
    let bytes = frame::encode(FrameKind::Hello, &hello).unwrap();
    check(WireVersion::V1, "frame", &bytes);
    let mut decoder = FrameDecoder::new();
    decoder.push(&bytes);
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!(
        codec::decode::<Hello>(&frame.payload).unwrap(),
        samples::hello()
    );
}

#[test]
fn a_sealed_cookie_keeps_its_bytes() {
    let ring = KeyRing::parse(RING).unwrap();
    let value = SealedValue::seal(&ring, Purpose::Cookie, b"context", [3; 24], b"TGT-1").unwrap();
    check(WireVersion::V1, "sealed_cookie", &value.to_bytes());
    let opened = value.open(&ring, Purpose::Cookie, b"context").unwrap();
    assert_eq!(opened.plaintext.as_slice(), b"TGT-1");
}
