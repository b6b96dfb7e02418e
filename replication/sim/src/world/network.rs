//! The ways between nodes: weather, links, and what gossip tells.

use std::collections::BTreeSet;

use castor_proto::codec;
use castor_proto::ids::Member;
use castor_proto::message::{Ask, Lane, PeerMessage};
use castor_proto::version::{self, WireVersion};
use castor_replication::engine::{GossipMember, Input};

use super::story::describe;
use super::{Change, Happening, Life, MS, Seen, World};

/// A process that says nothing for this long is given up by gossip.
const GIVEN_UP: u64 = 1_500 * MS;

/// How a way misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// Least and greatest delay, microseconds.
    pub delay: (u64, u64),
    /// Lost, of 1,000 messages.
    pub loss: u64,
    /// Delivered twice, of 1,000 messages.
    pub doubled: u64,
    /// Of 1,000 messages so many come later than that, when a rival's attempt is over.
    pub late: u64,
}

/// The most by which such a message is late.
const LATE: u64 = 400 * MS;

/// Of 1,000 messages that tell of a decision so many are lost where votes are: nobody stops a rival.
const WORD_LOST: u64 = 800;

/// A quiet local network.
pub const CALM: Weather = Weather {
    delay: (100, 300),
    loss: 0,
    doubled: 0,
    late: 0,
};

/// One message in twenty is lost, one in twenty doubled, most are overtaken.
pub const STORM: Weather = Weather {
    delay: (100, 30_000),
    loss: 50,
    doubled: 50,
    late: 0,
};

/// Questions, votes and decisions about single-use tickets.
fn is_about_votes(message: &PeerMessage) -> bool {
    use PeerMessage::{Answer, Ask, Decided};
    matches!(message, Ask { .. } | Answer { .. } | Decided { .. })
}

/// What is lost most is what ends a race: attempts begin easily, and each wins a part of the view.
fn vote_loss(message: &PeerMessage, loss: u64) -> u64 {
    match message {
        PeerMessage::Decided { .. } => loss.max(WORD_LOST),
        PeerMessage::Ask {
            ask: Ask::Open(_) | Ask::Accept(..),
            ..
        } => loss,
        _ => loss / 4,
    }
}

impl World {
    /// Whether messages pass this way.
    pub fn linked(&self, a: usize, b: usize) -> bool {
        !self.cut.contains(&(a, b))
    }

    /// The wire version that two nodes agree on.
    fn spoken(&self, a: usize, b: usize) -> WireVersion {
        let nodes = [a, b].map(|i| self.nodes[i].as_ref());
        let newest = nodes.iter().flatten().map(|node| node.wire);
        newest.min().unwrap_or(version::CURRENT)
    }

    pub(super) fn passes(&self, a: usize, b: usize) -> bool {
        self.linked(a, b) && self.linked(b, a)
    }

    pub(super) fn post(&mut self, from: usize, to: &Member, message: PeerMessage) {
        self.witness_start(from, to, &message);
        let is_there = |node: &Option<super::Node>| node.as_ref().is_some_and(|n| n.member == *to);
        let Some(index) = self.nodes.iter().position(is_there) else {
            return;
        };
        let way = self.rough.get(&(from, index));
        let votes = self.votes.as_ref().filter(|_| is_about_votes(&message));
        let lane = match message.lane() {
            Lane::Bulk => self.bulk.as_ref(),
            Lane::Stream => self.stream.as_ref(),
            Lane::Fast => None,
        };
        let mut weather = *votes.or(way).or(lane).unwrap_or(&self.weather);
        if votes.is_some() {
            weather.loss = vote_loss(&message, weather.loss);
        }
        if !self.linked(from, index) || self.below(1_000) < weather.loss {
            return;
        }
        let (newest, spoken) = (message.since(), self.spoken(from, index));
        assert!(
            newest <= spoken,
            "{newest} sent to a peer that speaks {spoken}"
        );
        let bytes = codec::encode(&vec![message]);
        let doubled = self.below(1_000) < weather.doubled;
        let (Some(sender), Some(receiver)) = (&self.nodes[from], &self.nodes[index]) else {
            return;
        };
        let (life, from) = (receiver.life, (sender.life, sender.member.clone()));
        if doubled {
            self.send_off(from.clone(), index, bytes.clone(), life, weather);
        }
        self.send_off(from, index, bytes, life, weather);
    }

    fn send_off(
        &mut self,
        from: (Life, Member),
        to: usize,
        bytes: Vec<u8>,
        life: Life,
        weather: Weather,
    ) {
        let (low, high) = weather.delay;
        let mut at = self.now + low + self.below(high - low + 1);
        if weather.late > 0 && self.below(1_000) < weather.late {
            at += self.below(LATE);
        }
        let deliver = Happening::Deliver {
            from,
            to,
            bytes,
            life,
        };
        self.schedule(at, deliver);
    }

