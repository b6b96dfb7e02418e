//! What replication has to know of a body in order to keep it, read without copying any of its texts.
//!
//! A node that fills itself reads a million bodies, nearly all of them of sessions. [`BodyFacts::of`]
//! judges exactly as [`TicketBody::decode`]; a test holds the two against each other.

use crate::codec::{self, SchemaRead};
use crate::error::DecodeError;
use crate::ids::{Member, WallMs};
use crate::limits;
use crate::ticket::{TicketBody, TicketId, TicketKey, TicketKind};

/// What a sound body says of its ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyFacts {
    /// The key under which replicas keep it.
    pub key: TicketKey,
    /// Its kind.
    pub kind: TicketKind,
    /// After this moment (plus tolerance) nobody accepts it.
    pub hard_expiry: WallMs,
    /// Longest pause between two uses, milliseconds; 0 for any.
    pub idle_ms: u64,
}

/// Whose session a body is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOwner<'a> {
    /// Id of the principal.
    pub principal: &'a str,
    /// When the session began.
    pub created: WallMs,
}

impl<'a> SessionOwner<'a> {
    /// Reads an encoded body; absent when it is not of a session.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let session = codec::decode_borrowed::<Session<'a>>(bytes).ok()?;
        let Payload::Tgt(tgt) = session.payload;
        Some(Self {
            principal: tgt.principal,
            created: session.created,
        })
    }
}

impl BodyFacts {
    /// Reads an encoded body.
    ///
    /// # Errors
    /// Whatever [`TicketBody::decode`] refuses, for the same reason.
    pub fn of(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > limits::TICKET_BODY_MAX {
            return Err(DecodeError::TooLarge);
        }
        match codec::decode_borrowed::<Session<'_>>(bytes) {
            Ok(session) => session.facts().ok_or(DecodeError::Rule),
            Err(_) => TicketBody::decode(bytes).map(|body| Self {
                key: body.key(),
                kind: body.kind(),
                hard_expiry: body.hard_expiry,
                idle_ms: body.idle_ms,
            }),
        }
    }
}

/// A [`TicketBody`] whose payload is a session's; other kinds do not decode as one.
#[derive(SchemaRead)]
struct Session<'a> {
    id: &'a str,
    created: WallMs,
    hard_expiry: WallMs,
    idle_ms: u64,
    ancestors: Vec<TicketKey>,
    view: Vec<Member>,
    key_id: u32,
    payload: Payload<'a>,
}

#[derive(SchemaRead)]
enum Payload<'a> {
    Tgt(Tgt<'a>),
}

#[derive(SchemaRead)]
struct Tgt<'a> {
    principal: &'a str,
    attributes: Vec<(&'a str, Vec<&'a str>)>,
    authenticated_at: WallMs,
    handler: &'a str,
    remember_me: bool,
    client_address: &'a str,
}

impl Session<'_> {
    fn facts(&self) -> Option<BodyFacts> {
        let times = [self.created, self.hard_expiry, self.idle_ms];
        let sound = TicketId::kind_of_sound(self.id) == Some(TicketKind::Tgt)
            && self.ancestors.is_empty()
            && self.view.is_empty()
            && times.iter().all(|moment| *moment <= limits::WALL_MAX);
        sound.then(|| BodyFacts {
            key: TicketKey::of(self.id),
            kind: TicketKind::Tgt,
            hard_expiry: self.hard_expiry,
            idle_ms: self.idle_ms,
        })
    }
}
