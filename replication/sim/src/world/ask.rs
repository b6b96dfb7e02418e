//! Asking the nodes of a world: what tests do with it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that gets another kind of answer has failed"
)]

use std::sync::Arc;

use castor_proto::delta::DestroyReason;
use castor_proto::ids::{ClaimId, NodeName};
use castor_proto::ticket::{
    Payload, Principal, St, Tgt, TicketBody, TicketId, TicketKey, TicketKind, node_tag,
};
use castor_replication::engine::{
    ClaimOutcome, Command, Destroyed, Input, NewReusable, NewSingleUse, Reply,
};

use super::{Happening, WALL_START, World};

impl World {
    /// Asks a node for something; the answer has the number returned. A stopped process is asked when
    /// it goes on.
    pub fn command(&mut self, i: usize, command: Command) -> u64 {
        self.next_command += 1;
        let number = self.next_command;
        let stopped = self.frozen.get(&i).map(|(_, until)| *until);
        match (stopped.filter(|until| *until > self.now), &self.nodes[i]) {
            (Some(until), Some(node)) => {
                let ask = Happening::Ask {
                    node: i,
                    life: node.life,
                    number,
                    command,
                };
                self.schedule(until, ask);
            }
            _ => self.input(i, Input::Command(number, command)),
        }
        number
    }

    /// Waits for an answer.
    pub fn answer(&mut self, number: u64) -> Reply {
        self.until("an answer", |w| w.replies.contains_key(&number));
        self.replies.remove(&number).unwrap()
    }

    /// A sign-in.
    pub fn new_session(user: &str, life_ms: u64, idle_ms: u64) -> Command {
        let principal = Principal {
            id: user.to_owned(),
            attributes: vec![("mail".into(), vec![format!("{user}@example.org")])],
        };
        let payload = Payload::Tgt(Tgt {
            principal,
            authenticated_at: 0,
            handler: "test".into(),
            remember_me: false,
            client_address: "192.0.2.1".into(),
        });
        Command::Create(Box::new(NewReusable {
            id: None,
            life_ms,
            idle_ms,
            ancestors: Vec::new(),
            payload,
            key_id: None,
        }))
    }

    /// A session that lives for eight hours.
    pub fn sign_in(&mut self, i: usize) -> TicketKey {
        let number = self.command(i, Self::new_session("ada", 28_800_000, 7_200_000));
        match self.answer(number) {
            Reply::Created(Ok(created)) => created.body.key(),
            other => panic!("not created: {other:?}"),
        }
    }

    /// A service ticket that lives for ten seconds.
    pub fn new_ticket(session: TicketKey, service: &str) -> Command {
        Command::Issue(Box::new(NewSingleUse {
            ancestors: vec![session],
            life_ms: 10_000,
            payload: Payload::St(St {
                service: service.to_owned(),
                registered_service: 1,
                from_new_login: true,
            }),
            service: Some((1, service.to_owned())),
        }))
    }

    /// Issues a service ticket.
    pub fn issue(&mut self, i: usize, session: TicketKey) -> Arc<TicketBody> {
        let number = self.command(i, Self::new_ticket(session, "https://app.example.org/"));
        match self.answer(number) {
            Reply::Issued(Ok(issued)) => issued.body,
            other => panic!("not issued: {other:?}"),
        }
    }

    /// The nodes that an id names.
    pub fn hints(id: &TicketId, nodes: usize) -> Vec<NodeName> {
        let names = (0..nodes).map(Self::name);
        let tags = id.tags();
        names
            .filter(|name| tags.contains(&node_tag(&[2; 32], name).as_str()))
            .collect()
    }

    /// A claim of a ticket in a world of so many nodes.
    pub fn new_claim(id: &TicketId, claim: u8, nodes: usize) -> Command {
        Command::Claim {
            key: id.key(),
            hints: Self::hints(id, nodes),
            unresolved_hint: false,
            claim: ClaimId([claim; 16]),
        }
    }

    /// Claims a ticket, without waiting.
    pub fn start_claim(&mut self, i: usize, id: &TicketId, claim: u8) -> u64 {
        let command = Self::new_claim(id, claim, self.nodes.len());
        self.command(i, command)
    }

    /// Claims a ticket.
    pub fn claim(&mut self, i: usize, id: &TicketId, claim: u8) -> ClaimOutcome {
        let number = self.start_claim(i, id, claim);
        self.claimed(number)
    }

    /// How a claim ended.
    pub fn claimed(&mut self, number: u64) -> ClaimOutcome {
        match self.answer(number) {
            Reply::Claimed(outcome) => outcome,
            other => panic!("not an answer to a claim: {other:?}"),
        }
    }

    /// Ends a session.
    pub fn sign_out(&mut self, i: usize, session: TicketKey) -> Destroyed {
        let hard_expiry = WALL_START + self.now / 1_000 + 28_800_000;
        let number = self.command(
            i,
            Command::Destroy {
                key: session,
                kind: TicketKind::Tgt,
                hard_expiry,
                reason: DestroyReason::Logout,
            },
        );
        match self.answer(number) {
            Reply::Destroyed(destroyed) => destroyed,
            other => panic!("not destroyed: {other:?}"),
        }
    }
}

/// Whether an outcome lets somebody in.
pub fn is_valid(outcome: &ClaimOutcome) -> bool {
    matches!(outcome, ClaimOutcome::Won(_) | ClaimOutcome::Replayed(_))
}
