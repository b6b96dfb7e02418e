//! Streams, gaps and repair (rules 18 and 19).

use std::sync::atomic::Ordering::Relaxed;

use castor_proto::delta::DestroyReason;
use castor_proto::message::PeerMessage;
use castor_proto::ticket::{TicketKey, TicketKind};
use castor_replication::engine::{Command, Input, Now, Output, Reply};
use castor_sim::world::{CALM, MS, STORM, Weather, World};

#[test]
fn a_storm_loses_nothing() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        world.weather = STORM;
        let sessions: Vec<_> = (0..30).map(|i| world.sign_in(i % 3)).collect();
        for session in sessions.iter().step_by(3) {
            world.sign_out(1, *session);
        }
        world.until("all nodes are equal", World::converged);
        for session in sessions {
            assert!(world.node(2).store.find(&session).is_some(), "seed {seed}");
        }
    }
}

#[test]
fn lag_is_zero_when_everything_is_acknowledged_and_grows_while_a_peer_is_silent() {
    let mut world = World::new(3, 1);
    world.sign_in(0);
    let lag = |w: &World, name: usize| {
        let status = w.node(0).engine.status();
        status
            .peers
            .iter()
            .find(|peer| peer.node == World::name(name))
            .unwrap()
            .lag
    };
    assert_eq!((lag(&world, 1), lag(&world, 2)), (0, 0));
    world.cut(0, 2);
    world.cut(1, 2);
    world.sign_in(0);
    for _ in 0..5 {
        let before = lag(&world, 2);
        world.run_for(1_000 * MS);
        world.sign_in(0);
        let grown = lag(&world, 2) - before;
        assert!((990 * MS..1_100 * MS).contains(&grown), "{grown}");
    }
    assert_eq!(lag(&world, 1), 0);
    world.heal();
    world.until("the peer catches up", |w| lag(w, 2) == 0);
}

#[test]
fn what_the_ring_has_dropped_is_repaired() {
    let mut world = World::with(3, 1, |config| {
        config.ring_max = 8;
        config.batch_max = 4;
    });
    world.cut(0, 2);
    world.cut(1, 2);
    world.run_for(3_000 * MS);
    for _ in 0..50 {
        world.sign_in(0);
    }
    world.heal();
    world.until("all nodes are equal", World::converged);
    assert!(world.node(2).stats.repaired.load(Relaxed) > 0);
}

/// What the origin tells of a peer: its lag, and whether it has acknowledged everything.
fn told_of(world: &World, origin: usize, peer: usize) -> (u64, bool) {
    let status = world.node(origin).engine.status();
    let mut peers = status.peers.iter();
    let told = peers.find(|p| p.node == World::name(peer)).unwrap();
    (told.lag, told.acked == status.head)
}

/// A subscription over a gap acknowledges nothing of what is in the gap.
#[test]
fn lag_is_the_age_of_what_the_ring_has_dropped_until_it_is_repaired() {
    let mut passed = 0;
    for seed in 0..10 {
        let mut world = World::with(2, seed, |config| {
            config.ring_max = 8;
            config.batch_bytes = 500;
        });
        world.cut(0, 1);
        world.run_for(3_000 * MS);
        let began = world.now;
        let sessions: Vec<_> = (0..50).map(|_| world.sign_in(0)).collect();
        world.run_for(5_000 * MS);
        world.heal();
        let lacks = |w: &World| {
            let store = &w.node(1).store;
            sessions.iter().any(|key| store.find(key).is_none())
        };
        while lacks(&world) {
            let (lag, caught_up) = told_of(&world, 0, 1);
            passed += u32::from(caught_up);
            assert!(
                lag >= world.now - began - 300 * MS,
                "seed {seed}: {lag} µs, and the oldest is {} µs old",
                world.now - began
            );
            assert!(world.step(), "seed {seed}");
        }
        world.until_within(5_000 * MS, "the gap is closed", |w| {
            told_of(w, 0, 1) == (0, true)
        });
    }
    assert!(passed > 0, "no subscription passed over anything");
}

