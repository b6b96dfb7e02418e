//! Consuming service and proxy tickets.
//!
//! The ticket is consumed first and judged afterwards (rule 11): whatever the judgement, it is used
//! up. A request that a trusted proxy sends again carries the same claim id and gets the same
//! answer.

use castor_proto::ids::ClaimId;
use castor_proto::seal::Purpose;
use castor_proto::ticket::{Payload, Tgt, TicketId, TicketKey};
use castor_replication::engine::ClaimOutcome;

use super::Tickets;

/// The HTTP request that wants to consume a ticket, in everything that may change its answer.
#[derive(Debug, Clone, Copy)]
pub struct ClaimRequest<'a> {
    /// The request id of a trusted proxy, or random.
    pub request_id: &'a str,
    /// Path of the endpoint below the prefix.
    pub endpoint: &'a str,
    /// The ticket.
    pub ticket: &'a TicketId,
    /// The service as sent.
    pub service: &'a str,
    /// `pgtUrl` as sent.
    pub pgt_url: Option<&'a str>,
    /// Whether `renew` was sent.
    pub renew: bool,
    /// `format` as sent.
    pub format: Option<&'a str>,
}

/// What a ticket granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// What the ticket says.
    pub payload: Payload,
    /// What its session says.
    pub session: Tgt,
    /// Root session first, then every proxy-granting ticket it came through.
    pub ancestors: Vec<TicketKey>,
}

/// Why a ticket is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Never issued, or forgotten.
    Unknown,
    /// Used before.
    Used,
    /// Too old.
    Expired,
    /// Its session was ended.
    SessionEnded,
}

/// How consuming went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consumed {
    /// This request consumed it.
    Granted(Box<Granted>),
    /// It is not good.
    Refused(Refusal),
    /// It cannot be decided now; another node may be able to.
    Undecided,
}

impl Tickets {
    /// Consumes a ticket.
    pub async fn consume(&self, request: &ClaimRequest<'_>) -> Consumed {
        let claim = self.claim_id(request);
        let body = match self.handle.claim(request.ticket, claim).await {
            ClaimOutcome::Won(body) | ClaimOutcome::Replayed(body) => body,
            ClaimOutcome::Lost => return Consumed::Refused(Refusal::Used),
            ClaimOutcome::Destroyed => return Consumed::Refused(Refusal::SessionEnded),
            ClaimOutcome::Expired => return Consumed::Refused(Refusal::Expired),
            ClaimOutcome::Unknown => return Consumed::Refused(Refusal::Unknown),
            ClaimOutcome::NoQuorum => return Consumed::Undecided,
        };
        // The claim has fetched the session when this node did not have it.
        let Some(session) = self.handle.store().find(&body.root()) else {
            return Consumed::Undecided;
        };
        if session.destroyed.is_some() {
            return Consumed::Refused(Refusal::SessionEnded);
        }
        let Payload::Tgt(tgt) = session.body.payload else {
            return Consumed::Refused(Refusal::Unknown);
        };
        Consumed::Granted(Box::new(Granted {
            payload: body.payload.clone(),
            session: tgt,
            ancestors: body.ancestors.clone(),
        }))
    }

    /// The claim id (rule 4). Its key is the one that the ticket's id was made with, so that a key
    /// change between two sends of one request changes nothing.
    pub(super) fn claim_id(&self, request: &ClaimRequest<'_>) -> ClaimId {
        let ring = self.keyring();
        let made_with = ring
            .iter()
            .find(|key| request.ticket.is_genuine(key.subkey(Purpose::TicketCheck)))
            .unwrap_or_else(|| ring.current());
        claim_id(made_with.subkey(Purpose::Claim), request)
    }
}

fn claim_id(key: &[u8; 32], request: &ClaimRequest<'_>) -> ClaimId {
    let mut hasher = blake3::Hasher::new_keyed(key);
    // Lengths before texts, so that no two requests write the same bytes.
    let mut text = |text: Option<&str>| {
        let text = text.unwrap_or("\u{0}");
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    text(Some(request.request_id));
    text(Some(request.endpoint));
    text(Some(request.ticket.as_str()));
    text(Some(request.service));
    text(request.pgt_url);
    text(Some(if request.renew { "renew" } else { "" }));
    text(request.format);
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    ClaimId(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use castor_proto::ids::NodeName;
    use castor_proto::ticket::{IdKeys, IdParts, TicketKind};

    fn ticket(fill: char) -> TicketId {
        let node = NodeName::parse("n1").unwrap();
        let parts = IdParts {
            kind: TicketKind::St,
            sequence: 1,
            random: &fill.to_string().repeat(27),
            nodes: &[&node],
        };
        let keys = IdKeys {
            check: &[1; 32],
            tag: &[2; 32],
        };
        TicketId::build(&parts, &keys)
    }

    #[test]
    fn everything_that_may_change_the_answer_changes_the_claim() {
        let (one, two) = (ticket('a'), ticket('b'));
        let base = ClaimRequest {
            request_id: "r1",
            endpoint: "/serviceValidate",
            ticket: &one,
            service: "https://a/",
            pgt_url: None,
            renew: false,
            format: None,
        };
        let others = [
            ClaimRequest {
                request_id: "r2",
                ..base
            },
            ClaimRequest {
                endpoint: "/p3/serviceValidate",
                ..base
            },
            ClaimRequest {
                ticket: &two,
                ..base
            },
            ClaimRequest {
                service: "https://b/",
                ..base
            },
            ClaimRequest {
                pgt_url: Some(""),
                ..base
            },
            ClaimRequest {
                renew: true,
                ..base
            },
            ClaimRequest {
                format: Some("JSON"),
                ..base
            },
            ClaimRequest {
                request_id: "r",
                endpoint: "1/serviceValidate",
                ..base
            },
        ];
        let id = |request: &ClaimRequest<'_>| claim_id(&[7; 32], request);
        assert_eq!(id(&base), id(&base.clone()));
        for other in others {
            assert_ne!(id(&base), id(&other), "{other:?}");
        }
        assert_ne!(id(&base), claim_id(&[8; 32], &base));
    }
}
