//! The first words on a link, the same in every wire version.
//!
//! A hello travels inside mutual TLS, so both ends are known to hold a certificate of the cluster's
//! authority before a byte of it is read; the answering side also checks that the name in it is a
//! name of that certificate. Promises: the layout never changes, so that any two releases can tell
//! each other why they do not get along.

use std::fmt;

use crate::codec::{SchemaRead, SchemaWrite};
use crate::ids::{Incarnation, NodeName};
use crate::limits;
use crate::message::Phase;
use crate::version::VersionRange;

/// What distinguishes clusters on the wire: the first 16 bytes of a digest of the cluster's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, SchemaRead, SchemaWrite)]
pub struct ClusterTag(pub [u8; 16]);

impl ClusterTag {
    /// The tag of the cluster with this name.
    #[must_use]
    pub fn of(cluster: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("castor 2026 cluster tag v1");
        hasher.update(cluster.as_bytes());
        let mut tag = [0; 16];
        hasher.finalize_xof().fill(&mut tag);
        Self(tag)
    }
}

impl fmt::Debug for ClusterTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster:{:016x}", u128::from_be_bytes(self.0) >> 64)
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Hello {
    /// The caller's cluster.
    pub cluster: ClusterTag,
    /// The caller's node name; must be in its certificate.
    pub node: NodeName,
    /// The caller's incarnation (one process start).
    pub incarnation: Incarnation,
    /// Wire versions the caller speaks.
    pub wire: VersionRange,
    /// Ids of the keys in the caller's ring, so that a missing key is named at once.
    pub keys: Vec<u32>,
    /// Where the caller can be called back, `host:port`.
    pub advertise: String,
    /// What the caller holds.
    pub phase: Phase,
}

/// The answer to a hello.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum HelloAnswer {
    /// The link is up.
    Accepted(Accepted),
    /// The link will be closed; `Refusal` says why and what helps.
    Refused(Refusal),
}

/// What the answering side says of itself when it accepts.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Accepted {
    /// The answering node's name; must be in its certificate.
    pub node: NodeName,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The wire version chosen from both ranges.
    pub wire: u16,
    /// Where it can be called.
    pub advertise: String,
    /// What it holds.
    pub phase: Phase,
}

/// Why a hello was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, SchemaRead, SchemaWrite)]
#[non_exhaustive]
pub enum Refusal {
    /// The caller belongs to another cluster.
    #[error("this node belongs to another cluster")]
    OtherCluster,
    /// Another incarnation has this name, and still answers.
    #[error("the node name is in use by a live process at {address}")]
    NameInUse {
        /// Where that process advertises itself.
        address: String,
    },
    /// The ranges do not overlap.
    #[error("no common wire version: this node speaks {0}")]
    NoCommonVersion(VersionRange),
    /// No key is in both rings.
    #[error("no key of the cluster key ring is in common; compare `castor keys list`")]
    NoCommonKey,
    /// The node was removed from the cluster for good.
    #[error("this node name is banned from the cluster")]
    Banned,
    /// The name in the hello is not in the certificate.
    #[error("the certificate was not issued for this node name")]
    NotYourName,
    /// The caller reached itself.
    #[error("this is the calling node itself")]
    Yourself,
    /// Fields longer than they may be.
    #[error("the hello is malformed")]
    Malformed,
}

impl Refusal {
    /// The word under which the refusing side counts it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::OtherCluster => "cluster",
            Self::NameInUse { .. } => "name_in_use",
            Self::NoCommonVersion(_) => "version",
            Self::NoCommonKey => "unknown_key",
            Self::Banned => "banned",
            Self::NotYourName => "sender",
            Self::Yourself => "yourself",
            Self::Malformed => "hello",
        }
    }
}

impl Hello {
    /// Whether every field keeps to its limit.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.node.check()
            && self.keys.len() <= limits::KEYS_MAX
            && self.advertise.len() <= limits::ADDRESS_MAX
    }
}

impl Accepted {
    /// Whether every field keeps to its limit.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.node.check() && self.advertise.len() <= limits::ADDRESS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn clusters_of_different_names_have_different_tags() {
        assert_ne!(ClusterTag::of("blue"), ClusterTag::of("green"));
        assert_eq!(ClusterTag::of("blue"), ClusterTag::of("blue"));
    }

    #[test]
    fn oversized_and_misspelt_fields_are_noticed() {
        let good = Hello {
            cluster: ClusterTag::of("c"),
            node: NodeName::parse("n1").unwrap(),
            incarnation: Incarnation([1; 16]),
            wire: VersionRange::SUPPORTED,
            keys: vec![1, 2, 3],
            advertise: "127.0.0.1:8445".into(),
            phase: Phase::Empty,
        };
        assert!(good.is_bounded());
        // A name is a string on the wire, so a peer can send one that `parse` would refuse.
        for name in [
            "",
            "N1",
            "n_1",
            "n.1",
            "a-name-that-is-far-too-long-for-a-node",
        ] {
            let node = codec::decode::<NodeName>(&codec::encode(&name.to_owned())).unwrap();
            assert!(
                !Hello {
                    node,
                    ..good.clone()
                }
                .is_bounded(),
                "{name}"
            );
        }
        assert!(
            !Hello {
                keys: vec![0; 4],
                ..good.clone()
            }
            .is_bounded()
        );
        assert!(
            !Hello {
                advertise: "x".repeat(261),
                ..good
            }
            .is_bounded()
        );
    }
}