/// Clocks apart leave nothing out of the comparison that closes a gap, not even what ends soon.
#[test]
fn a_gap_between_clocks_apart_is_closed_only_when_everything_was_compared() {
    for (seed, skew_ms) in [10_000, -10_000, 400_000, -400_000].into_iter().enumerate() {
        let mut world = World::empty(2, seed as u64, |config| config.ring_max = 8);
        world.skew_ms[1] = skew_ms;
        (0..2).for_each(|i| world.start(i));
        world.until("both are ready", |w| (0..2).all(|i| w.is_ready(i)));
        world.run_for(1_000 * MS);
        // The streams are lost, and nothing else: each goes on knowing how far the other's clock is off.
        world.stream = Some(Weather {
            loss: 1_000,
            ..CALM
        });
        // Some end within the present bucket of five minutes, some later; none has ended for the peer.
        let lives = [skew_ms.max(0) as u64 + 120_000, 1_200_000];
        let numbers: Vec<_> = (0..50)
            .map(|i| world.command(0, World::new_session("ada", lives[i % 2], 7_200_000)))
            .collect();
        let sessions: Vec<_> = numbers
            .into_iter()
            .map(|number| match world.answer(number) {
                Reply::Created(Ok(created)) => created.body.key(),
                other => panic!("not created: {other:?}"),
            })
            .collect();
        world.stream = None;
        world.until_within(30_000 * MS, "the gap is closed", |w| {
            told_of(w, 0, 1) == (0, true)
        });
        let lacks = |key: &&TicketKey| world.node(1).store.find(key).is_none();
        let lacking = sessions.iter().filter(lacks).count();
        assert_eq!(lacking, 0, "a clock apart by {skew_ms} ms, and no lag");
    }
}

/// The past of a stream is nothing that a newcomer lags behind by: it is filled by others as well.
#[test]
fn a_node_that_has_filled_itself_does_not_lag() {
    for seed in 0..10 {
        let mut world = World::with(3, seed, |config| config.ring_max = 8);
        for i in 0..50 {
            world.sign_in(i % 2);
        }
        world.run_for(60_000 * MS);
        world.crash(2);
        world.run_for(5_000 * MS);
        world.start(2);
        let met = |w: &World| {
            let status = w.node(0).engine.status();
            let new = Some(&w.node(2).member);
            status.peers.iter().any(|p| p.member.as_ref() == new)
        };
        world.until("it is met", met);
        for _ in 0..5_000 {
            let (lag, _) = told_of(&world, 0, 2);
            assert!(lag < 1_000 * MS, "seed {seed}: {lag}");
            assert!(world.step());
        }
        assert!(world.is_ready(2));
    }
}

#[test]
fn survivors_share_what_a_dead_node_gave_to_one_of_them() {
    let mut world = World::new(3, 1);
    world.cut(0, 2);
    let session = world.sign_in(0);
    assert!(world.node(2).store.find(&session).is_none());
    world.crash(0);
    world.until("the other survivor has it", |w| {
        w.node(2).store.find(&session).is_some()
    });
}

#[test]
fn a_node_whose_memory_went_back_is_fenced() {
    use castor_proto::message::PeerMessage;
    use castor_replication::engine::{Event, Input};

    let mut world = World::new(2, 1);
    world.sign_in(0);
    let peer = world.node(1).member.clone();
    // A peer asks for more of this incarnation's stream than there is.
    let ask = PeerMessage::Subscribe {
        nonce: 1,
        have: 1_000,
    };
    world.input(0, Input::Message(peer, ask));
    assert!(
        world
            .node(0)
            .events
            .iter()
            .any(|event| matches!(event, Event::Fenced))
    );
    assert!(!world.node(0).engine.is_ready());
}

