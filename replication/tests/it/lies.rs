//! A peer that lies is refused, counted by reason, and fenced when it goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use castor_proto::delta::Entry;
use castor_proto::ids::{Ballot, ClaimId, Incarnation, Member};
use castor_proto::message::{Ask, PeerMessage};
use castor_proto::ticket::{TicketBody, TicketKey, TicketKind};
use castor_replication::engine::{Event, Input, Lie};

use castor_sim::world::{MS, World, is_valid};

const SECOND: u64 = 1_000 * MS;

/// Lies after which a peer is fenced, as the code has it.
const LIES_MAX: usize = 8;

/// What node 1 has refused so far of what node 0 said.
fn refused(world: &World) -> Vec<Lie> {
    let events = world.node(1).events.iter();
    let lie = |event: &Event| match event {
        Event::Refused { lie, .. } => Some(*lie),
        _ => None,
    };
    events.filter_map(lie).collect()
}

/// Whether a node gave itself up.
fn is_out(world: &World, node: usize) -> bool {
    let out = |event: &Event| matches!(event, Event::Fenced);
    world.node(node).events.iter().any(out)
}

fn say(world: &mut World, message: PeerMessage) {
    let liar = world.node(0).member.clone();
    world.input(1, Input::Message(liar, message));
}

/// Node 0 goes on lying to node 1, and is fenced for it; the others go on without it.
fn goes_on(world: &mut World, lie: Lie, mut message: impl FnMut(&World, u64) -> PeerMessage) {
    let fenced = |w: &World| w.node(1).stats.peers_fenced.load(Relaxed);
    for number in 1..LIES_MAX {
        let message = message(world, number as u64);
        say(world, message);
        assert_eq!(refused(world), vec![lie; number]);
    }
    assert_eq!(fenced(world), 0, "{lie:?} is refused, not more");
    let last = message(world, LIES_MAX as u64);
    say(world, last);
    assert_eq!(fenced(world), 1, "{lie:?}");
    let told = |event: &Event| matches!(event, Event::FencedPeer { lie: by, .. } if *by == lie);
    assert!(world.node(1).events.iter().any(told));
    world.run_for(SECOND);
    assert!(!is_out(world, 0), "one peer's word ends no process");
    let session = world.sign_in(1);
    let ticket = world.issue(1, session);
    assert_eq!(ticket.view.len(), 1, "the liar is in no view");
    assert!(is_valid(&world.claim(2, &ticket.id, 1)));
}

fn deltas(world: &World, number: u64, head: u64, hard_expiry: u64) -> PeerMessage {
    let applied = world.node(1).engine.status();
    let applied = applied
        .peers
        .iter()
        .find(|p| p.node == World::name(0))
        .unwrap()
        .applied;
    let mut entry = Entry::bottom(TicketKey([number as u8; 16]), TicketKind::Tgt, hard_expiry);
    entry.last_used = 1;
    PeerMessage::Deltas {
        first: applied + 1,
        head: applied + head,
        entries: vec![entry],
    }
}

#[test]
fn a_delta_of_a_ticket_that_had_ended_long_before_is_a_lie() {
    let mut world = World::new(3, 1);
    let held = world.node(1).store.len();
    goes_on(&mut world, Lie::Expired, |world, number| {
        deltas(world, number, 1, 1_799_000_000_000)
    });
    assert_eq!(
        world.node(1).stats.refused_entries.load(Relaxed),
        LIES_MAX as u64
    );
    assert_eq!(
        world.node(1).store.len(),
        held + 1,
        "the session made since"
    );
}

#[test]
fn old_deltas_after_a_break_are_refused_and_no_lie() {
    let mut world = World::new(3, 1);
    world.cut(0, 1);
    world.cut(2, 1);
    world.run_for(3 * SECOND);
    for _ in 0..20 {
        world.command(0, World::new_session("ada", 10_000, 0));
    }
    world.run_for(120 * SECOND);
    world.heal();
    world.run_for(10 * SECOND);
    assert!(world.node(1).stats.refused_entries.load(Relaxed) >= 20);
    assert_eq!(refused(&world), []);
}

