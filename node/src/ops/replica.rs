//! What health and status say about the replica of this node.
//!
//! Words and shapes for people and scripts; the facts come from replication. No personal data.

use castor_proto::ids::WallMs;
use castor_proto::ticket::TicketKind;
use castor_proto::version::WireVersion;
use castor_replication::driver::{Handle, Readiness, state_of};
use castor_replication::engine::Status;
use serde_json::{Value, json};

use super::metrics::{REVISION, VERSION};

/// The word for a readiness, in answers and listings.
pub fn word(readiness: Readiness) -> &'static str {
    match readiness {
        Readiness::Bootstrapping => "bootstrapping",
        Readiness::Ready => "ready",
        Readiness::Draining => "draining",
        Readiness::Unready => "unready",
    }
}

/// The status of this node and what it knows of its peers, as `/status` shows it.
pub async fn status(handle: &Handle) -> Value {
    let readiness = handle.readiness();
    match handle.status().await {
        Ok(status) => describe(handle, readiness, &status),
        // Overloaded or about to exit: say so instead of waiting.
        Err(error) => json!({
            "node": handle.node().as_str(),
            "state": word(readiness),
            "healthy": false,
            "problem": error.to_string(),
            "members": [],
        }),
    }
}

fn describe(handle: &Handle, readiness: Readiness, status: &Status) -> Value {
    let gauges = handle.store().gauges();
    let tickets: serde_json::Map<String, Value> = TicketKind::ALL
        .into_iter()
        .map(|kind| (kind.label().to_owned(), gauges.tickets(kind).into()))
        .collect();
    let mut healthy = readiness == Readiness::Ready;
    let members: Vec<Value> = status
        .peers
        .iter()
        .map(|peer| {
            let state = state_of(peer.phase, peer.there);
            healthy &= state == "ready" && peer.link;
            json!({
                "node": peer.node.as_str(),
                "incarnation": peer.member.as_ref().map(|member| member.incarnation.to_string()),
                "state": state,
                "link": peer.link,
                "wire": peer.wire.map(WireVersion::number),
                "lag_seconds": seconds(peer.lag),
                "backlog_deltas": peer.backlog,
                "acknowledged": point(peer.acked, peer.acked_at),
                "applied": point(peer.applied, peer.applied_at),
                "head_known": peer.head,
                "clock_offset_seconds": peer.clock_offset_ms.map(|ms| ms as f64 / 1000.0),
                "round_trip_seconds": peer.rtt.map(seconds),
            })
        })
        .collect();
    json!({
        "node": handle.node().as_str(),
        "incarnation": status.me.incarnation.to_string(),
        "version": VERSION,
        "revision": REVISION,
        "wire": status.wire.number(),
        "state": word(readiness),
        "healthy": healthy,
        "fenced": status.fenced,
        "clock_ok": status.clock_ok,
        "clock_offset_seconds": status.clock_offset_ms as f64 / 1000.0,
        "tickets": tickets,
        "store_bytes": gauges.bytes(),
        "head": point(status.head, status.head_at),
        "bootstrap": {
            "done": status.bootstrap.done,
            "shards": status.bootstrap.shards,
            "entries": status.bootstrap.entries,
            "shards_total": 256,
            "seconds": seconds(status.bootstrap.elapsed),
            "seconds_left": status.bootstrap.left.map(seconds),
        },
        "members": members,
    })
}

/// A place in a stream, and when it was reached: milliseconds since the Unix epoch, own time.
fn point(sequence: u64, at: WallMs) -> Value {
    json!({ "sequence": sequence, "at_ms": (at > 0).then_some(at) })
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}
