//! Digest rounds and divergence (rule 19): what is planted is found, mended and counted, and nothing
//! else is counted.

use std::sync::atomic::Ordering::Relaxed;

use castor_proto::delta::{DestroyReason, Entry};
use castor_proto::limits;
use castor_proto::message::PeerMessage;
use castor_proto::ticket::{TicketKey, TicketKind};
use castor_replication::engine::{Command, Config, Event, Input, Reply};

use castor_sim::world::{CALM, MS, STORM, World};

const SECOND: u64 = 1_000 * MS;

fn diverged(world: &World) -> u64 {
    let nodes = world.nodes.iter().flatten();
    nodes.map(|node| node.stats.diverged.load(Relaxed)).sum()
}

/// Alarms as early as the rule allows, so that a wrong one has every chance.
fn eager(config: &mut Config) {
    config.quiet = 0;
}

#[test]
fn nodes_that_agree_go_round_and_find_nothing() {
    let mut world = World::new(3, 1);
    for i in 0..50 {
        world.sign_in(i % 3);
    }
    world.run_for(60 * SECOND);
    for node in world.nodes.iter().flatten() {
        let rounds = node.stats.rounds.load(Relaxed);
        assert!((55..=65).contains(&rounds), "{rounds} rounds in a minute");
    }
    assert_eq!(diverged(&world), 0);
}

#[test]
fn a_ticket_lost_behind_the_engines_back_is_found_mended_and_counted() {
    for seed in 0..5 {
        let mut world = World::new(3, seed);
        let sessions: Vec<TicketKey> = (0..60).map(|i| world.sign_in(i % 3)).collect();
        world.run_for(20 * SECOND);
        assert!(world.node(1).store.lose(&sessions[7]));
        assert!(!world.converged());
        let planted = world.now;
        // The kept digests are counted anew a shard a second: 256 s and a few rounds.
        while !world.converged() {
            world.run_for(SECOND);
            assert!(world.now - planted < 280 * SECOND, "seed {seed}");
        }
        assert!(diverged(&world) >= 1, "seed {seed}: not counted");
        assert_eq!(world.node(1).stats.digests_mended.load(Relaxed), 1);
        let said = |event: &Event| matches!(event, Event::Diverged { first, entries: 1, .. } if *first == sessions[7]);
        let nodes = world.nodes.iter().flatten();
        assert!(nodes.flat_map(|node| &node.events).any(said), "seed {seed}");
        // It is not counted for ever.
        let counted = diverged(&world);
        assert!(counted <= 4, "seed {seed}: {counted} for one ticket");
        world.run_for(60 * SECOND);
        assert_eq!(diverged(&world), counted, "seed {seed}");
    }
}

/// Ended tickets of one shard that only one node knows of, `apart` milliseconds from each other.
fn plant(world: &mut World, node: usize, shard: u8, count: u32, apart: u64) {
    let from = world.node(1 - node).member.clone();
    let end = |number: u32| 1_800_090_000_000 + u64::from(number) * apart;
    let numbers: Vec<u32> = (0..count).collect();
    for chunk in numbers.chunks(1_000) {
        let entry = |number: &u32| {
            let mut key = [shard; 16];
            key[..4].copy_from_slice(&number.to_le_bytes());
            let mut entry = Entry::bottom(TicketKey(key), TicketKind::Tgt, end(*number));
            entry.destroyed = Some(DestroyReason::Logout);
            entry
        };
        let message = PeerMessage::Entries {
            rpc: 1,
            entries: chunk.iter().map(entry).collect(),
            covered: 0,
        };
        world.input(node, Input::Message(from.clone(), message));
    }
}

#[test]
fn more_differences_than_any_message_holds_are_all_mended() {
    let mut world = World::new(2, 1);
    let (pairs, buckets) = (20_000, 17_000);
    assert!(pairs > limits::DIGEST_PAIRS_MAX as u32 && buckets > limits::DIGEST_BUCKETS_MAX as u32);
    plant(&mut world, 0, 7, pairs, 1);
    plant(&mut world, 1, 9, buckets, 300_000);
    let all = (pairs + buckets) as usize;
    world.until_within(900 * SECOND, "all are everywhere", |w| {
        (0..2).all(|i| w.node(i).store.len() == all)
    });
    assert!(world.converged());
    assert_eq!(
        diverged(&world),
        0,
        "they came by repair, which explains them"
    );
}

