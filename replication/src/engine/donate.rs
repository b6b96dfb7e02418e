//! Serving an emptier node the shards it asks for (rule 20).
//!
//! A shard is served only when everything that the asker's vector names is applied here, and in parts,
//! so that no message is large and none holds up the others for long.

use std::collections::VecDeque;
use std::sync::Arc;

use castor_proto::ids::Member;
use castor_proto::message::PeerMessage;
use castor_proto::ticket::TicketKey;

use super::Engine;
use super::mutants::mutant;

/// Lists of keys kept for peers that fetch shards, the oldest given up: 62 KiB each of 1,000,000 tickets.
const SERVED_MAX: usize = 64;

/// The shards that are being served in parts.
pub(super) type Served = VecDeque<Listed>;

/// The keys of a shard that a peer is fetching.
pub(super) struct Listed {
    to: Member,
    shard: u8,
    keys: Arc<[TicketKey]>,
}

impl Engine {
    /// The sorted keys of a shard that a peer is fetching: listed once, with its first part. What comes
    /// later reaches it by the streams, or is found by its comparison at the end.
    fn keys_to_serve(
        &mut self,
        to: &Member,
        shard: u8,
        after: Option<TicketKey>,
    ) -> Arc<[TicketKey]> {
        let is_it = |served: &Listed| served.shard == shard && served.to == *to;
        let at = self.fill.served.iter().position(is_it);
        if let Some(served) = at.and_then(|at| self.fill.served.remove(at))
            && after.is_some()
        {
            let keys = Arc::clone(&served.keys);
            self.fill.served.push_back(served);
            return keys;
        }
        let listed = self.store.shard_keys(shard);
        let keys: Arc<[TicketKey]> = listed.into_iter().map(|(key, _, _)| key).collect();
        if self.fill.served.len() >= SERVED_MAX {
            self.fill.served.pop_front();
        }
        self.fill.served.push_back(Listed {
            to: to.clone(),
            shard,
            keys: Arc::clone(&keys),
        });
        keys
    }

    pub(super) fn asked_for_shard(
        &mut self,
        from: &Member,
        rpc: u64,
        shard: u8,
        after: Option<TicketKey>,
        vector: &[(Member, u64)],
    ) {
        let reached = mutant!(NoBarrier)
            || vector.iter().all(|(origin, start)| {
                let peer = self.peers.exact(origin).filter(|peer| peer.is_reachable());
                peer.is_none_or(|peer| peer.inbound.started && peer.inbound.applied >= *start)
            });
        if !reached {
            return self.send(
                from,
                PeerMessage::ShardPart {
                    rpc,
                    entries: None,
                    more: false,
                },
            );
        }
        let mut entries = Vec::new();
        let mut weight = 0;
        let mut more = false;
        let keys = self.keys_to_serve(from, shard, after);
        let done = keys.partition_point(|key| Some(*key) <= after);
        for key in keys.iter().skip(done) {
            if weight > self.config.batch_bytes || entries.len() >= self.config.batch_max {
                more = true;
                break;
            }
            if let Some(entry) = self.store.entry(key) {
                weight += entry.weight();
                entries.push(entry);
            }
        }
        self.send(
            from,
            PeerMessage::ShardPart {
                rpc,
                entries: Some(entries),
                more,
            },
        );
    }
}
