//! The immutable body of a ticket: what every replica must agree on before it decides anything.

use crate::codec::{self, SchemaRead, SchemaWrite};
use crate::error::DecodeError;
use crate::ids::{Member, WallMs};
use crate::limits;
use crate::ticket::{Payload, TicketId, TicketKey, TicketKind};

/// Everything about a ticket that never changes after issue.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct TicketBody {
    /// The full id. A credential: never logged whole.
    pub id: TicketId,
    /// When it was issued, on the issuer's own clock.
    pub created: WallMs,
    /// After this moment (plus tolerance) nobody accepts it; a child never outlives its root.
    pub hard_expiry: WallMs,
    /// Longest pause between two uses, in milliseconds; 0 means that only `hard_expiry` counts.
    pub idle_ms: u64,
    /// The root session first, then every ancestor down to the parent; empty for a session.
    pub ancestors: Vec<TicketKey>,
    /// Who decides its consumption: the issuer first, an odd number of members; empty when the
    /// ticket is reusable.
    pub view: Vec<Member>,
    /// Key-ring id of the key behind claim ids and derived ids of this ticket (rule 4).
    pub key_id: u32,
    /// The kind-specific part.
    pub payload: Payload,
}

impl TicketBody {
    /// The kind of this ticket.
    pub fn kind(&self) -> TicketKind {
        self.payload.kind()
    }

    /// The key under which replicas keep it.
    pub fn key(&self) -> TicketKey {
        self.id.key()
    }

    /// The session at the root of this ticket; its own key when it is a session itself.
    pub fn root(&self) -> TicketKey {
        self.ancestors
            .first()
            .copied()
            .unwrap_or_else(|| self.key())
    }

    /// Encodes for the wire and for memory.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes and checks the rules that a decoder can check alone.
    ///
    /// # Errors
    /// A body that is malformed, too large, or breaks a rule of its kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > limits::TICKET_BODY_MAX {
            return Err(DecodeError::TooLarge);
        }
        let body: Self = codec::decode(bytes)?;
        body.check()?;
        Ok(body)
    }

    fn check(&self) -> Result<(), DecodeError> {
        let id_ok = self.id.check() && self.id.kind() == Some(self.kind());
        let view_ok = if self.kind().is_single_use() {
            self.view.len() % 2 == 1 && self.view.len() <= limits::VIEW_MAX
        } else {
            self.view.is_empty()
        };
        let names_ok = self.view.iter().all(|m| m.node.check());
        let distinct = self.view.iter().enumerate().all(|(i, m)| {
            self.view
                .iter()
                .skip(i + 1)
                .all(|other| other.node != m.node)
        });
        let times = [self.created, self.hard_expiry, self.idle_ms];
        let times_ok = times.iter().all(|moment| *moment <= limits::WALL_MAX);
        let root_ok = self.kind() != TicketKind::Tgt || self.ancestors.is_empty();
        if id_ok
            && view_ok
            && names_ok
            && distinct
            && root_ok
            && times_ok
            && self.ancestors.len() <= limits::ANCESTORS_MAX
        {
            Ok(())
        } else {
            Err(DecodeError::Rule)
        }
    }
}