#[test]
fn a_link_that_breaks_on_one_side_only_goes_on() {
    let mut world = World::new(3, 1);
    world.sign_in(0);
    world.blink(0, 2, 50 * MS);
    world.run_for(100 * MS);
    let began = world.now;
    let session = world.sign_in(0);
    assert!(
        world.now - began < 10 * MS,
        "the stream to node 2 stands still"
    );
    assert!(world.node(2).store.find(&session).is_some());
    assert_eq!(world.node(0).stats.create_partial.load(Relaxed), 0);
}

/// A gap is told when the ring has dropped what a peer lacks. Overtaken by what came after it, it is old
/// news and no sign of a memory that went back.
#[test]
fn word_of_a_gap_that_comes_late_fences_nobody() {
    use castor_proto::message::PeerMessage;
    use castor_replication::engine::{Event, Input};

    let mut world = World::new(2, 1);
    (0..5).for_each(|_| {
        world.sign_in(1);
    });
    let peer = world.node(1).member.clone();
    let late = PeerMessage::StreamStart {
        nonce: 0,
        next: 2,
        head: 3,
    };
    world.input(0, Input::Message(peer, late));
    world.run_for(1_000 * MS);
    let fenced = |event: &Event| matches!(event, Event::Fenced);
    assert!(!world.node(1).events.iter().any(fenced));
    assert!(world.is_ready(1));
}

/// Whoever subscribes behind a gap still gets what a request waits for: nothing else would ever vouch for
/// it.
#[test]
fn what_is_waited_for_reaches_a_peer_that_subscribes_behind_a_gap() {
    for seed in 0..10 {
        let mut world = World::with(2, seed, |config| config.ring_max = 64);
        world.cut(0, 1);
        world.run_for(3_000 * MS);
        (0..100).for_each(|_| {
            world.sign_in(0);
        });
        world.heal();
        // The links come up one after the other: node 0 waits before node 1 has subscribed.
        let numbers: Vec<_> = (0..60)
            .map(|_| {
                world.run_for(5 * MS);
                world.command(0, World::new_session("ada", 28_800_000, 7_200_000))
            })
            .collect();
        for number in numbers {
            world.answer(number);
        }
        let partial = world.node(0).stats.create_partial.load(Relaxed);
        assert_eq!(partial, 0, "seed {seed}");
    }
}

/// A subscription that is delivered twice may move the stream on behind something that the peer lacks, and
/// the peer takes no answer to what it does not ask any more.
#[test]
fn a_stream_that_has_left_something_out_untold_is_subscribed_to_anew() {
    use castor_proto::message::{PeerMessage, Phase};
    use castor_replication::engine::Input;

    let mut world = World::new(2, 1);
    let session = world.sign_in(0);
    world.run_for(1_000 * MS);
    let peer = world.node(1).member.clone();
    let filling = PeerMessage::Ping {
        sent: world.mono(1),
        phase: Phase::Bootstrapping,
    };
    world.input(0, Input::Message(peer.clone(), filling));
    // A last use, for which nobody waits, is on its way. It is lost.
    let weather = world.weather;
    world.weather.loss = 1_000;
    world.command(0, World::new_ticket(session, "https://app.example.org/"));
    let again = PeerMessage::Subscribe { nonce: 77, have: 0 };
    world.input(0, Input::Message(peer, again));
    world.weather = weather;
    world.run_for(3_000 * MS);
    let late = world.sign_in(0);
    assert!(world.node(1).store.find(&late).is_some());
    assert_eq!(world.node(0).stats.create_partial.load(Relaxed), 0);
    assert_eq!(told_of(&world, 0, 1), (0, true));
}

