//! Ticket ids: `PREFIX-<sequence>-<random and check>-<tags>`.
//!
//! Characters `A-Z a-z 0-9 -` only. 27 random base-62 characters hold 160.7 bits; 8 more are a keyed
//! check, so that a made-up id is refused without asking anyone. Tags name the issuer and the other
//! view members, four characters each, derived with a key: hints for finding, never trusted. A
//! service or proxy ticket id has at most 64 characters.
//!
//! This module draws no randomness: the caller passes it in.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::codec::{SchemaRead, SchemaWrite};
use crate::ids::NodeName;

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const RANDOM_CHARS: usize = 27;
const CHECK_CHARS: usize = 8;
const TAG_CHARS: usize = 4;

/// The kinds of tickets, each with its prefix. `PGTIOU` is an id only, never a stored ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub enum TicketKind {
    /// Ticket-granting ticket: the single sign-on session.
    Tgt,
    /// Service ticket.
    St,
    /// Proxy ticket.
    Pt,
    /// Proxy-granting ticket.
    Pgt,
    /// Name under which a client receives its proxy-granting ticket.
    PgtIou,
    /// Transient session ticket.
    Tst,
}

impl TicketKind {
    /// Every kind, in wire order.
    pub const ALL: [Self; 6] = [
        Self::Tgt,
        Self::St,
        Self::Pt,
        Self::Pgt,
        Self::PgtIou,
        Self::Tst,
    ];

    /// The prefix of its ids, without the dash.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Tgt => "TGT",
            Self::St => "ST",
            Self::Pt => "PT",
            Self::Pgt => "PGT",
            Self::PgtIou => "PGTIOU",
            Self::Tst => "TST",
        }
    }

    /// The label of this kind in metrics and tools.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tgt => "tgt",
            Self::St => "st",
            Self::Pt => "pt",
            Self::Pgt => "pgt",
            Self::PgtIou => "pgtiou",
            Self::Tst => "tst",
        }
    }

    /// Whether one claim consumes the ticket (rules 5 to 8), as against a reusable one (rule 16).
    pub fn is_single_use(self) -> bool {
        matches!(self, Self::St | Self::Pt | Self::Tst)
    }
}

/// The key under which every replica keeps a ticket: 128 bits of BLAKE3 of its id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct TicketKey(pub [u8; 16]);

impl TicketKey {
    /// Of the text of an id.
    pub(super) fn of(id: &str) -> Self {
        let digest = blake3::hash(id.as_bytes());
        let mut key = [0u8; 16];
        key.copy_from_slice(&digest.as_bytes()[..16]);
        Self(key)
    }

    /// The first eight bytes as a number: uniformly distributed, so it serves as its own hash.
    pub fn hash64(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// The shard, 0 to 255, in which stores, digests and bootstrap count this ticket. Taken from
    /// bits that [`TicketKey::hash64`] leaves out, so that each shard's own table is balanced.
    pub fn shard(&self) -> u8 {
        self.0[8]
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "#{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

/// A ticket id. A credential: `Debug` and [`TicketId::masked`] show only its kind, sequence and tail.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct TicketId(String);

/// Why a text is not a ticket id of this cluster's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketIdError {
    /// Longer than [`TicketId::MAX`] or shorter than any id.
    #[error("a ticket id has 16 to 96 characters")]
    Length,
    /// A character outside `A-Z a-z 0-9 -`.
    #[error("a ticket id has only the characters A-Z a-z 0-9 and -")]
    Character,
    /// Not one of the known prefixes.
    #[error("a ticket id starts with TGT-, ST-, PT-, PGT-, PGTIOU- or TST-")]
    Prefix,
    /// Not four parts of the right sizes.
    #[error("a ticket id has the form PREFIX-sequence-random-tags")]
    Form,
}

/// The keys behind ids, each 32 bytes derived from one cluster key.
pub struct IdKeys<'a> {
    /// Key of the check characters.
    pub check: &'a [u8; 32],
    /// Key of the node tags.
    pub tag: &'a [u8; 32],
}

impl fmt::Debug for IdKeys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKeys(..)")
    }
}

/// What a new id is made of.
#[derive(Debug)]
pub struct IdParts<'a> {
    /// The kind, for the prefix.
    pub kind: TicketKind,
    /// Issue counter of the node; shown modulo 10^7 (10^4 with five tags).
    pub sequence: u64,
    /// At least 160 random bits, as [`random_part`] makes them.
    pub random: &'a str,
    /// Issuer first, then the other view members.
    pub nodes: &'a [&'a NodeName],
}

/// The tags of an id: up to five.
pub type ReadTags<'a> = Vec<&'a str>;

impl TicketId {
    /// Longest id of any kind, in characters. Service and proxy tickets keep within 64.
    pub const MAX: usize = 96;

