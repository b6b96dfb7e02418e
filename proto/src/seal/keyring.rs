//! The cluster's keys: at most three, each with a public id, a role, and one derived key per purpose.
//!
//! Everything is sealed under `current` and opened under any of `previous`, `current` and `next`, so
//! a key can be changed on a running cluster in three steps: install the new one everywhere as
//! `next`, use it (`next` becomes `current`, `current` becomes `previous`), remove `previous` when
//! nothing sealed under it is alive any more.
//!
//! Promises: the 32-byte secret of a key is never used itself, only keys derived from it for one
//! purpose each (BLAKE3 in its key derivation mode); secrets are wiped when dropped and no `Debug`
//! shows one; parsing a ring is total and its errors never quote a line.
//! Not here: files and their permissions, and the generation of keys, which needs randomness.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::error::KeyRingError;
use crate::limits::KEY_FILE_MAX;
use crate::seal::base64url;

/// Public name of a key, drawn at random when the key is made; written as eight hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// What a derived key is for. A key derived for one purpose opens nothing made for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Envelopes between nodes.
    Batch,
    /// The keyed check inside ticket ids.
    TicketCheck,
    /// Claim ids (rule 4).
    Claim,
    /// Ids derived from a validation (rule 12).
    Derive,
    /// The ticket-granting cookie.
    Cookie,
    /// The state of a login form.
    LoginFlow,
    /// Names of sessions for operators.
    SessionHandle,
    /// The four-character node tags in ticket ids.
    NodeTag,
    /// QUIC stateless reset and connection id keys.
    ResetKey,
    /// Names of users in counters of failed sign-ins.
    FailedName,
}

impl Purpose {
    /// Every purpose, in the order of the derived keys.
    pub const ALL: [Self; 10] = [
        Self::Batch,
        Self::TicketCheck,
        Self::Claim,
        Self::Derive,
        Self::Cookie,
        Self::LoginFlow,
        Self::SessionHandle,
        Self::NodeTag,
        Self::ResetKey,
        Self::FailedName,
    ];

    /// The derivation context: globally unique, fixed for ever.
    #[must_use]
    pub fn context(self) -> &'static str {
        match self {
            Self::Batch => "castor 2026 batch v1",
            Self::TicketCheck => "castor 2026 ticket check v1",
            Self::Claim => "castor 2026 claim v1",
            Self::Derive => "castor 2026 derive v1",
            Self::Cookie => "castor 2026 cookie v1",
            Self::LoginFlow => "castor 2026 login flow v1",
            Self::SessionHandle => "castor 2026 session handle v1",
            Self::NodeTag => "castor 2026 node tag v1",
            Self::ResetKey => "castor 2026 reset key v1",
            Self::FailedName => "castor 2026 failed name v1",
        }
    }
}

/// A key's place in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyRole {
    /// Opens what is still alive from before the last change.
    Previous,
    /// Seals everything new.
    Current,
    /// Installed everywhere ahead of the next change; opens only.
    Next,
}

impl KeyRole {
    /// The word in key files, metrics and listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Previous => "previous",
            Self::Current => "current",
            Self::Next => "next",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Previous, Self::Current, Self::Next]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

/// One cluster key.
#[derive(Clone)]
pub struct ClusterKey {
    id: KeyId,
    secret: Zeroizing<[u8; 32]>,
    created: u64,
}

impl ClusterKey {
    /// A key from fresh randomness; `created` is in milliseconds since the Unix epoch.
    #[must_use]
    pub fn new(id: KeyId, secret: Zeroizing<[u8; 32]>, created: u64) -> Self {
        Self {
            id,
            secret,
            created,
        }
    }

    /// The public id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// When it was made, milliseconds since the Unix epoch.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.created
    }

    /// The key as a line of a key file, with the secret in it: handle as a secret.
    #[must_use]
    pub fn format_line(&self, role: KeyRole) -> Zeroizing<String> {
        let secret = Zeroizing::new(base64url::encode(self.secret.as_slice()));
        Zeroizing::new(format!(
            "{KEY_LINE} {} {} {} {}",
            role.as_str(),
            self.id,
            self.created,
            secret.as_str()
        ))
    }

    /// Reads a line that [`Self::format_line`] wrote.
    fn parse_line(line: &str) -> Result<(KeyRole, Self), &'static str> {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some(KEY_LINE) {
            return Err("a key line begins with `castor-key-v1`");
        }
        let role = words.next().and_then(KeyRole::parse);
        let role = role.ok_or("the second word is `previous`, `current` or `next`")?;
        let id = words
            .next()
            .filter(|id| id.len() == 8 && id.bytes().all(is_lower_hex));
        let id = id.and_then(|id| u32::from_str_radix(id, 16).ok());
        let id = id.ok_or("the third word is the key's id, eight hex digits")?;
        let created = words
            .next()
            .filter(|word| word.bytes().all(|b| b.is_ascii_digit()));
        let created = created.and_then(|word| word.parse().ok());
        let created = created.ok_or("the fourth word is when it was made, milliseconds")?;
        let secret = words.next().and_then(base64url::decode).map(Zeroizing::new);
        let secret = secret.ok_or("the fifth word is the secret, base64url")?;
        let mut copy = Zeroizing::new([0; 32]);
        if secret.len() != copy.len() {
            return Err("the secret has 32 bytes, so 43 characters");
        }
        copy.copy_from_slice(&secret);
        if copy.iter().all(|byte| *byte == 0) {
            return Err("the secret is all zeros; make a key with `castor keys rotate`");
        }
        if words.next().is_some() {
            return Err("a key line has five words");
        }
        Ok((
            role,
            Self {
                id: KeyId(id),
                secret: copy,
                created,
            },
        ))
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterKey")
            .field("id", &self.id)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// A key in a ring with everything derived from it.