#[test]
fn a_storm_of_changes_is_no_divergence() {
    for seed in 0..10 {
        let mut world = World::with(3, seed, eager);
        let sessions: Vec<_> = (0..10).map(|i| world.sign_in(i % 3)).collect();
        world.weather = STORM;
        for step in 0..400 {
            let session = sessions[world.below(10) as usize];
            let node = world.below(3) as usize;
            match world.below(4) {
                0 => drop(world.command(node, World::new_session("eve", 28_800_000, 0))),
                1 if step > 300 => {
                    let known = world.node(node).store.find(&session);
                    if known.is_some_and(|known| known.destroyed.is_none()) {
                        world.sign_out(node, session);
                    }
                }
                _ => {
                    let service = format!("https://a.example/{}", world.below(300));
                    world.command(node, World::new_ticket(session, &service));
                }
            }
            let pause = world.below(400 * MS);
            world.run_for(pause);
        }
        world.weather = CALM;
        world.run_for(30 * SECOND);
        assert!(world.converged(), "seed {seed}\n{}", world.difference());
        assert_eq!(diverged(&world), 0, "seed {seed}");
    }
}

/// Sessions of all lengths come and idle away on nodes whose clocks differ.
fn forget(seed: u64, skew_ms: &[i64]) -> World {
    let size = skew_ms.len();
    let mut world = World::empty(size, seed, |config| {
        eager(config);
        config.idle_grace_ms = 5_000;
    });
    world.skew_ms = skew_ms.to_vec();
    (0..size).for_each(|i| world.start(i));
    world.until("all are ready", |w| (0..size).all(|i| w.is_ready(i)));
    for step in 0..600 {
        let (life, idle) = (30_000 + world.below(800_000), 5_000 + world.below(90_000));
        world.command(step % size, World::new_session("ada", life, idle));
        world.run_for(SECOND);
    }
    world.run_for(900 * SECOND);
    world
}

#[test]
fn clocks_that_differ_forget_at_different_moments_without_an_alarm() {
    for seed in 0..3 {
        for skews in [&[-1_950, 0, 1_950][..], &[0, 30_000], &[0, 1_900]] {
            let world = forget(seed, skews);
            assert!(world.nodes.iter().flatten().all(|n| n.store.is_empty()));
            assert_eq!(diverged(&world), 0, "seed {seed}: {skews:?}");
        }
    }
}

/// What a dying node gave to one survivor alone, the others get from that one.
fn survivors_share(size: usize) {
    for seed in 0..10 {
        let mut world = World::with(size, seed, |config| config.ack_timeout = 200 * MS);
        // The last node hears nobody else; nobody is known to be dead yet.
        let far: Vec<usize> = (1..size - 1).collect();
        far.iter().for_each(|other| world.cut(size - 1, *other));
        let (origin, heir) = (size - 1, 0);
        let given = world.sign_in(origin);
        let ended = world.sign_in(origin);
        world.sign_out(origin, ended);
        assert!(world.node(heir).store.find(&given).is_some(), "seed {seed}");
        let lacks = |w: &World, i: usize| w.node(i).store.find(&given).is_none();
        assert!(far.iter().all(|i| lacks(&world, *i)), "seed {seed}");
        world.crash(origin);
        let died = world.now;
        world.until("the survivors agree", World::converged);
        assert!(far.iter().all(|i| !lacks(&world, *i)), "seed {seed}");
        assert!(
            far.iter()
                .all(|i| world.node(*i).store.is_destroyed(&ended))
        );
        assert!(world.now - died < 3 * SECOND, "{}", world.now - died);
        world.run_for(60 * SECOND);
        assert_eq!(diverged(&world), 0, "seed {seed}: a death explains it");
    }
}

