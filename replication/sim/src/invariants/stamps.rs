//! What only grows never goes back within one process: last use, ends, positions in streams; and no
//! process is told to exit because its memory went back, for none did.

use std::collections::BTreeMap;

use castor_proto::delta::Entry;
use castor_proto::ids::Member;
use castor_proto::ticket::TicketKey;
use castor_replication::engine::Event;

use super::{Invariant, Verdict};
use crate::ledger::Ledger;
use crate::world::{Life, Node, World};

/// Sessions looked at per second: the newest.
const SESSIONS: usize = 24;

/// What was last seen of one process.
#[derive(Default)]
struct Last {
    head: u64,
    applied: BTreeMap<Member, u64>,
    entries: BTreeMap<TicketKey, Entry>,
}

#[derive(Default)]
pub(super) struct Stamps {
    seen: BTreeMap<Life, Last>,
}

impl Stamps {
    fn compare(&mut self, world: &World, i: usize, node: &Node, ledger: &Ledger) -> Verdict {
        let last = self.seen.entry(node.life).or_default();
        let status = node.engine.status();
        if status.head < last.head {
            return Err(format!(
                "node {i}'s own stream went back to {}",
                status.head
            ));
        }
        last.head = status.head;
        for peer in status.peers {
            let Some(member) = peer.member else { continue };
            let before = last.applied.insert(member.clone(), peer.applied);
            // A peer that was forgotten and met again is asked from the beginning.
            if before.is_some_and(|before| peer.applied < before && peer.applied > 0) {
                return Err(format!("node {i} went back in the stream of {member:?}"));
            }
        }
        let own = node.store.own_time(world.mono(i));
        for session in ledger.sessions.iter().rev().take(SESSIONS) {
            let now = node.store.entry(&session.key);
            let before = last.entries.remove(&session.key);
            if let Some(before) = before {
                let ends = before.hard_expiry <= own + 1_000;
                if !ends && session.lasts && !ledger.clocks_doubtful {
                    grows(&before, now.as_ref()).map_err(|why| format!("node {i}: {why}"))?;
                }
            }
            if let Some(now) = now {
                last.entries.insert(session.key, now);
            }
        }
        Ok(())
    }
}

/// Whether what is known now has everything that was known before.
fn grows(before: &Entry, now: Option<&Entry>) -> Verdict {
    let Some(now) = now else {
        return Err("an entry was forgotten before its end".into());
    };
    let mut joined = now.clone();
    if joined.join(before).changed {
        return Err(format!("an entry went back from {before:?} to {now:?}"));
    }
    Ok(())
}

impl Invariant for Stamps {
    fn name(&self) -> &'static str {
        "stamps"
    }

    fn reported(&mut self, _: &World, _: &Ledger, node: usize, event: &Event) -> Verdict {
        match event {
            Event::Fenced => Err(format!(
                "node {node} was told to exit, and its memory never went back"
            )),
            _ => Ok(()),
        }
    }

    fn looks(&mut self, world: &World, ledger: &Ledger) -> Verdict {
        self.seen.retain(|life, _| world.runs(*life));
        for (i, node) in world.running() {
            self.compare(world, i, node, ledger)?;
        }
        Ok(())
    }
}
