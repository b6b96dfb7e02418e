//! Asking the nodes of a world, and comparing what they say.

use super::*;

impl World {
    pub fn node(&self, i: usize) -> &Node {
        self.nodes[i].as_ref().expect("the node runs")
    }

    /// Which processes satisfy `holds`: node and life.
    pub fn lives(&self, holds: impl Fn(&Node) -> bool) -> Vec<(usize, u64)> {
        let running = self.nodes.iter().enumerate();
        let running = running.filter_map(|(i, node)| Some((i, node.as_ref()?)));
        running
            .filter(|(_, node)| holds(node))
            .map(|(i, node)| (i, node.life))
            .collect()
    }

    pub fn is_ready(&self, i: usize) -> bool {
        self.nodes[i]
            .as_ref()
            .is_some_and(|node| node.engine.phase() == Phase::Ready)
    }

    pub fn command(&mut self, i: usize, command: Command) -> u64 {
        self.next_command += 1;
        let number = self.next_command;
        self.input(i, Input::Command(number, command));
        number
    }

    pub fn answer(&mut self, number: u64) -> Reply {
        self.until("an answer", |w| w.replies.contains_key(&number));
        self.replies.remove(&number).unwrap()
    }

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

    pub fn sign_in(&mut self, i: usize) -> TicketKey {
        let number = self.command(i, Self::new_session("ada", 28_800_000, 7_200_000));
        match self.answer(number) {
            Reply::Created(Ok(created)) => created.body.key(),
            other => panic!("not created: {other:?}"),
        }
    }

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

    pub fn issue(&mut self, i: usize, session: TicketKey) -> Arc<TicketBody> {
        let number = self.command(i, Self::new_ticket(session, "https://app.example.org/"));
        match self.answer(number) {
            Reply::Issued(Ok(issued)) => issued.body,
            other => panic!("not issued: {other:?}"),
        }
    }

    pub fn hints(id: &TicketId, nodes: usize) -> Vec<NodeName> {
        let names = (0..nodes).map(Self::name);
        let tags = id.tags();
        names
            .filter(|name| tags.contains(&castor_proto::ticket::node_tag(&[2; 32], name).as_str()))
            .collect()
    }

    pub fn start_claim(&mut self, i: usize, id: &TicketId, claim: u8) -> u64 {
        let hints = Self::hints(id, self.nodes.len());
        let claim = ClaimId([claim; 16]);
        self.command(
            i,
            Command::Claim {
                key: id.key(),
                hints,
                unresolved_hint: false,
                claim,
            },
        )
    }

    pub fn claim(&mut self, i: usize, id: &TicketId, claim: u8) -> ClaimOutcome {
        let number = self.start_claim(i, id, claim);
        self.claimed(number)
    }

    pub fn claimed(&mut self, number: u64) -> ClaimOutcome {
        match self.answer(number) {
            Reply::Claimed(outcome) => outcome,
            other => panic!("not an answer to a claim: {other:?}"),
        }
    }

    pub fn sign_out(
        &mut self,
        i: usize,
        session: TicketKey,
    ) -> castor_replication::engine::Destroyed {
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

    /// What the nodes do not agree on, for a failing test's message.
    pub fn difference(&self) -> String {
        let mut all: BTreeMap<TicketKey, Vec<String>> = BTreeMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let Some(node) = node else { continue };
            node.store.visit_all(&mut |entry| {
                all.entry(entry.key)
                    .or_default()
                    .push(format!("node {i}: {entry:?}"));
                true
            });
        }
        let part = |text: &String| text.split_once(": ").map(|(_, state)| state.to_owned());
        all.retain(|_, states| {
            states.len() < self.nodes.iter().flatten().count()
                || states.iter().map(part).collect::<BTreeSet<_>>().len() > 1
        });
        for (i, node) in self.nodes.iter().enumerate() {
            let sound = node
                .as_ref()
                .is_none_or(|node| node.engine.digests_are_true());
            all.entry(TicketKey([i as u8; 16]))
                .or_default()
                .push(format!("digests: {sound}"));
        }
        let status = self.nodes.iter().flatten().map(|node| node.engine.status());
        format!("{all:#?}\n{:#?}", status.collect::<Vec<_>>())
    }

    /// Every running node holds the same state, every entry of it.
    pub fn converged(&self) -> bool {
        let state = |node: &Node| {
            let mut all = Vec::new();
            node.store.visit_all(&mut |entry| {
                all.push(entry);
                true
            });
            all.sort_by_key(|entry| entry.key);
            all
        };
        let mut states = self.nodes.iter().flatten().map(state);
        let first = states.next();
        states.all(|state| Some(&state) == first.as_ref())
    }
}

/// Whether an outcome lets somebody in.
pub fn is_valid(outcome: &ClaimOutcome) -> bool {
    matches!(outcome, ClaimOutcome::Won(_) | ClaimOutcome::Replayed(_))
}
