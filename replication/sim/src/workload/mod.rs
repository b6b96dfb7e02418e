//! The people: they sign in, get tickets, use them, use them again, and sign out.
//!
//! Most tickets are used once, soon. Some are raced for with different claims, some requests are sent
//! again under the same claim, and old tickets come back on every node: decided ones, expired ones and
//! those of earlier incarnations. Whoever signs out is followed by everything that must not work now.

mod answers;
mod stories;

pub(crate) use answers::believed_alive;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use castor_proto::delta::DestroyReason;
use castor_proto::ticket::{Payload, Pgt, Principal, Pt, TicketKind};
use castor_replication::engine::{Command, Liveness, NewReusable, NewSingleUse, Reply};

use crate::ledger::{Asked, Ledger, Seems, SessionNo, TicketNo, What};
use crate::plan::{Flavour, Plan};
use crate::random::Random;
use crate::world::{MS, World};

/// Eight hours.
const LONG_MS: u64 = 28_800_000;

/// An answer, with the question.
pub struct Answer {
    /// The question.
    pub asked: Asked,
    /// The answer.
    pub reply: Reply,
    /// The index it got in the books, for something that was created.
    pub no: Option<usize>,
}

/// Something that somebody will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Claim {
        ticket: TicketNo,
        node: usize,
        claim: u8,
    },
    Use {
        session: SessionNo,
        node: usize,
    },
    End {
        session: SessionNo,
        node: usize,
    },
}

/// The source of requests of one run.
pub struct Workload {
    random: Random,
    every: u64,
    /// Most tickets are raced for.
    contention: bool,
    next: u64,
    steps: BinaryHeap<Reverse<(u64, u64, Step)>>,
    serial: u64,
    /// The books.
    pub ledger: Ledger,
}

impl Workload {
    /// Of a plan.
    pub fn new(plan: &Plan, now: u64) -> Self {
        Self {
            random: Random::new(plan.seed, "people"),
            every: plan.operation_every,
            contention: plan.flavour == Flavour::Contention,
            next: now,
            steps: BinaryHeap::new(),
            serial: 0,
            ledger: Ledger::default(),
        }
    }

    /// When somebody acts next.
    pub fn next_at(&self) -> u64 {
        let step = self.steps.peek().map(|Reverse((at, ..))| *at);
        self.next.min(step.unwrap_or(u64::MAX))
    }

    /// Nobody begins anything new.
    pub fn stop(&mut self) {
        self.next = u64::MAX;
        self.steps.clear();
    }

    /// Does what is due.
    pub fn act(&mut self, world: &mut World) {
        self.ledger.clocks_doubtful |= world.running().any(|(_, node)| !node.clock_right);
        while self
            .steps
            .peek()
            .is_some_and(|Reverse((at, ..))| *at <= world.now)
        {
            if let Some(Reverse((_, _, step))) = self.steps.pop() {
                self.take(world, step);
            }
        }
        if self.next <= world.now {
            self.begin(world);
            self.next = world.now + self.random.around(self.every);
        }
    }

    fn later(&mut self, at: u64, step: Step) {
        self.serial += 1;
        self.steps.push(Reverse((at, self.serial, step)));
    }

    fn take(&mut self, world: &mut World, step: Step) {
        match step {
            Step::Claim {
                ticket,
                node,
                claim,
            } => self.claim(world, node, ticket, claim),
            Step::Use { session, node } => self.use_session(world, node, session),
            Step::End { session, node } => self.end(world, node, session),
        }
    }

    /// A node to ask: mostly one that is ready, as a proxy would choose; sometimes whichever.
    fn node(&mut self, world: &World) -> Option<usize> {
        let all: Vec<usize> = world.running().map(|(i, _)| i).collect();
        let ready: Vec<usize> = all.iter().copied().filter(|i| world.is_ready(*i)).collect();
        let from = if self.random.once_in(20) {
            &all
        } else {
            &ready
        };
        self.random.pick(from)
    }

    fn begin(&mut self, world: &mut World) {
        let Some(node) = self.node(world) else {
            return;
        };
        let session = self.recent(self.ledger.sessions.len());
        let ticket = self.recent(self.ledger.tickets.len());
        match (self.random.below(100), session, ticket) {
            (0..10, ..) | (_, None, _) => self.sign_in(world, node),
            (10..13, Some(session), _) => self.proxy_grant(world, node, session),
            (13..16, Some(session), _) => self.end(world, node, session),
            (16..18, Some(session), _) => self.crossfire(world, session),
            (18..60, Some(session), _) | (_, Some(session), None) => {
                self.use_session(world, node, session);
            }
            (60..67, _, Some(_)) => self.replay(world),
            (_, _, Some(ticket)) => {
                let claim = self.random.below(4) as u8;
                self.claim(world, node, ticket, claim);
            }
        }
    }

    /// Mostly one of the newest, sometimes an old one: replays find what fresh ones do not.
    fn recent(&mut self, len: usize) -> Option<usize> {
        let last = len.checked_sub(1)?;
        let back = if self.random.once_in(6) { len } else { 6 };
        let back = usize::try_from(self.random.below(back as u64)).unwrap_or(0);
        Some(last - back.min(last))
    }

    /// An old ticket comes back, on every node.
    fn replay(&mut self, world: &mut World) {
        let last = self.ledger.tickets.len() as u64;
        let back = if self.random.once_in(3) { last } else { 120 };
        let back = self.random.below(back).min(last.saturating_sub(1));
        let ticket = (last - 1 - back) as usize;
        let claim = self.random.below(6) as u8;
        for node in 0..world.size() {
            let same = self.random.once_in(2);
            let claim = if same { claim } else { claim + 1 + node as u8 };
            self.claim(world, node, ticket, claim);
        }
    }

