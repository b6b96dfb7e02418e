//! Who is to be told that a session ended, and who has been (rules 15 and 15b).

use castor_proto::delta::{Entry, ServiceKey, ServiceUse};
use castor_proto::ids::WallMs;
use castor_proto::seal::keyring::Purpose;
use castor_proto::ticket::{Payload, Principal, TicketBody, TicketId, TicketKey};

use super::{Session, TicketError, Tickets};

/// Bytes of a logout request's id before they are written as hexadecimal digits.
const REQUEST_ID_BYTES: usize = 12;

/// Applications visited in a session, each with its newest service ticket.
pub type Visited = Vec<(ServiceKey, ServiceUse)>;

/// A session whose applications this node is to tell.
#[derive(Debug, Clone)]
pub struct Untold {
    /// The key under which replicas keep it.
    pub key: TicketKey,
    /// Its masked id; empty when only its end is known.
    pub masked: String,
    /// Whose it was.
    pub principal: Option<Principal>,
    /// Who has not been told.
    pub visited: Visited,
    /// It expired; otherwise the node that took the logout has gone.
    pub expired: bool,
}

impl Untold {
    fn of(entry: Entry) -> Self {
        let body = entry.body.as_ref();
        let body = body.and_then(|bytes| TicketBody::decode(bytes).ok());
        let told = |key: ServiceKey, used: &ServiceUse| {
            let mut told = entry.told.iter();
            told.any(|(other, stamp)| *other == key && *stamp >= used.stamp)
        };
        let services = entry.services.iter();
        let untold = services.filter(|(key, used)| !told(*key, used)).cloned();
        Self {
            key: entry.key,
            visited: untold.collect(),
            masked: body.as_ref().map(|b| b.id.masked()).unwrap_or_default(),
            principal: body.and_then(|body| match body.payload {
                Payload::Tgt(tgt) => Some(tgt.principal),
                _ => None,
            }),
            expired: entry.destroyed.is_none(),
        }
    }
}

impl Tickets {
    /// The next session whose applications this node is to tell; `None` when replication has ended.
    pub async fn next_untold(&self) -> Option<Untold> {
        self.handle.next_duty().await.map(Untold::of)
    }

    /// Notes that applications were told, each of the use with this stamp, so that no other node
    /// tells them again.
    ///
    /// # Errors
    /// [`TicketError::NotNow`]: another node may tell them again should this one die soon.
    pub async fn told(
        &self,
        session: TicketKey,
        services: Vec<(ServiceKey, WallMs)>,
    ) -> Result<(), TicketError> {
        Ok(self.handle.told(session, services).await?)
    }

    /// The applications of a session that have not been told, as this node knows them now.
    pub fn untold(&self, session: &TicketKey) -> Visited {
        let entry = self.handle.store().entry(session);
        entry
            .map(|entry| Untold::of(entry).visited)
            .unwrap_or_default()
    }

    /// Gives the applications of a session to the one that took its place, so that they are told when
    /// that one ends.
    ///
    /// # Errors
    /// [`TicketError::NotNow`]: they will not be told.
    pub async fn adopt(
        &self,
        old: &Session,
        new: &Session,
        visited: Visited,
    ) -> Result<(), TicketError> {
        if visited.is_empty() {
            return Ok(());
        }
        let stamps = visited.iter().map(|(key, used)| (*key, used.stamp));
        let told = stamps.collect();
        self.handle.adopt(new.key(), visited).await?;
        self.told(old.key(), told).await
    }

    /// The id of the logout request about one ticket of a session: the same on every node and at every
    /// attempt, so that an application can recognise a double.
    pub fn logout_request_id(&self, session: &TicketKey, ticket: &str) -> String {
        let ring = self.keyring();
        // The key the ticket was made with: a change of keys between two attempts changes nothing.
        let made_with = TicketId::parse(ticket).ok().and_then(|id| {
            ring.iter()
                .find(|key| id.is_genuine(key.subkey(Purpose::TicketCheck)))
        });
        let key = made_with.unwrap_or_else(|| ring.current());
        let mut hasher = blake3::Hasher::new_keyed(key.subkey(Purpose::Derive));
        hasher.update(b"logout request\0");
        hasher.update(&session.0);
        hasher.update(ticket.as_bytes());
        let mut id = [0_u8; REQUEST_ID_BYTES];
        hasher.finalize_xof().fill(&mut id);
        let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("LR-1-{digits}")
    }
}
