//! Tickets as they are on the wire and in every node's memory.
//!
//! A [`TicketBody`] is immutable: a ticket id determines exactly one body for ever (rule 2).
//! Whatever changes about a ticket lives in [`crate::delta::Entry`].

mod body;
mod facts;
mod id;
mod payload;

pub use body::TicketBody;
pub use facts::{BodyFacts, SessionOwner};
pub use id::{
    IdKeys, IdParts, ReadTags, TicketId, TicketIdError, TicketKey, TicketKind, node_tag,
    random_part,
};
pub use payload::{Payload, Pgt, Principal, Pt, St, Tgt, Tst};