    /// Builds an id.
    pub fn build(parts: &IdParts<'_>, keys: &IdKeys<'_>) -> Self {
        let modulus = if parts.nodes.len() > 3 {
            10_000
        } else {
            10_000_000
        };
        let tags: String = parts
            .nodes
            .iter()
            .map(|node| node_tag(keys.tag, node))
            .collect();
        let head = format!(
            "{}-{}-{}",
            parts.kind.prefix(),
            parts.sequence % modulus,
            parts.random
        );
        let check = check_part(keys.check, &head, &tags);
        Self(format!("{head}{check}-{tags}"))
    }

    /// The id of a ticket that follows from another one (rule 12): its sequence, the tag of its
    /// issuer, and characters that the caller derived from it. `None` when the other is no id.
    pub fn derived(
        kind: TicketKind,
        from: &Self,
        random: &str,
        check_key: &[u8; 32],
    ) -> Option<Self> {
        let (sequence, _, tags) = from.parts()?;
        let tag = tags.get(..TAG_CHARS)?;
        let head = format!("{}-{sequence}-{random}", kind.prefix());
        let check = check_part(check_key, &head, tag);
        Some(Self(format!("{head}{check}-{tag}"))).filter(Self::check)
    }

    /// Takes a text from outside. Says nothing about whether the id was ever issued.
    ///
    /// # Errors
    /// A text that cannot be an id of this form.
    pub fn parse(text: &str) -> Result<Self, TicketIdError> {
        Self::judge(text)?;
        Ok(Self(text.to_owned()))
    }

    fn judge(text: &str) -> Result<(), TicketIdError> {
        if !(16..=Self::MAX).contains(&text.len()) {
            return Err(TicketIdError::Length);
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(TicketIdError::Character);
        }
        let kind = kind_of(text).ok_or(TicketIdError::Prefix)?;
        split(text, kind).ok_or(TicketIdError::Form)?;
        Ok(())
    }

    /// The kind of a text that keeps the rules of [`TicketId::parse`].
    pub(super) fn kind_of_sound(text: &str) -> Option<TicketKind> {
        Self::judge(text).ok().and_then(|()| kind_of(text))
    }

    /// Whether a decoded value keeps the rules of [`TicketId::parse`].
    pub fn check(&self) -> bool {
        Self::judge(&self.0).is_ok()
    }

    /// The id itself. A credential: for responses and cookies only.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind, from the prefix.
    pub fn kind(&self) -> Option<TicketKind> {
        kind_of(&self.0)
    }

    /// The key under which replicas keep the ticket.
    pub fn key(&self) -> TicketKey {
        TicketKey::of(&self.0)
    }

    /// The issue counter, as text.
    pub fn sequence(&self) -> &str {
        self.parts().map_or("", |parts| parts.0)
    }

    /// Node tags: issuer first. Hints only.
    pub fn tags(&self) -> ReadTags<'_> {
        let Some((_, _, tags)) = self.parts() else {
            return Vec::new();
        };
        (0..tags.len() / TAG_CHARS)
            .filter_map(|i| tags.get(i * TAG_CHARS..(i + 1) * TAG_CHARS))
            .collect()
    }

    /// Whether the check characters were made with this key. Constant time in the check.
    pub fn is_genuine(&self, check_key: &[u8; 32]) -> bool {
        let Some((_, body, tags)) = self.parts() else {
            return false;
        };
        let Some(random) = body.get(..RANDOM_CHARS) else {
            return false;
        };
        let Some(check) = body.get(RANDOM_CHARS..) else {
            return false;
        };
        let Some(kind) = self.kind() else {
            return false;
        };
        let head = format!("{}-{}-{}", kind.prefix(), self.sequence(), random);
        let expected = check_part(check_key, &head, tags);
        expected.as_bytes().ct_eq(check.as_bytes()).into()
    }

    /// The id for logs and tools: `TGT-3-*****abc`.
    pub fn masked(&self) -> String {
        mask(&self.0)
    }

    fn parts(&self) -> Option<(&str, &str, &str)> {
        split(&self.0, self.kind()?)
    }
}

impl fmt::Debug for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

fn kind_of(text: &str) -> Option<TicketKind> {
    let prefix = text.split('-').next()?;
    TicketKind::ALL
        .into_iter()
        .find(|kind| kind.prefix() == prefix)
}

/// Sequence, random and check, tags.
fn split(text: &str, kind: TicketKind) -> Option<(&str, &str, &str)> {
    let rest = text.strip_prefix(kind.prefix())?.strip_prefix('-')?;
    let mut parts = rest.split('-');
    let (sequence, body, tags) = (parts.next()?, parts.next()?, parts.next()?);
    let sound = parts.next().is_none()
        && (1..=20).contains(&sequence.len())
        && sequence.bytes().all(|b| b.is_ascii_digit())
        && body.len() == RANDOM_CHARS + CHECK_CHARS
        && (TAG_CHARS..=5 * TAG_CHARS).contains(&tags.len())
        && tags.len() % TAG_CHARS == 0;
    sound.then_some((sequence, body, tags))
}

