//! Proxy-granting and proxy tickets.
//!
//! A proxy-granting ticket follows from a validation: its id and the name under which it is
//! delivered are derived from ticket and claim (rule 12), so that two nodes that answer the same
//! request, sent twice, create the same one. It lives as long as its session and dies with it and
//! with every proxy-granting ticket that it came from (rule 14).

use castor_proto::delta::DestroyReason;
use castor_proto::ids::WallMs;
use castor_proto::seal::Purpose;
use castor_proto::ticket::{
    Payload, Pgt, Pt, TicketBody, TicketId, TicketKey, TicketKind, random_part,
};
use castor_replication::driver::LookUp;
use castor_replication::engine::{NewReusable, NewSingleUse, Ticket};

use super::consume::{ClaimRequest, Granted};
use super::{TicketError, Tickets, Visited};

/// Longer than any session; every ticket is cut to its session's end.
const WHOLE_LIFE_MS: u64 = 366 * 24 * 3_600_000;

/// A proxy-granting ticket, made but not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyGranting {
    /// Its id: a credential, for the callback only.
    pub id: TicketId,
    /// The name under which it is delivered, for the answer of the validation.
    pub iou: TicketId,
}

/// A proxy-granting ticket that can be used now.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxySession {
    /// What it says.
    pub pgt: Pgt,
    /// When the credentials of its session were accepted.
    pub authenticated_at: WallMs,
    /// When its session was used last, as far as this node knows.
    pub last_used: WallMs,
    key: TicketKey,
    ancestors: Vec<TicketKey>,
}

impl std::fmt::Debug for ProxySession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProxySession({:?})", self.key)
    }
}

impl ProxySession {
    fn of(body: &TicketBody, root: &Ticket) -> Option<Self> {
        let (Payload::Pgt(pgt), Payload::Tgt(tgt)) = (&body.payload, &root.body.payload) else {
            return None;
        };
        Some(Self {
            pgt: pgt.clone(),
            authenticated_at: tgt.authenticated_at,
            last_used: root.last_used,
            key: body.key(),
            ancestors: body.ancestors.clone(),
        })
    }
}

/// What the id of a proxy-granting ticket stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundProxy {
    /// A ticket.
    Live(Box<ProxySession>),
    /// None any more, or never.
    Gone,
    /// Nodes that may know it do not answer.
    Undecided,
}

impl Tickets {
    /// Makes the proxy-granting ticket of a validation; answers when every peer holds it, or after
    /// one second. `life_seconds` is the definition's own lifetime, else it lives as long as its
    /// session.
    ///
    /// # Errors
    /// [`TicketError::SessionEnded`], [`TicketError::Full`] or [`TicketError::NotNow`].
    pub async fn proxy_granting_ticket(
        &self,
        claim: &ClaimRequest<'_>,
        granted: &Granted,
        callback: &str,
        life_seconds: Option<u32>,
    ) -> Result<ProxyGranting, TicketError> {
        let (made, key_id) = self.derive(claim).ok_or(TicketError::NotNow)?;
        let (proxies, ancestors) = match &granted.payload {
            Payload::Pt(pt) => (pt.proxies.clone(), granted.ancestors.clone()),
            _ => (Vec::new(), granted.ancestors.clone()),
        };
        let pgt = Pgt {
            principal: granted.session.principal.clone(),
            callback: callback.to_owned(),
            proxies,
        };
        let new = NewReusable {
            id: Some(made.id.clone()),
            life_ms: life_seconds.map_or(WHOLE_LIFE_MS, |s| u64::from(s) * 1000),
            // It idles away with its session.
            idle_ms: 0,
            ancestors,
            payload: Payload::Pgt(pgt),
            key_id: Some(key_id),
        };
        self.handle.create(new).await?;
        Ok(made)
    }

    /// Takes back a proxy-granting ticket that could not be delivered.
    ///
    /// # Errors
    /// [`TicketError::NotNow`]: it lives on until its session ends; nobody has its id.
    pub async fn revoke_proxy_granting_ticket(&self, id: &TicketId) -> Result<(), TicketError> {
        self.handle.destroy(id, DestroyReason::Operator).await?;
        Ok(())
    }

    /// The proxy-granting ticket of an id.
    pub async fn proxy_session(&self, id: &TicketId) -> FoundProxy {
        match self.handle.look_up(id).await {
            // Looking it up has fetched the session when this node did not have it.
            LookUp::Live(ticket) => match self.handle.store().find(&ticket.body.root()) {
                Some(root) => ProxySession::of(&ticket.body, &root)
                    .map_or(FoundProxy::Gone, |found| FoundProxy::Live(Box::new(found))),
                None => FoundProxy::Undecided,
            },
            LookUp::Unknown | LookUp::Destroyed | LookUp::Expired | LookUp::Idle => {
                FoundProxy::Gone
            }
            LookUp::Unreachable => FoundProxy::Undecided,
        }
    }

    /// The applications that were visited in the session of a proxy-granting ticket, as far as this
    /// node knows them.
    pub fn visited(&self, from: &ProxySession) -> Visited {
        let root = from.ancestors.first();
        let entry = root.and_then(|root| self.handle.store().entry(root));
        entry.map(|entry| entry.services).unwrap_or_default()
    }

    /// Issues a proxy ticket, which counts as a use of the session; answers when a majority of its
    /// view holds it and the session remembers the application.
    ///
    /// `life_seconds` is the definition's own lifetime.
    ///
    /// # Errors
    /// [`TicketError::SessionEnded`] when the session was ended meanwhile.
    pub async fn proxy_ticket(
        &self,
        from: &ProxySession,
        service: &str,
        registered_service: i64,
        life_seconds: Option<u32>,
    ) -> Result<TicketId, TicketError> {
        let mut proxies = vec![from.pgt.callback.clone()];
        proxies.extend(from.pgt.proxies.iter().cloned());
        let mut ancestors = from.ancestors.clone();
        ancestors.push(from.key);
        let new = NewSingleUse {
            ancestors,
            life_ms: self.policy.of_proxy_ticket(life_seconds),
            service: Some((registered_service, service.to_owned())),
            payload: Payload::Pt(Pt {
                service: service.to_owned(),
                registered_service,
                // Nobody typed a password for it.
                from_new_login: false,
                proxies,
            }),
        };
        let issued = self.handle.issue(new).await?;
        Ok(issued.body.id.clone())
    }

    /// The ids that follow from a claim, and the key that they were made with: the one that the
    /// ticket's own id was made with, so that a key change between two sends changes nothing.
    fn derive(&self, claim: &ClaimRequest<'_>) -> Option<(ProxyGranting, u32)> {
        let ring = self.keyring();
        let entry = ring
            .iter()
            .find(|key| claim.ticket.is_genuine(key.subkey(Purpose::TicketCheck)))?;
        let claim_id = self.claim_id(claim);
        let make = |kind: TicketKind| {
            let mut hasher = blake3::Hasher::new_keyed(entry.subkey(Purpose::Derive));
            hasher.update(kind.prefix().as_bytes());
            hasher.update(&[0]);
            hasher.update(claim.ticket.as_str().as_bytes());
            hasher.update(&[0]);
            hasher.update(&claim_id.0);
            let mut reader = hasher.finalize_xof();
            let random = random_part(&mut |bytes| reader.fill(bytes));
            let check = entry.subkey(Purpose::TicketCheck);
            TicketId::derived(kind, claim.ticket, &random, check)
        };
        let made = ProxyGranting {
            id: make(TicketKind::Pgt)?,
            iou: make(TicketKind::PgtIou)?,
        };
        Some((made, entry.id().0))
    }
}
