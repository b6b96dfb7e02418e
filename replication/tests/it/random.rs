//! Random faults and random requests; afterwards everything heals. Safety is judged all the time,
//! convergence at the end. `CASTOR_SEED=n` replays one run, `CASTOR_SEEDS=n` sets how many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use castor_proto::ticket::{TicketBody, TicketKey};
use castor_replication::engine::Reply;

use crate::world::{CALM, MS, STORM, World, is_valid};

/// What the outside has been promised.
#[derive(Default)]
struct Promises {
    sessions: Vec<TicketKey>,
    /// Processes that held the session, and that knew of its end, when that was answered.
    holders: BTreeMap<TicketKey, Vec<(usize, u64)>>,
    signed_out: BTreeMap<TicketKey, Vec<(usize, u64)>>,
    tickets: Vec<Arc<TicketBody>>,
    pending: BTreeMap<u64, Asked>,
    valid: BTreeMap<TicketKey, BTreeSet<u8>>,
}

enum Asked {
    Session,
    Ticket,
    Claim(TicketKey, u8),
    SignOut(TicketKey),
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("CASTOR_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("CASTOR_SEEDS").unwrap_or(150)).collect(),
    }
}

#[test]
fn whatever_happens_tickets_are_used_once_and_nodes_agree_in_the_end() {
    for seed in seeds() {
        let mut world = World::with(3, seed, |config| {
            config.ring_max = 16;
            config.batch_max = 3;
            config.batch_bytes = 1_500;
            // Alarms as early as the rule allows, so that a wrong one has every chance.
            config.quiet = 0;
        });
        let mut promises = Promises::default();
        for _ in 0..120 {
            fault(&mut world);
            ask(&mut world, &mut promises);
            let pause = world.below(300 * MS);
            world.run_for(pause);
            collect(&mut world, &mut promises, seed);
        }
        heal_and_judge(&mut world, &mut promises, seed);
        if seed % 20 == 7 {
            lose_one(&mut world, seed);
        }
    }
}

/// A ticket that one node loses without anybody knowing comes back, and is counted.
fn lose_one(world: &mut World, seed: u64) {
    let victim = world.below(3) as usize;
    let mut held = Vec::new();
    world.node(victim).store.visit_all(&mut |entry| {
        held.push(entry.key);
        true
    });
    if held.is_empty() {
        return;
    }
    held.sort_unstable();
    let lost = held[world.below(held.len() as u64) as usize];
    assert!(world.node(victim).store.lose(&lost));
    world.run_for(280_000 * MS);
    let counted = world.nodes.iter().flatten();
    let counted: u64 = counted.map(|n| n.stats.diverged.load(Relaxed)).sum();
    assert!(counted > 0, "seed {seed}: {lost:?} is not counted");
    assert!(world.converged(), "seed {seed}: {lost:?} is not mended");
}

/// The same seed gives the same run, to the last byte of every reply.
#[test]
fn a_seed_replays_its_run() {
    let trace = |seed: u64| {
        let mut world = World::with(3, seed, |_| {});
        let mut promises = Promises::default();
        let mut trace = blake3::Hasher::new();
        for _ in 0..60 {
            fault(&mut world);
            ask(&mut world, &mut promises);
            world.run_for(100 * MS);
            trace.update(format!("{:?} {}", world.replies, world.now).as_bytes());
            collect(&mut world, &mut promises, seed);
        }
        trace.finalize()
    };
    for seed in 0..5 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(1), trace(2));
}

fn fault(world: &mut World) {
    let running: Vec<usize> = (0..3).filter(|i| world.nodes[*i].is_some()).collect();
    let dead: Vec<usize> = (0..3).filter(|i| world.nodes[*i].is_none()).collect();
    match world.below(40) {
        0 if running.len() > 1 => {
            let victim = running[world.below(running.len() as u64) as usize];
            world.crash(victim);
        }
        1 | 2 if !dead.is_empty() => {
            let back = dead[world.below(dead.len() as u64) as usize];
            world.start(back);
        }
        3 => {
            let a = world.below(3) as usize;
            world.cut(a, (a + 1) % 3);
        }
        4 | 5 => world.heal(),
        6 => world.weather = STORM,
        7 => world.weather = CALM,
        _ => {}
    }
}

