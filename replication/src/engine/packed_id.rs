//! Ticket ids in two thirds of their bytes: a store keeps one with every visited application.
//!
//! An id of the usual form is its kind, its sequence, and six bits for each character of the rest; any
//! other text is kept as it is. Promises: what is unpacked is what was packed, whatever the text.
//! The form is of this process's memory alone and may change with any version.

use castor_proto::ticket::TicketKind;

/// The character of each six bits; the last two are never written.
const SIX_BITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789??";

/// Characters of the part with the random ones and the check.
const MIDDLE: usize = 35;

/// Characters of one node's tag.
const TAG: usize = 4;

/// Bytes of a sequence.
const SEQUENCE: usize = 3;

/// What an id of the usual form is made of.
struct Parts<'a> {
    kind: u8,
    tags: u8,
    sequence: u32,
    characters: [&'a str; 2],
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let mut parts = text.split('-');
        let prefix = parts.next()?;
        let (digits, middle, tags) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = TicketKind::ALL.iter().position(|k| k.prefix() == prefix)?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        let canonical = plain && (digits == "0" || !digits.starts_with('0'));
        let sequence = digits.parse::<u32>().ok()?;
        let known = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric());
        let usual = parts.next().is_none()
            && canonical
            && sequence < 1 << (8 * SEQUENCE)
            && middle.len() == MIDDLE
            && (TAG..=5 * TAG).contains(&tags.len())
            && tags.len() % TAG == 0
            && known(middle)
            && known(tags);
        usual.then_some(Self {
            kind: kind as u8,
            tags: (tags.len() / TAG) as u8,
            sequence,
            characters: [middle, tags],
        })
    }
}

fn code(character: u8) -> u32 {
    let code = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        _ => character.wrapping_sub(b'0').wrapping_add(52),
    };
    u32::from(code & 63)
}

/// Appends the packed form, which tells its own length.
pub(super) fn pack(text: &str, out: &mut Vec<u8>) {
    let Some(parts) = Parts::of(text) else {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend(length.to_le_bytes());
        out.extend(text.bytes().take(usize::from(length)));
        return;
    };
    out.push(parts.tags | parts.kind << 3);
    out.extend(parts.sequence.to_le_bytes().into_iter().take(SEQUENCE));
    let (mut held, mut bits) = (0_u32, 0);
    for character in parts.characters.into_iter().flat_map(str::bytes) {
        held |= code(character) << bits;
        bits += 6;
        while bits >= 8 {
            out.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(held as u8);
    }
}

/// How many of these bytes are one packed id; absent when they are none.
pub(super) fn packed_len(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [0, low, high, ..] => Some(3 + usize::from(u16::from_le_bytes([*low, *high]))),
        [head, ..] => Some(1 + SEQUENCE + (characters_of(*head) * 6).div_ceil(8)),
        [] => None,
    }
}

fn characters_of(head: u8) -> usize {
    MIDDLE + TAG * usize::from(head & 7)
}

/// Appends the text of one packed id.
pub(super) fn unpack(bytes: &[u8], out: &mut String) {
    let (head, rest) = match bytes {
        [0, _, _, text @ ..] => return out.push_str(std::str::from_utf8(text).unwrap_or_default()),
        [head, rest @ ..] => (*head, rest),
        [] => return,
    };
    let Some((sequence, packed)) = rest.split_first_chunk::<SEQUENCE>() else {
        return;
    };
    let kind = TicketKind::ALL.get(usize::from(head >> 3));
    let [a, b, c] = *sequence;
    out.push_str(kind.map_or("", |kind| kind.prefix()));
    out.push('-');
    push_number(u32::from_le_bytes([a, b, c, 0]), out);
    out.push('-');
    // Three bytes are four characters.
    let mut characters = [b'?'; 64];
    for (bytes, four) in packed.chunks(3).zip(characters.chunks_mut(4)) {
        let word = bytes.iter().rev();
        let word = word.fold(0, |word, byte| word << 8 | usize::from(*byte));
        for (at, character) in four.iter_mut().enumerate() {
            *character = SIX_BITS[(word >> (6 * at)) & 63];
        }
    }
    let text = std::str::from_utf8(&characters).unwrap_or_default();
    out.push_str(text.get(..MIDDLE).unwrap_or_default());
    out.push('-');
    let tags = text.get(MIDDLE..characters_of(head));
    out.push_str(tags.unwrap_or_default());
}

fn push_number(number: u32, out: &mut String) {
    let mut unit = 1;
    while number / unit >= 10 {
        unit *= 10;
    }
    while unit > 0 {
        out.push(char::from(b'0' + (number / unit % 10) as u8));
        unit /= 10;
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use castor_proto::ids::NodeName;
    use castor_proto::ticket::{IdKeys, IdParts, TicketId};
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(text: &str) -> usize {
        let mut bytes = Vec::new();
        pack(text, &mut bytes);
        bytes.push(9);
        let length = packed_len(&bytes).unwrap();
        assert_eq!(length, bytes.len() - 1, "{text:?}");
        let mut back = String::new();
        unpack(&bytes[..length], &mut back);
        assert_eq!(back, text);
        length
    }

    fn id(kind: TicketKind, sequence: u64, random: &str, nodes: usize) -> String {
        let keys = IdKeys {
            check: &[1; 32],
            tag: &[2; 32],
        };
        let names: Vec<NodeName> = (0..nodes)
            .map(|n| NodeName::parse(&format!("n{n}")).unwrap())
            .collect();
        let parts = IdParts {
            kind,
            sequence,
            random,
            nodes: &names.iter().collect::<Vec<_>>(),
        };
        TicketId::build(&parts, &keys).as_str().to_owned()
    }

    proptest! {
        #[test]
        fn an_id_as_they_are_made_takes_two_thirds(
            kind in 0..6_usize,
            sequence in any::<u64>(),
            random in "[A-Za-z0-9]{27}",
            nodes in 1..6_usize,
        ) {
            let text = id(TicketKind::ALL[kind], sequence, &random, nodes);
            let packed = there_and_back(&text);
            prop_assert!(packed <= 4 + (35 + 4 * nodes) * 3 / 4 + 1);
        }

        #[test]
        fn any_text_comes_back(text in ".{0,90}") {
            there_and_back(&text);
        }

        #[test]
        fn nearly_an_id_comes_back(text in "(ST|PT|TGT|XX)-[+0-9]{1,9}-[A-Za-z0-9]{34,36}-[A-Za-z0-9_é]{3,9}(-a)?") {
            there_and_back(&text);
        }

        #[test]
        fn bytes_that_are_no_id_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut text = String::new();
            unpack(&bytes, &mut text);
            packed_len(&bytes);
        }
    }

    #[test]
    fn sequences_are_kept_as_they_were_written() {
        let rest = format!("{}-abcd", "x".repeat(35));
        for sequence in [
            "0", "7", "10", "9999999", "007", "16777215", "16777216", "+5",
        ] {
            there_and_back(&format!("ST-{sequence}-{rest}"));
        }
    }
}
