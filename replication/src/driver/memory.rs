//! Nodes of one process joined without a network: every message is really encoded and decoded, and
//! links can be cut. For tests and examples.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use castor_proto::codec;
use castor_proto::ids::Member;
use castor_proto::message::{PeerMessage, Phase};
use tokio::sync::mpsc;

use super::transport::{NetEvent, Transport};

/// Messages on their way to one node; beyond it they are lost, as on a network.
const INBOX: usize = 4096;

#[derive(Default)]
struct Hub {
    inboxes: BTreeMap<Member, mpsc::Sender<NetEvent>>,
    cut: Vec<(Member, Member)>,
}

/// The wire between nodes of one process.
#[derive(Clone, Default)]
pub struct MemoryNet {
    hub: Arc<Mutex<Hub>>,
}

impl std::fmt::Debug for MemoryNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryNet")
    }
}

/// One node's end of a [`MemoryNet`].
pub struct MemoryTransport {
    net: MemoryNet,
    me: Member,
}

impl MemoryNet {
    /// Adds a node and links it with all others.
    pub fn join(&self, me: &Member) -> (MemoryTransport, mpsc::Receiver<NetEvent>) {
        let (inbox, events) = mpsc::channel(INBOX);
        if let Ok(mut hub) = self.hub.lock() {
            for (other, theirs) in &hub.inboxes {
                theirs.try_send(NetEvent::LinkUp(me.clone())).ok();
                inbox.try_send(NetEvent::LinkUp(other.clone())).ok();
            }
            hub.inboxes.insert(me.clone(), inbox);
        }
        (
            MemoryTransport {
                net: self.clone(),
                me: me.clone(),
            },
            events,
        )
    }

    /// Takes a node away without a word.
    pub fn leave(&self, member: &Member) {
        if let Ok(mut hub) = self.hub.lock() {
            hub.inboxes.remove(member);
            for inbox in hub.inboxes.values() {
                inbox.try_send(NetEvent::LinkDown(member.clone())).ok();
            }
        }
    }

    /// Cuts the link between two nodes, both ways.
    pub fn cut(&self, a: &Member, b: &Member) {
        if let Ok(mut hub) = self.hub.lock() {
            hub.cut.push((a.clone(), b.clone()));
            hub.cut.push((b.clone(), a.clone()));
            tell(&hub, a, NetEvent::LinkDown(b.clone()));
            tell(&hub, b, NetEvent::LinkDown(a.clone()));
        }
    }

    /// Mends it.
    pub fn mend(&self, a: &Member, b: &Member) {
        if let Ok(mut hub) = self.hub.lock() {
            let ends = |pair: &(Member, Member)| {
                (pair.0 == *a && pair.1 == *b) || (pair.0 == *b && pair.1 == *a)
            };
            hub.cut.retain(|pair| !ends(pair));
            tell(&hub, a, NetEvent::LinkUp(b.clone()));
            tell(&hub, b, NetEvent::LinkUp(a.clone()));
        }
    }
}

fn tell(hub: &Hub, to: &Member, event: NetEvent) {
    if let Some(inbox) = hub.inboxes.get(to) {
        inbox.try_send(event).ok();
    }
}

impl Transport for MemoryTransport {
    fn refused(&mut self, _: &Member, _: &'static str) {}

    // Nothing here reads it: the engine's own heartbeats tell the phase.
    fn set_phase(&mut self, _: Phase) {}

    fn removed(&mut self, member: &Member) {
        let Ok(hub) = self.net.hub.lock() else { return };
        for other in hub.inboxes.keys().filter(|other| **other != self.me) {
            tell(&hub, other, NetEvent::Removed(member.clone()));
        }
    }

    fn send(&mut self, to: &Member, messages: Vec<PeerMessage>) {
        let bytes = codec::encode(&messages);
        let Ok(messages) = codec::decode::<Vec<PeerMessage>>(&bytes) else {
            return;
        };
        let Ok(hub) = self.net.hub.lock() else { return };
        if !hub.cut.contains(&(self.me.clone(), to.clone())) {
            tell(&hub, to, NetEvent::Messages(self.me.clone(), messages));
        }
    }
}