#[test]
fn three_nodes_survivors_share_what_the_dead_gave_to_one() {
    survivors_share(3);
}

#[test]
fn five_nodes_survivors_share_what_the_dead_gave_to_one() {
    survivors_share(5);
}

/// A session, acknowledged by everybody, that ends so many milliseconds from now.
fn brief(world: &mut World, node: usize, life_ms: u64) -> TicketKey {
    let number = world.command(node, World::new_session("ada", life_ms, 0));
    match world.answer(number) {
        Reply::Created(Ok(created)) => created.body.key(),
        other => panic!("not created: {other:?}"),
    }
}

/// A logout that one node missed, of a session that ends soon: whoever took it is dead, so that its
/// stream does not bring it.
#[test]
fn a_missed_logout_is_mended_to_the_last_seconds_of_the_session() {
    for left in [250, 100, 30, 10, 6] {
        for seed in 0..5 {
            let mut world = World::with(3, seed, |config| config.ack_timeout = 200 * MS);
            let life = (left + 3) * 1_000;
            world.cut(0, 2);
            let session = brief(&mut world, 1, life);
            let end = Command::Destroy {
                key: session,
                kind: TicketKind::Tgt,
                hard_expiry: world.node(0).store.entry(&session).unwrap().hard_expiry,
                reason: DestroyReason::Logout,
            };
            let number = world.command(0, end);
            world.answer(number);
            assert!(!world.node(2).store.is_destroyed(&session), "seed {seed}");
            world.crash(0);
            let told = |w: &World| w.node(2).store.is_destroyed(&session);
            world.until_within(3 * SECOND, "node 2 has heard of it", told);
            assert_eq!(diverged(&world), 0, "seed {seed}: a death explains it");
        }
    }
}

/// The same where nothing broke: digest rounds find it.
#[test]
fn a_difference_that_nothing_explains_is_mended_in_the_last_minutes_as_well() {
    for (seed, left) in [(0, 299_000), (1, 120_000), (2, 60_000), (3, 40_000)] {
        let mut world = World::new(2, seed);
        let session = brief(&mut world, 0, left);
        let mut end = world.node(0).store.entry(&session).unwrap();
        end.destroyed = Some(DestroyReason::Logout);
        let from = world.node(0).member.clone();
        let message = PeerMessage::Entries {
            rpc: 1,
            entries: vec![end],
            covered: 0,
        };
        world.input(1, Input::Message(from, message));
        assert!(world.node(1).store.is_destroyed(&session));
        let told = |w: &World| w.node(0).store.is_destroyed(&session);
        world.until_within(30 * SECOND, "node 0 has heard of it", told);
    }
}

/// Tickets end all the time, and a round goes by each that has: no work comes of it.
#[test]
fn what_ends_leads_no_round_astray() {
    for (seed, skews) in [&[0, 0][..], &[-900, 0, 900], &[0, 1_900]]
        .into_iter()
        .enumerate()
    {
        let mut world = World::empty(skews.len(), seed as u64, eager);
        world.skew_ms = skews.to_vec();
        (0..skews.len()).for_each(|i| world.start(i));
        let all = |w: &World| (0..w.size()).all(|i| w.is_ready(i));
        world.until("all are ready", all);
        // The comparisons that follow are over before the first change is on its way.
        world.run_for(SECOND);
        for step in 0..3_000 {
            let life = 20_000 + world.below(600_000);
            let node = step % skews.len();
            world.command(node, World::new_session("ada", life, 0));
            world.run_for(200 * MS);
        }
        world.run_for(100 * SECOND);
        assert_eq!(diverged(&world), 0, "{skews:?}");
        for node in world.nodes.iter().flatten() {
            let rounds = node.stats.rounds.load(Relaxed);
            assert!(rounds > 620, "{skews:?}: {rounds} rounds in 700 s");
            assert_eq!(node.stats.repaired.load(Relaxed), 0, "{skews:?}");
            assert_eq!(node.stats.digests_mended.load(Relaxed), 0, "{skews:?}");
            assert_eq!(node.stats.refused_entries.load(Relaxed), 0, "{skews:?}");
        }
    }
}
