//! Service tickets.

use castor_proto::ticket::{Payload, St, TicketId};
use castor_replication::engine::NewSingleUse;

use super::{Session, TicketError, Tickets};

impl Tickets {
    /// Issues a service ticket within a session, which counts as a use of the session; answers when
    /// a majority of its view holds it and the session remembers the application.
    ///
    /// `life_seconds` is the definition's own lifetime.
    ///
    /// # Errors
    /// [`TicketError::SessionEnded`] when the session was ended meanwhile.
    pub async fn service_ticket(
        &self,
        session: &Session,
        service: St,
        life_seconds: Option<u32>,
    ) -> Result<TicketId, TicketError> {
        let new = NewSingleUse {
            ancestors: vec![session.key()],
            life_ms: self.policy.of_service_ticket(life_seconds),
            service: Some((service.registered_service, service.service.clone())),
            payload: Payload::St(service),
        };
        let issued = self.handle.issue(new).await?;
        Ok(issued.body.id.clone())
    }
}