pub struct KeyEntry {
    key: ClusterKey,
    role: KeyRole,
    subkeys: Box<[[u8; 32]; Purpose::ALL.len()]>,
}

impl KeyEntry {
    fn new(key: ClusterKey, role: KeyRole) -> Self {
        let mut subkeys = Box::new([[0; 32]; Purpose::ALL.len()]);
        for (subkey, purpose) in subkeys.iter_mut().zip(Purpose::ALL) {
            *subkey = blake3::derive_key(purpose.context(), key.secret.as_slice());
        }
        Self { key, role, subkeys }
    }

    /// The public id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.key.id
    }

    /// Its place in the ring.
    #[must_use]
    pub fn role(&self) -> KeyRole {
        self.role
    }

    /// The key itself, for writing it to a file.
    #[must_use]
    pub fn key(&self) -> &ClusterKey {
        &self.key
    }

    /// The key derived for one purpose.
    #[must_use]
    pub fn subkey(&self, purpose: Purpose) -> &[u8; 32] {
        &self.subkeys[purpose as usize]
    }
}

impl Drop for KeyEntry {
    fn drop(&mut self) {
        self.subkeys.zeroize();
    }
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEntry({}, {})", self.role.as_str(), self.key.id)
    }
}

/// The keys of a cluster, as one node knows them. Immutable: a change is a new ring.
#[derive(Debug)]
pub struct KeyRing {
    /// Current first, then previous and next where they exist.
    entries: Vec<KeyEntry>,
}

impl KeyRing {
    /// A ring of these keys.
    ///
    /// # Errors
    /// Two keys with one id.
    pub fn new(
        previous: Option<ClusterKey>,
        current: ClusterKey,
        next: Option<ClusterKey>,
    ) -> Result<Self, KeyRingError> {
        let mut entries = vec![KeyEntry::new(current, KeyRole::Current)];
        let others = [(previous, KeyRole::Previous), (next, KeyRole::Next)];
        for (key, role) in others {
            let Some(key) = key else { continue };
            if entries.iter().any(|entry| entry.id() == key.id) {
                return Err(KeyRingError::TwoOfId(key.id.0));
            }
            entries.push(KeyEntry::new(key, role));
        }
        Ok(Self { entries })
    }

    /// The key that seals.
    #[must_use]
    pub fn current(&self) -> &KeyEntry {
        &self.entries[0]
    }

    /// The key with this id.
    #[must_use]
    pub fn get(&self, id: KeyId) -> Option<&KeyEntry> {
        self.entries.iter().find(|entry| entry.id() == id)
    }

    /// The key with this role.
    #[must_use]
    pub fn role(&self, role: KeyRole) -> Option<&KeyEntry> {
        self.entries.iter().find(|entry| entry.role == role)
    }

    /// Every key, the current one first.
    pub fn iter(&self) -> impl Iterator<Item = &KeyEntry> {
        self.entries.iter()
    }

    /// Reads the text of a key file: key lines, empty lines, and comments that begin with `#`.
    ///
    /// # Errors
    /// [`KeyRingError`] naming the line and what belongs there; never quoting it.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        if text.len() > KEY_FILE_MAX {
            return Err(KeyRingError::TooLong);
        }
        let (mut previous, mut current, mut next) = (None, None, None);
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (role, key) =
                ClusterKey::parse_line(line).map_err(|problem| KeyRingError::Line {
                    line: index + 1,
                    problem,
                })?;
            let place = match role {
                KeyRole::Previous => &mut previous,
                KeyRole::Current => &mut current,
                KeyRole::Next => &mut next,
            };
            if place.replace(key).is_some() {
                return Err(KeyRingError::TwoOfRole(role.as_str()));
            }
        }
        Self::new(previous, current.ok_or(KeyRingError::NoCurrent)?, next)
    }

    /// The text of a key file with these keys: handle as a secret.
    #[must_use]
    pub fn format(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(512));
        text.push_str("# Castor cluster keys. Secret: whoever reads this can forge sessions.\n");
        for role in [KeyRole::Previous, KeyRole::Current, KeyRole::Next] {
            if let Some(entry) = self.role(role) {
                text.push_str(&entry.key.format_line(role));
                text.push('\n');
            }
        }
        text
    }

    /// Whether both rings hold the same keys in the same roles; takes the same time either way.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        [KeyRole::Previous, KeyRole::Current, KeyRole::Next]
            .into_iter()
            .all(|role| match (self.role(role), other.role(role)) {
                (None, None) => true,
                (Some(a), Some(b)) => {
                    let equal = a.key.secret.as_slice().ct_eq(b.key.secret.as_slice());
                    a.id() == b.id() && bool::from(equal)
                }
                _ => false,
            })
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

