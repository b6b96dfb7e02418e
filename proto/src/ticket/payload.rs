//! What each kind of ticket says, beyond what replication needs to know of it.

use crate::codec::{SchemaRead, SchemaWrite};
use crate::ids::WallMs;
use crate::ticket::TicketKind;

/// Who signed in, with everything that may be released about them.
#[derive(Clone, Debug, PartialEq, Eq, Default, SchemaRead, SchemaWrite)]
pub struct Principal {
    /// The name applications see.
    pub id: String,
    /// Attribute name and values, in the order in which they are released.
    pub attributes: Vec<(String, Vec<String>)>,
}

/// A ticket-granting ticket: one single sign-on session.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Tgt {
    /// Who signed in.
    pub principal: Principal,
    /// When the credentials were accepted.
    pub authenticated_at: WallMs,
    /// Name of the authentication handler that accepted them.
    pub handler: String,
    /// A long-term session asked for with "remember me".
    pub remember_me: bool,
    /// Address of the browser at sign-in, as text; for the audit trail and session lists.
    pub client_address: String,
}

/// A service ticket: one grant to one application.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct St {
    /// The service URL exactly as it was received.
    pub service: String,
    /// `id` of the registered service that matched at issue.
    pub registered_service: i64,
    /// Granted directly on presentation of primary credentials.
    pub from_new_login: bool,
}

/// A proxy ticket: a grant to a back-end application by way of a proxy.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Pt {
    /// The target service URL exactly as it was received.
    pub service: String,
    /// `id` of the registered service that matched at issue.
    pub registered_service: i64,
    /// Granted in a session that began with primary credentials for this request.
    pub from_new_login: bool,
    /// The `pgtUrl` of every proxy passed through, newest first.
    pub proxies: Vec<String>,
}

/// A proxy-granting ticket: the right of one application to act for the principal.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Pgt {
    /// Who signed in.
    pub principal: Principal,
    /// The `pgtUrl` that received this ticket.
    pub callback: String,
    /// The `pgtUrl` of every proxy passed through, newest first.
    pub proxies: Vec<String>,
}

/// A transient ticket: short-lived state of a flow that another node may finish.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Tst {
    /// What the flow is about, for example a service URL.
    pub subject: String,
    /// Name and value pairs of the flow.
    pub properties: Vec<(String, String)>,
}

/// The kind-specific part of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Payload {
    /// A ticket-granting ticket.
    Tgt(Tgt),
    /// A service ticket.
    St(St),
    /// A proxy ticket.
    Pt(Pt),
    /// A proxy-granting ticket.
    Pgt(Pgt),
    /// A transient ticket.
    Tst(Tst),
}

impl Payload {
    /// The kind this payload belongs to.
    pub fn kind(&self) -> TicketKind {
        match self {
            Self::Tgt(_) => TicketKind::Tgt,
            Self::St(_) => TicketKind::St,
            Self::Pt(_) => TicketKind::Pt,
            Self::Pgt(_) => TicketKind::Pgt,
            Self::Tst(_) => TicketKind::Tst,
        }
    }
}
