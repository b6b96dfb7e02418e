//! Deltas: two entries of one ticket, decoded and joined.

use castor_proto::codec;
use castor_proto::delta::Entry;
use castor_proto::limits::DECODE_MAX;

/// The first byte says where the second entry begins, in sixteenths of the rest.
pub fn entry(bytes: &[u8]) {
    let Some((split, rest)) = bytes.split_first() else {
        return;
    };
    let (one, two) = rest.split_at(rest.len() * usize::from(split % 17) / 16);
    let most = 3 * DECODE_MAX + 64 * bytes.len();
    let decode = |bytes: &[u8]| super::within(most, || codec::decode::<Entry>(bytes)).ok();
    let (one, two) = (decode(one), decode(two));
    for entry in [&one, &two].into_iter().flatten() {
        let written = codec::encode(entry);
        assert_eq!(codec::decode::<Entry>(&written).as_ref(), Ok(entry));
        let _ = (format!("{entry:?}"), entry.weight());
    }
    let kept = |entry: Option<Entry>| entry.filter(Entry::check);
    let Some(one) = kept(one) else { return };
    let two = kept(two).unwrap_or_else(|| Entry::bottom(one.key, one.kind, 1));
    laws(
        &one,
        &Entry {
            key: one.key,
            ..two
        },
    );
}

/// Rule 13, for entries that a peer may send.
fn laws(one: &Entry, two: &Entry) {
    let mut forth = one.clone();
    forth.join(two);
    let mut back = two.clone();
    back.join(one);
    assert_eq!(forth, back, "the order does not matter");
    assert!(forth.check(), "what is joined keeps the limits");
    for again in [one, two, &back] {
        assert!(!forth.join(again).changed, "repetition does not matter");
    }
    assert_eq!(forth, back);
}