#[test]
fn more_of_a_stream_than_there_is_is_a_lie() {
    let mut world = World::new(3, 1);
    goes_on(&mut world, Lie::BeyondHead, |world, number| {
        deltas(world, number, 0, 1_800_100_000_000)
    });
}

#[test]
fn a_view_that_does_not_name_the_node_is_a_lie() {
    let mut world = World::new(4, 1);
    let session = world.sign_in(0);
    let stranger = World::name(1);
    let mut foreign: Vec<Arc<TicketBody>> = Vec::new();
    while foreign.len() < 2 * LIES_MAX {
        let ticket = world.issue(0, session);
        if ticket.view.iter().all(|member| member.node != stranger) {
            foreign.push(ticket);
        }
    }
    world.crash(3);
    world.run_for(2 * SECOND);
    goes_on(&mut world, Lie::View, |_, number| {
        let ticket = &foreign[number as usize];
        let (rpc, body) = (number, Arc::from(ticket.encode()));
        if number % 2 == 0 {
            return PeerMessage::Store { rpc, body };
        }
        let ballot = Ballot { round: 1, nonce: 1 };
        PeerMessage::Ask {
            rpc,
            key: ticket.key(),
            body: Some(body),
            ask: Ask::Accept(ballot, ClaimId([9; 16])),
        }
    });
}

#[test]
fn a_view_with_an_earlier_incarnation_of_the_node_is_refused_and_no_lie() {
    let mut world = World::new(3, 1);
    let session = world.sign_in(0);
    let ticket = world.issue(0, session);
    world.crash(1);
    world.run_for(2 * SECOND);
    world.start(1);
    world.until("it is back", |w| w.is_ready(1));
    for rpc in 0..20 {
        let body = Arc::from(ticket.encode());
        say(&mut world, PeerMessage::Store { rpc, body });
    }
    assert_eq!(refused(&world), []);
}

#[test]
fn a_stream_that_goes_backwards_fences_its_incarnation_at_once() {
    let mut world = World::new(3, 1);
    world.watched = true;
    (0..5).for_each(|_| {
        world.sign_in(0);
    });
    world.run_for(SECOND);
    // The link comes up again, and the answer to the new subscription knows less than was sent.
    let liar = world.node(0).member.clone();
    world.cut(0, 1);
    world.run_for(3 * SECOND);
    world.input(1, Input::LinkUp(liar.clone()));
    let asked = world.subscriptions.last().copied().unwrap();
    let stream = PeerMessage::StreamStart {
        nonce: asked,
        next: 2,
        head: 1,
    };
    say(&mut world, stream);
    assert_eq!(refused(&world), [Lie::Backwards]);
    assert_eq!(world.node(1).stats.peers_fenced.load(Relaxed), 1);
}

/// Nobody lies here: a process is restored from a snapshot of its memory, under the same incarnation, and
/// the only other node that is there notices (rule 1).
#[test]
fn an_incarnation_whose_memory_went_back_is_fenced_by_whoever_has_seen_more() {
    for seed in 0..10 {
        let mut world = World::new(3, seed);
        (0..5).for_each(|_| {
            world.sign_in(0);
        });
        world.run_for(SECOND);
        let incarnation = world.node(0).member.incarnation;
        world.crash(2);
        world.run_for(4 * SECOND);
        world.crash(0);
        world.start_as(0, incarnation);
        world.until("it is fenced", |w| {
            w.node(1).stats.peers_fenced.load(Relaxed) == 1
        });
    }
}

#[test]
fn an_earlier_incarnation_is_not_heard() {
    let mut world = World::new(3, 1);
    let mut stale = world.node(0).member.clone();
    stale = Member {
        incarnation: Incarnation([1; 16]),
        ..stale
    };
    let before = world.node(1).store.len();
    for rpc in 0..20 {
        let mut entry = Entry::bottom(TicketKey([7; 16]), TicketKind::Tgt, 1_800_100_000_000);
        entry.last_used = 1;
        let message = PeerMessage::Found {
            rpc,
            entry: Some(entry),
        };
        world.input(1, Input::Message(stale.clone(), message));
    }
    assert_eq!(refused(&world), [Lie::Stale; 20]);
    assert_eq!(world.node(1).store.len(), before);
    let session = world.sign_in(1);
    assert_eq!(world.issue(1, session).view.len(), 3, "nobody else suffers");
}

