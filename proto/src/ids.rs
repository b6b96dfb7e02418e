//! Who is who: node names, process incarnations, claims.
//!
//! Newtypes only; nothing here draws randomness or reads a clock. Every `Debug` is short enough for
//! a log line and shows no secret.

use std::fmt;

use crate::codec::{SchemaRead, SchemaWrite};

/// Milliseconds since the Unix epoch.
pub type WallMs = u64;

/// A node's name: 1 to 32 characters `a-z`, `0-9` and `-`; stable over restarts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct NodeName(String);

/// A name that is not a node name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a node name has 1 to 32 characters a-z, 0-9 and -, and starts with a letter or digit")]
pub struct NodeNameError;

impl NodeName {
    /// Longest accepted name, in bytes.
    pub const MAX: usize = 32;

    /// Checks and takes a name.
    pub fn parse(name: &str) -> Result<Self, NodeNameError> {
        if Self::is_valid(name) {
            Ok(Self(name.to_owned()))
        } else {
            Err(NodeNameError)
        }
    }

    /// Whether this value, perhaps decoded from the wire, keeps the rules of a name.
    pub fn check(&self) -> bool {
        Self::is_valid(&self.0)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_valid(name: &str) -> bool {
        let bytes = name.as_bytes();
        (1..=Self::MAX).contains(&bytes.len())
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes
                .iter()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The random number of one process start (rule 1). Memory is volatile, so a new incarnation has
/// forgotten what the old one granted; votes compare incarnations for equality only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct Incarnation(pub [u8; 16]);

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl Incarnation {
    /// Reads the 32 hexadecimal digits that `Display` writes, and no other text for them.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(digit) {
            return None;
        }
        let mut bytes = [0u8; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// One process of the cluster: a name and its incarnation. What a view is made of.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct Member {
    /// The node's stable name.
    pub node: NodeName,
    /// The process start.
    pub incarnation: Incarnation,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, ..] = self.incarnation.0;
        write!(f, "{}/{a:02x}{b:02x}", self.node)
    }
}

/// The identity of one HTTP request that wants to consume a ticket (rule 4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct ClaimId(pub [u8; 16]);

impl fmt::Debug for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, ..] = self.0;
        write!(f, "claim {a:02x}{b:02x}{c:02x}")
    }
}

/// A ballot of the per-ticket consensus (rule 6): round 0 belongs to the issuer; a fallback attempt
/// has round >= 1 and a nonce of its own. Compared lexicographically.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, SchemaRead, SchemaWrite,
)]
pub struct Ballot {
    /// 0 for the issuer's own ballot.
    pub round: u32,
    /// Fresh for every attempt; 0 in round 0.
    pub nonce: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_are_checked() {
        assert!(NodeName::parse("node-1").is_ok());
        for bad in ["", "-a", "Node", "a_b", "a.b", &"x".repeat(33), "é"] {
            assert!(NodeName::parse(bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn incarnations_print_and_parse() {
        let one = Incarnation([7; 16]);
        assert_eq!(Incarnation::parse(&one.to_string()), Some(one));
        assert_eq!(Incarnation::parse("07"), None);
        assert_eq!(Incarnation::parse(&"zz".repeat(16)), None);
        // `from_str_radix` alone would take a sign.
        assert_eq!(Incarnation::parse(&"+7".repeat(16)), None);
    }
}