const KEY_LINE: &str = "castor-key-v1";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn key(id: u32, fill: u8) -> ClusterKey {
        ClusterKey::new(KeyId(id), Zeroizing::new([fill; 32]), 1_700_000_000_000)
    }

    #[test]
    fn a_ring_survives_its_text() {
        let ring = KeyRing::new(Some(key(1, 1)), key(2, 2), Some(key(0xabc, 3))).unwrap();
        let read = KeyRing::parse(&ring.format()).unwrap();
        assert!(ring.same_as(&read));
        assert_eq!(read.current().id(), KeyId(2));
        assert_eq!(read.get(KeyId(0xabc)).unwrap().role(), KeyRole::Next);
        assert!(read.get(KeyId(9)).is_none());
    }

    #[test]
    fn every_purpose_has_a_key_of_its_own_and_none_is_the_secret() {
        let ring = KeyRing::new(None, key(1, 9), None).unwrap();
        let mut all: BTreeSet<[u8; 32]> = Purpose::ALL
            .iter()
            .map(|purpose| *ring.current().subkey(*purpose))
            .collect();
        all.insert([9; 32]);
        assert_eq!(all.len(), Purpose::ALL.len() + 1);
        for (place, purpose) in Purpose::ALL.into_iter().enumerate() {
            assert_eq!(purpose as usize, place);
        }
    }

    #[test]
    fn no_debug_output_shows_a_secret() {
        let secret = [0xa7; 32];
        let ring = KeyRing::new(None, key(1, 0xa7), Some(key(2, 0xa7))).unwrap();
        let shown = format!("{ring:?} {:?} {:#?}", key(1, 0xa7), ring.current());
        assert!(!shown.contains(&base64url::encode(&secret)));
        assert!(
            !shown.contains("167") && !shown.to_lowercase().contains("a7, "),
            "{shown}"
        );
    }

    #[test]
    fn errors_name_the_line_and_not_its_content() {
        let good = key(1, 1).format_line(KeyRole::Current);
        let cut = &good[..good.len() - 1];
        for (line, problem) in [
            ("hello", "castor-key-v1"),
            ("castor-key-v1 newest 00000001 1 AAAA", "second word"),
            ("castor-key-v1 next 1 1 AAAA", "third word"),
            ("castor-key-v1 next 00000001 yesterday AAAA", "fourth word"),
            ("castor-key-v1 next 00000001 1 !!!!", "fifth word"),
            ("castor-key-v1 next 00000001 1 AAAA", "32 bytes"),
        ] {
            let text = format!("# comment\n\n{line}\n");
            let error = KeyRing::parse(&text).unwrap_err().to_string();
            assert!(
                error.contains("line 3") && error.contains(problem),
                "{error}"
            );
        }
        let error = KeyRing::parse(cut).unwrap_err().to_string();
        assert!(!error.contains(&good[40..50]), "{error}");
        assert_eq!(KeyRing::parse("").unwrap_err(), KeyRingError::NoCurrent);
        let twice = format!("{}\n{}\n", good.as_str(), good.as_str());
        assert_eq!(
            KeyRing::parse(&twice).unwrap_err(),
            KeyRingError::TwoOfRole("current")
        );
        let same_id = format!(
            "{}\n{}\n",
            good.as_str(),
            key(1, 2).format_line(KeyRole::Next).as_str()
        );
        assert_eq!(
            KeyRing::parse(&same_id).unwrap_err(),
            KeyRingError::TwoOfId(1)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "\\PC{0,200}") {
            let _ = KeyRing::parse(&text);
        }

        #[test]
        fn any_key_survives_its_line(id: u32, created: u64, secret: [u8; 32]) {
            prop_assume!(secret != [0; 32]);
            let key = ClusterKey::new(KeyId(id), Zeroizing::new(secret), created);
            let (role, read) = ClusterKey::parse_line(&key.format_line(KeyRole::Next)).unwrap();
            prop_assert_eq!(role, KeyRole::Next);
            prop_assert_eq!((read.id, read.created, *read.secret), (key.id, key.created, secret));
        }
    }
}