#[test]
fn lies_a_minute_apart_are_refused_and_forgiven() {
    let mut world = World::new(3, 1);
    for number in 1..=20 {
        let message = deltas(&world, number, 0, 1_800_100_000_000);
        say(&mut world, message);
        world.run_for(20 * SECOND);
    }
    assert_eq!(refused(&world).len(), 20);
    assert_eq!(world.node(1).stats.peers_fenced.load(Relaxed), 0);
}

/// Whoever lies to everybody is told to exit by everybody, and believes that.
#[test]
fn a_peer_that_all_others_refuse_exits() {
    let mut world = World::new(3, 1);
    let liar = world.node(0).member.clone();
    for number in 0..LIES_MAX {
        for to in [1, 2] {
            let message = deltas(&world, number as u64, 0, 1_800_100_000_000);
            world.input(to, Input::Message(liar.clone(), message));
        }
    }
    world.run_for(SECOND);
    assert!(is_out(&world, 0));
    assert!(!world.node(0).engine.is_ready());
}

/// An acknowledgement of what was never made, a question for it, and the order to exit: each would be
/// right to a process whose memory went back.
fn accusations() -> [PeerMessage; 3] {
    [
        PeerMessage::DeltasAck {
            applied: 1_000,
            services: Vec::new(),
        },
        PeerMessage::Subscribe {
            nonce: 9,
            have: 1_000,
        },
        PeerMessage::Fenced,
    ]
}

#[test]
fn one_liar_takes_no_honest_node_down() {
    for message in accusations() {
        let mut world = World::new(3, 1);
        let liar = world.node(0).member.clone();
        for _ in 0..LIES_MAX {
            for to in [1, 2] {
                world.input(to, Input::Message(liar.clone(), message.clone()));
            }
        }
        for honest in [1, 2] {
            assert!(!is_out(&world, honest), "{message:?}");
            assert_eq!(world.node(honest).stats.peers_fenced.load(Relaxed), 1);
        }
        let told = refused(&world);
        let mut reasons: Vec<_> = told.iter().map(|lie| lie.reason()).collect();
        reasons.dedup();
        assert!(matches!(reasons[..], ["ahead" | "accuses"]), "{reasons:?}");
        world.run_for(SECOND);
        assert!(is_out(&world, 0), "both have told it to exit");
        let session = world.sign_in(1);
        let ticket = world.issue(1, session);
        assert!(is_valid(&world.claim(2, &ticket.id, 1)), "{message:?}");
    }
}

#[test]
fn one_liar_takes_no_honest_node_down_while_the_third_is_dead() {
    for message in accusations() {
        let mut world = World::new(3, 1);
        world.crash(2);
        world.run_for(5 * SECOND);
        (0..LIES_MAX).for_each(|_| say(&mut world, message.clone()));
        assert!(!is_out(&world, 1), "{message:?}");
        let session = world.sign_in(1);
        let ticket = world.issue(1, session);
        assert!(is_valid(&world.claim(1, &ticket.id, 1)));
    }
}

#[test]
fn a_node_that_most_others_have_seen_ahead_of_itself_exits() {
    for size in [3, 5] {
        let mut world = World::new(size, 1);
        let others: Vec<Member> = (1..size).map(|i| world.node(i).member.clone()).collect();
        let most = (size - 1) / 2 + 1;
        for (said, other) in others.iter().take(most).enumerate() {
            assert!(!is_out(&world, 0), "{said} of {size}");
            let [ack, ..] = accusations();
            world.input(0, Input::Message(other.clone(), ack));
        }
        assert!(is_out(&world, 0), "{most} of {size}");
    }
}

#[test]
fn accusations_a_minute_apart_do_not_add_up() {
    let mut world = World::new(3, 1);
    for round in 0..4 {
        let other = world.node(1 + round % 2).member.clone();
        world.input(0, Input::Message(other, PeerMessage::Fenced));
        world.run_for(90 * SECOND);
    }
    assert!(!is_out(&world, 0));
    assert!(world.is_ready(0));
}