/// Kind, sequence and the last three characters of the random part.
fn mask(text: &str) -> String {
    let Some(kind) = kind_of(text) else {
        return "*****".to_owned();
    };
    match split(text, kind) {
        Some((sequence, body, _)) => {
            let tail = body.get(RANDOM_CHARS - 3..RANDOM_CHARS).unwrap_or("");
            format!("{}-{sequence}-*****{tail}", kind.prefix())
        }
        None => format!("{}-*****", kind.prefix()),
    }
}

/// The four-character tag of a node, from a keyed digest of its name.
pub fn node_tag(tag_key: &[u8; 32], node: &NodeName) -> String {
    let mut reader = blake3::Hasher::new_keyed(tag_key)
        .update(node.as_str().as_bytes())
        .finalize_xof();
    base62(&mut |byte| reader.fill(byte), TAG_CHARS)
}

fn check_part(key: &[u8; 32], head: &str, tags: &str) -> String {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher
        .update(head.as_bytes())
        .update(b"/")
        .update(tags.as_bytes());
    let mut reader = hasher.finalize_xof();
    base62(&mut |byte| reader.fill(byte), CHECK_CHARS)
}

/// The random part of an id: 27 base-62 characters (160.7 bits) from a source of random bytes.
pub fn random_part(fill: &mut dyn FnMut(&mut [u8])) -> String {
    base62(fill, RANDOM_CHARS)
}

/// Uniform base-62 text by rejection: bytes of 248 and more are drawn again.
fn base62(fill: &mut dyn FnMut(&mut [u8]), chars: usize) -> String {
    let mut text = String::with_capacity(chars);
    while text.len() < chars {
        let mut block = [0u8; 32];
        fill(&mut block);
        for byte in block.into_iter().filter(|byte| *byte < 248) {
            if text.len() == chars {
                break;
            }
            text.push(char::from(ALPHABET[usize::from(byte % 62)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(seed: u8) -> impl FnMut(&mut [u8]) {
        let mut reader = blake3::Hasher::new().update(&[seed]).finalize_xof();
        move |bytes| reader.fill(bytes)
    }

    fn build(kind: TicketKind, nodes: usize) -> TicketId {
        let names: Vec<_> = (0..nodes)
            .map(|i| NodeName::parse(&format!("node-{i}")).unwrap())
            .collect();
        let names: Vec<_> = names.iter().collect();
        let keys = IdKeys {
            check: &[1; 32],
            tag: &[2; 32],
        };
        let random = random_part(&mut fill(nodes as u8));
        let parts = IdParts {
            kind,
            sequence: u64::MAX,
            random: &random,
            nodes: &names,
        };
        TicketId::build(&parts, &keys)
    }

    #[test]
    fn single_use_ids_keep_within_64_characters() {
        for kind in [TicketKind::St, TicketKind::Pt] {
            for nodes in [1, 3, 5] {
                let id = build(kind, nodes);
                assert!(id.as_str().len() <= 64, "{} characters", id.as_str().len());
                assert_eq!(id.tags().len(), nodes);
                assert_eq!(TicketId::parse(id.as_str()).as_ref(), Ok(&id));
            }
        }
    }

    #[test]
    fn a_derived_id_names_the_issuer_and_is_genuine() {
        let from = build(TicketKind::St, 3);
        let random = random_part(&mut fill(9));
        let id = TicketId::derived(TicketKind::Pgt, &from, &random, &[1; 32]).unwrap();
        assert_eq!(id.kind(), Some(TicketKind::Pgt));
        assert_eq!(id.sequence(), from.sequence());
        assert_eq!(id.tags(), from.tags()[..1]);
        assert!(id.is_genuine(&[1; 32]) && !id.is_genuine(&[2; 32]));
        assert_eq!(TicketId::parse(id.as_str()).as_ref(), Ok(&id));
        let iou = TicketId::derived(TicketKind::PgtIou, &from, &random, &[1; 32]).unwrap();
        assert!(iou.as_str().len() <= 64, "{}", iou.as_str().len());
        let short = TicketId::derived(TicketKind::Pgt, &from, "too short", &[1; 32]);
        assert_eq!(short, None);
    }

    #[test]
    fn a_changed_character_is_not_genuine() {
        let id = build(TicketKind::St, 3);
        assert!(id.is_genuine(&[1; 32]));
        assert!(!id.is_genuine(&[3; 32]));
        for i in 0..id.as_str().len() {
            let mut text = id.as_str().to_owned().into_bytes();
            text[i] = if text[i] == b'5' { b'6' } else { b'5' };
            let text = String::from_utf8(text).unwrap();
            let refused = TicketId::parse(&text).map_or(true, |id| !id.is_genuine(&[1; 32]));
            assert!(refused, "changed at {i}");
        }
    }

    #[test]
    fn debug_and_mask_hide_the_credential() {
        let id = build(TicketKind::Tgt, 1);
        let random = id.as_str().split('-').nth(2).unwrap();
        let shown = format!("{id:?}");
        assert!(shown.starts_with("TGT-") && shown.contains("*****"));
        assert!(!shown.contains(&random[..8]));
    }
}