    // ---- requests -----------------------------------------------------------------------------

    fn ask(&mut self, world: &mut World, node: usize, command: Command, what: What) {
        let Some(process) = world.nodes[node].as_ref() else {
            return;
        };
        let life = process.life;
        let ready = process.engine.is_ready() && process.clock_right && !world.is_frozen(node);
        world
            .story
            .line(world.now, || format!("somebody asks node {node}: {what:?}"));
        let at = world.now;
        let number = world.command(node, command);
        self.ledger.operations += 1;
        // A pause that the engine notices with this very request makes it unready.
        let ready = ready && world.is_ready(node);
        let asked = Asked {
            node,
            life,
            ready,
            at,
            what,
        };
        self.ledger.asked.insert(number, asked);
    }

    fn sign_in(&mut self, world: &mut World, node: usize) {
        let life_ms = if self.random.once_in(10) {
            self.random.between(20_000, 60_000)
        } else {
            LONG_MS
        };
        let idle_ms = if self.random.once_in(4) {
            self.random.between(3_000, 8_000)
        } else {
            7_200_000
        };
        let command = World::new_session("ada", life_ms, idle_ms);
        self.ask(world, node, command, What::Create(None));
    }

    fn proxy_grant(&mut self, world: &mut World, node: usize, root: SessionNo) {
        let Some(session) = self.ledger.sessions.get(root) else {
            return;
        };
        let mut ancestors = session.body.ancestors.clone();
        ancestors.push(session.key);
        if ancestors.len() > 3 {
            return;
        }
        let payload = Payload::Pgt(Pgt {
            principal: Principal {
                id: "ada".into(),
                attributes: Vec::new(),
            },
            callback: "https://proxy.example.org/pgt".into(),
            proxies: Vec::new(),
        });
        let new = NewReusable {
            id: None,
            life_ms: LONG_MS,
            idle_ms: 0,
            ancestors,
            payload,
            key_id: None,
        };
        self.ask(
            world,
            node,
            Command::Create(Box::new(new)),
            What::Create(Some(root)),
        );
    }

    /// As a request handler does it: look first, ask the others before refusing, then issue.
    fn use_session(&mut self, world: &mut World, node: usize, no: SessionNo) {
        let (Some(session), Some(process)) =
            (self.ledger.sessions.get(no), world.nodes[node].as_ref())
        else {
            return;
        };
        let own = process.store.own_time(world.mono(node));
        let seen = process.store.find(&session.key).map(|t| t.liveness(own));
        let key = session.key;
        match seen {
            Some(Liveness::Idle) => self.look_up(world, node, no, Seems::Idle),
            None if !process.store.is_destroyed(&key) => {
                self.look_up(world, node, no, Seems::Unknown);
            }
            _ => self.issue(world, node, no),
        }
    }

    fn look_up(&mut self, world: &mut World, node: usize, no: SessionNo, seems: Seems) {
        let Some(session) = self.ledger.sessions.get(no) else {
            return;
        };
        let find = Command::Find {
            key: session.key,
            everyone: seems == Seems::Idle,
        };
        self.ask(world, node, find, What::LookUp(no, seems));
    }

    fn issue(&mut self, world: &mut World, node: usize, no: SessionNo) {
        let Some(session) = self.ledger.sessions.get(no) else {
            return;
        };
        let mut ancestors = session.body.ancestors.clone();
        ancestors.push(session.key);
        let url = format!("https://app-{}.example.org/", self.random.below(4));
        let payload = if session.parent.is_some() {
            Payload::Pt(Pt {
                service: url.clone(),
                registered_service: 1,
                proxies: vec!["https://proxy.example.org/pgt".into()],
                from_new_login: false,
            })
        } else {
            match World::new_ticket(session.key, &url) {
                Command::Issue(new) => new.payload,
                _ => return,
            }
        };
        let new = NewSingleUse {
            ancestors,
            life_ms: 10_000,
            payload,
            service: Some((1, url)),
        };
        self.ask(world, node, Command::Issue(Box::new(new)), What::Issue(no));
    }

    fn claim(&mut self, world: &mut World, node: usize, no: TicketNo, claim: u8) {
        if world.nodes[node].is_none() {
            return;
        }
        let now = world.now;
        let Some(ticket) = self.ledger.tickets.get_mut(no) else {
            return;
        };
        ticket.first_asked.entry(claim).or_insert(now);
        let id = ticket.body.id.clone();
        let command = World::new_claim(&id, claim, world.size());
        self.ask(world, node, command, What::Claim(no, claim));
    }

    fn end(&mut self, world: &mut World, node: usize, no: SessionNo) {
        let (Some(session), Some(process)) =
            (self.ledger.sessions.get_mut(no), world.nodes[node].as_ref())
        else {
            return;
        };
        session.end_asked.get_or_insert(world.now);
        let kind = if session.parent.is_some() {
            TicketKind::Pgt
        } else {
            TicketKind::Tgt
        };
        let command = Command::Destroy {
            key: session.key,
            kind,
            hard_expiry: session.body.hard_expiry,
            reason: DestroyReason::Logout,
        };
        // A stopped process takes it in when it goes on, and may have given everybody up by then.
        let alive = match world.is_frozen(node) {
            true => Vec::new(),
            false => believed_alive(process),
        };
        self.ask(world, node, command, What::End(no, alive));
    }

    fn soon(&mut self, world: &World, most_ms: u64) -> u64 {
        world.now + self.random.below(most_ms * MS + 1)
    }
}