    #[expect(
        clippy::expect_used,
        reason = "what was encoded decodes, or the wire is broken"
    )]
    pub(super) fn deliver(&mut self, from: &(Life, Member), to: usize, bytes: &[u8]) {
        self.story.note(&[self.now, to as u64, from.0], String::new);
        self.story.bytes(bytes);
        for message in codec::decode::<Vec<PeerMessage>>(bytes).expect("what was encoded decodes") {
            assert!(
                message.check(),
                "an engine sends only messages within the limits"
            );
            self.story.line(self.now, || {
                format!("{:?} to {to}: {}", from.1, describe(&message))
            });
            self.witness(from.0, to, &message);
            self.input(to, Input::Message(from.1.clone(), message));
        }
    }

    fn witness(&mut self, peer: Life, to: usize, message: &PeerMessage) {
        let Some(origin) = self.nodes[to].as_ref().map(|node| node.life) else {
            return;
        };
        match message {
            _ if !self.watched => {}
            PeerMessage::DeltasAck { applied, .. } => self.seen.push(Seen::Acknowledged {
                origin,
                peer,
                upto: *applied,
            }),
            PeerMessage::Subscribe { have, .. } => self.seen.push(Seen::Subscribed {
                origin,
                peer,
                have: *have,
            }),
            PeerMessage::CompareReply { .. } => self.seen.push(Seen::Compared { origin, peer }),
            _ => {}
        }
    }

    /// Whoever answers a subscription counts from there, whether or not the answer arrives, and whether
    /// or not the peer still runs. What nobody asked for tells of a gap.
    fn witness_start(&mut self, from: usize, to: &Member, message: &PeerMessage) {
        let origin = self.nodes[from].as_ref().map(|node| node.life);
        if let (true, PeerMessage::StreamStart { nonce, next, .. }) = (self.watched, message)
            && let (Some(origin), Some(peer)) = (origin, self.life_of(to))
        {
            let next = Some(*next).filter(|_| *nonce != 0);
            self.seen.push(Seen::Started { origin, peer, next });
        }
    }

    // ---- links --------------------------------------------------------------------------------

    pub(super) fn link_later(&mut self, at: usize, to: usize, change: Change, after: u64) {
        if let Some(node) = &self.nodes[at] {
            let life = node.life;
            let link = Happening::Link {
                at,
                to,
                change,
                life,
            };
            self.schedule(self.now + after, link);
        }
    }

    pub(super) fn relink(&mut self, at: usize, to: usize) {
        if at != to && self.nodes[to].is_some() && self.passes(at, to) {
            let after = self.below(200 * MS);
            self.link_later(at, to, Change::Up, after);
        }
    }

    pub(super) fn change_link(&mut self, at: usize, to: usize, change: Change) {
        let asleep = self.frozen.get(&to).map(|(_, until)| *until);
        if let (Change::Up, Some(until)) = (change, asleep.filter(|until| *until > self.now)) {
            // Nobody answers its hello yet.
            let after = until - self.now + self.below(100 * MS);
            return self.link_later(at, to, change, after);
        }
        let other = self.nodes[to].as_ref();
        if matches!(change, Change::Break(life) if other.is_some_and(|node| node.life != life)) {
            return;
        }
        let member = other.map(|node| node.member.clone());
        match (member, change) {
            (Some(member), Change::Up) if self.passes(at, to) => {
                if let Some(node) = &self.nodes[at] {
                    self.up.insert((at, to, node.life));
                }
                self.input(at, Input::LinkUp(member.clone()));
                let spoken = self.spoken(at, to);
                self.input(at, Input::Speaks(member, spoken));
                self.count_seeds(at);
            }
            (Some(member), Change::Break(_)) => self.input(at, Input::LinkDown(member)),
            (Some(member), Change::Down) if !self.passes(at, to) => {
                self.input(at, Input::LinkDown(member));
            }
            (None, Change::Down | Change::Break(_)) => {
                let known = self.nodes[at]
                    .as_ref()
                    .map(|node| node.engine.status().peers);
                let gone = known
                    .into_iter()
                    .flatten()
                    .find(|peer| peer.node == Self::name(to));
                if let Some(member) = gone.and_then(|peer| peer.member) {
                    self.input(at, Input::LinkDown(member));
                }
            }
            _ => {}
        }
    }

    /// Seeds that have never answered since the node started.
    fn count_seeds(&mut self, at: usize) {
        let Some(life) = self.nodes[at].as_ref().map(|node| node.life) else {
            return;
        };
        let met = (0..self.nodes.len())
            .filter(|to| self.up.contains(&(at, *to, life)))
            .count();
        self.input(at, Input::SilentSeeds(self.nodes.len() - 1 - met));
    }

    // ---- gossip -------------------------------------------------------------------------------

    pub(super) fn regossip(&mut self, after: u64) {
        for at in 0..self.nodes.len() {
            let jitter = self.below(200 * MS);
            self.schedule(
                self.now + after + jitter,
                Happening::Gossip { at, alone: false },
            );
        }
    }

    /// What a node hears of the others: alive when their word reaches it over some path.
    pub(super) fn gossip(&mut self, at: usize, alone: bool) {
        if alone {
            return self.input(at, Input::Gossip(Vec::new()));
        }
        let mut reached = BTreeSet::from([at]);
        let mut fresh = vec![at];
        while let Some(a) = fresh.pop() {
            for b in 0..self.nodes.len() {
                if self.is_heard(b) && self.linked(b, a) && reached.insert(b) {
                    fresh.push(b);
                }
            }
        }
        reached.remove(&at);
        let members = reached
            .into_iter()
            .filter_map(|i| self.nodes[i].as_ref())
            .map(|node| GossipMember {
                member: node.member.clone(),
                alive: true,
            })
            .collect();
        self.input(at, Input::Gossip(members));
    }

    fn is_heard(&self, i: usize) -> bool {
        let silent = |(since, until): &(u64, u64)| *until > self.now && self.now - since > GIVEN_UP;
        self.nodes[i].is_some() && !self.frozen.get(&i).is_some_and(silent)
    }
}