fn ask(world: &mut World, promises: &mut Promises) {
    let node = world.below(3) as usize;
    if !world.is_ready(node) {
        return;
    }
    let session = pick(world, &promises.sessions);
    let ticket = pick(world, &promises.tickets);
    let (number, asked) = match (world.below(10), session, ticket) {
        (0 | 1, ..) | (_, None, _) => {
            let command = World::new_session("ada", 28_800_000, 7_200_000);
            (world.command(node, command), Asked::Session)
        }
        (2, Some(session), _) => {
            let command = castor_replication::engine::Command::Destroy {
                key: session,
                kind: castor_proto::ticket::TicketKind::Tgt,
                hard_expiry: u64::MAX / 2,
                reason: castor_proto::delta::DestroyReason::Logout,
            };
            let known = world
                .node(node)
                .store
                .find(&session)
                .map(|t| t.body.hard_expiry);
            let command = match (command, known) {
                (
                    castor_replication::engine::Command::Destroy {
                        key, kind, reason, ..
                    },
                    Some(hard_expiry),
                ) => castor_replication::engine::Command::Destroy {
                    key,
                    kind,
                    hard_expiry,
                    reason,
                },
                _ => return,
            };
            (world.command(node, command), Asked::SignOut(session))
        }
        (3..=5, Some(session), _) => (
            world.command(node, World::new_ticket(session, "https://a.example/")),
            Asked::Ticket,
        ),
        (_, _, Some(ticket)) => {
            let claim = world.below(4) as u8;
            (
                world.start_claim(node, &ticket.id, claim),
                Asked::Claim(ticket.key(), claim),
            )
        }
        _ => return,
    };
    promises.pending.insert(number, asked);
}

fn pick<T: Clone>(world: &mut World, from: &[T]) -> Option<T> {
    // Mostly the newest, sometimes an old one: replays of old tickets find what fresh ones do not.
    if from.is_empty() {
        return None;
    }
    let back = if world.below(4) == 0 {
        from.len() as u64
    } else {
        3
    };
    let at = from.len() - 1 - (world.below(back) as usize).min(from.len() - 1);
    from.get(at).cloned()
}

fn collect(world: &mut World, promises: &mut Promises, seed: u64) {
    for (number, reply) in std::mem::take(&mut world.replies) {
        match (promises.pending.remove(&number), reply) {
            (Some(Asked::Session), Reply::Created(Ok(created))) => {
                let key = created.body.key();
                promises.sessions.push(key);
                promises
                    .holders
                    .insert(key, world.lives(|n| n.store.find(&key).is_some()));
            }
            (Some(Asked::Ticket), Reply::Issued(Ok(issued))) => promises.tickets.push(issued.body),
            (Some(Asked::SignOut(session)), Reply::Destroyed(_)) => {
                let knows = world.lives(|n| n.store.is_destroyed(&session));
                promises.signed_out.insert(session, knows);
            }
            (Some(Asked::Claim(ticket, claim)), Reply::Claimed(outcome)) if is_valid(&outcome) => {
                let valid = promises.valid.entry(ticket).or_default();
                valid.insert(claim);
                assert!(
                    valid.len() == 1,
                    "seed {seed}: {ticket:?} is valid for {valid:?}"
                );
            }
            _ => {}
        }
    }
}

fn heal_and_judge(world: &mut World, promises: &mut Promises, seed: u64) {
    world.weather = CALM;
    world.heal();
    for i in 0..3 {
        if world.nodes[i].is_none() {
            world.start(i);
        }
    }
    world.until("all are ready", |w| (0..3).all(|i| w.is_ready(i)));
    let healed = world.now;
    world.until("all nodes are equal", World::converged);
    let took = world.now - healed;
    assert!(
        took < 10_000 * MS,
        "seed {seed}: equal only after {took} microseconds"
    );
    // Memory is volatile: what only crashed processes knew is gone, and nothing else may be.
    let alive = world.lives(|_| true);
    let survived = |holders: &Vec<(usize, u64)>| holders.iter().any(|life| alive.contains(life));
    for (session, _) in promises
        .holders
        .iter()
        .filter(|(_, holders)| survived(holders))
    {
        let everywhere = (0..3).all(|i| world.node(i).store.find(session).is_some());
        assert!(everywhere, "seed {seed}: {session:?} is lost");
    }
    for (session, _) in promises
        .signed_out
        .iter()
        .filter(|(_, knew)| survived(knew))
    {
        let everywhere = (0..3).all(|i| world.node(i).store.is_destroyed(session));
        assert!(everywhere, "seed {seed}: {session:?} came back");
    }
    world.run_for(10_000 * MS);
    assert!(world.converged(), "seed {seed}");
    for node in world.nodes.iter().flatten() {
        assert_eq!(node.stats.decided_conflict.load(Relaxed), 0, "seed {seed}");
        assert_eq!(node.stats.diverged.load(Relaxed), 0, "seed {seed}");
        assert_eq!(node.stats.peers_fenced.load(Relaxed), 0, "seed {seed}");
        assert_eq!(node.stats.digests_mended.load(Relaxed), 0, "seed {seed}");
    }
}