/// Heartbeats overtake each other: an old one does not undo what a later one has told.
#[test]
fn a_heartbeat_that_was_overtaken_tells_nothing() {
    use castor_proto::message::{PeerMessage, Phase};
    use castor_replication::engine::Input;

    let mut world = World::new(2, 1);
    let peer = world.node(1).member.clone();
    let now = world.mono(1);
    let phase = |w: &World| {
        let peers = w.node(0).engine.status().peers;
        let known = peers.into_iter().find(|p| p.node == World::name(1));
        known.unwrap().phase
    };
    let beats = [
        (now, Phase::Draining, Phase::Draining),
        (now - 1, Phase::Ready, Phase::Draining),
        (now - 200 * MS, Phase::Bootstrapping, Phase::Draining),
        (now + 1, Phase::Ready, Phase::Ready),
    ];
    for (sent, told, then) in beats {
        let ping = PeerMessage::Ping { sent, phase: told };
        world.input(0, Input::Message(peer.clone(), ping));
        assert_eq!(phase(&world), Some(then));
    }
    // Nothing says when an answer was given.
    let late = PeerMessage::Pong {
        sent: now,
        wall: world.true_time(),
        phase: Phase::Empty,
    };
    world.input(0, Input::Message(peer, late));
    assert_eq!(phase(&world), Some(Phase::Ready));
}

#[test]
fn what_is_taken_in_before_outputs_go_out_travels_in_one_batch() {
    let mut world = World::new(3, 1);
    let now = world.clock(0);
    let engine = &mut world.nodes[0].as_mut().unwrap().engine;
    for number in 0..5 {
        let command = World::new_session("user", 60_000, 0);
        engine.handle(now, Input::Command(number, command));
        assert!(engine.poll_early().is_none(), "it waits for the peers");
    }
    let mut batches = Vec::new();
    while let Some(output) = engine.poll() {
        if let Output::Send(_, PeerMessage::Deltas { entries, .. }) = output {
            batches.push(entries.len());
        }
    }
    assert_eq!(batches, [5, 5], "one for each peer");
}

/// Gives node 0 an input some milliseconds after `start`. How many deltas each batch has that leaves then; the
/// peers acknowledge all of it at once.
fn batches_at(world: &mut World, start: Now, ms: u64, input: Input) -> Vec<usize> {
    let now = Now {
        mono: start.mono + ms * MS,
        wall: start.wall + ms,
    };
    let engine = &mut world.nodes[0].as_mut().unwrap().engine;
    engine.handle(now, input);
    let (mut batches, mut acks) = (Vec::new(), Vec::new());
    while let Some(output) = engine.poll() {
        if let Output::Send(to, PeerMessage::Deltas { entries, head, .. }) = output {
            batches.push(entries.len());
            let ack = PeerMessage::DeltasAck {
                applied: head,
                services: Vec::new(),
            };
            acks.push(Input::Message(to, ack));
        }
    }
    for ack in acks {
        engine.handle(now, ack);
    }
    batches
}

#[test]
fn what_no_request_waits_for_gathers_a_little() {
    let mut world = World::new(3, 1);
    let session = world.sign_in(0);
    world.run_for(1_000 * MS);
    let start = world.clock(0);
    let ticket = |number| Input::Command(number, World::new_ticket(session, "https://a.org/"));
    let first = batches_at(&mut world, start, 0, ticket(1));
    assert_eq!(first, [1, 1], "after a pause it leaves at once");
    for (ms, number) in [(1, 2), (2, 3)] {
        let next = batches_at(&mut world, start, ms, ticket(number));
        assert!(next.is_empty(), "after {ms} ms");
    }
    let awaited = Input::Command(4, World::new_session("user", 60_000, 0));
    let hurried = batches_at(&mut world, start, 3, awaited);
    assert_eq!(hurried, [3, 3], "a session is waited for");
    assert!(batches_at(&mut world, start, 4, ticket(5)).is_empty());
    let wake = world.node(0).engine.next_wake().unwrap();
    assert!(wake <= start.mono + 13 * MS, "{}", wake - start.mono);
    assert!(batches_at(&mut world, start, 12, Input::Tick).is_empty());
    assert_eq!(batches_at(&mut world, start, 13, Input::Tick), [1, 1]);
}

/// What the event loop asks before it lets tickets wait for each other.
#[test]
fn tickets_crowd_unless_a_session_or_a_logout_waits_or_the_node_leaves() {
    let mut world = World::new(3, 1);
    let session = world.sign_in(0);
    world.run_for(1_000 * MS);
    let now = world.clock(0);
    let sign_out = Command::Destroy {
        key: session,
        kind: TicketKind::Tgt,
        hard_expiry: now.wall + 28_800_000,
        reason: DestroyReason::Logout,
    };
    let crowd = |world: &World| world.node(0).engine.tickets_under_way();
    assert_eq!(crowd(&world), 0);
    for number in 1..=5 {
        let ticket = World::new_ticket(session, "https://a.org/");
        let engine = &mut world.nodes[0].as_mut().unwrap().engine;
        engine.handle(now, Input::Command(number, ticket));
        assert_eq!(crowd(&world), number as usize);
    }
    // Nothing is acknowledged before outputs are taken.
    let waits = [World::new_session("user", 60_000, 0), sign_out];
    for (number, command) in (6..).zip(waits) {
        let engine = &mut world.nodes[0].as_mut().unwrap().engine;
        engine.handle(now, Input::Command(number, command));
        assert_eq!(crowd(&world), 0, "somebody waits");
        let batches = batches_at(&mut world, now, 0, Input::Tick);
        assert_eq!(batches.len(), 2);
        assert_eq!(crowd(&world), 5, "it is acknowledged");
    }
    batches_at(&mut world, now, 0, Input::Command(8, Command::Drain));
    assert_eq!(crowd(&world), 0, "it leaves");
}

#[test]
fn nothing_is_kept_back_by_a_node_that_leaves() {
    let mut world = World::new(3, 1);
    let session = world.sign_in(0);
    world.run_for(1_000 * MS);
    let start = world.clock(0);
    let ticket = |number| Input::Command(number, World::new_ticket(session, "https://a.org/"));
    assert_eq!(batches_at(&mut world, start, 0, ticket(1)), [1, 1]);
    batches_at(&mut world, start, 1, Input::Command(2, Command::Drain));
    assert_eq!(batches_at(&mut world, start, 2, ticket(3)), [1, 1]);
}

/// After a break no request waits for what has gathered: it goes out as fast as the peer takes it in, also when
/// it is few changes that fill a batch.
#[test]
fn a_backlog_of_large_deltas_goes_on_with_each_acknowledgement() {
    const PACE: u64 = 10 * MS;
    let mut world = World::with(2, 1, |config| config.batch_bytes = 16 << 10);
    world.cut(0, 1);
    world.run_for(8_000 * MS);
    let url = format!("https://app.example.org/{}", "x".repeat(1_000));
    for number in 0..300 {
        let session = world.sign_in(0);
        let ticket = World::new_ticket(session, &format!("{url}{number}"));
        let asked = world.command(0, ticket);
        world.answer(asked);
    }
    world.run_for(3_000 * MS);
    let acked = |w: &World| w.node(0).engine.status().peers[0].acked;
    let mut last = acked(&world);
    world.heal();
    let mut times = Vec::new();
    while told_of(&world, 0, 1) != (0, true) {
        assert!(world.step());
        if acked(&world) > last {
            last = acked(&world);
            times.push(world.now);
        }
    }
    let between = times.array_windows().map(|[a, b]| b - a);
    let paces: Vec<u64> = between.collect();
    assert!(paces.len() > 20, "{paces:?}");
    let (rest, full) = paces.split_last().unwrap();
    assert!(full.iter().all(|pace| *pace < PACE / 2), "{paces:?}");
    assert!(*rest >= PACE / 2, "it fills no batch: {paces:?}");
}
