//! How many tickets there may be: sessions and proxy-granting tickets each have room of their own.

use castor_proto::ticket::{Payload, Pgt, Principal, TicketKey, TicketKind};
use castor_replication::engine::{Command, Denied, NewReusable, Reply};

use castor_sim::world::World;

const MOST: usize = 20;

fn small(seed: u64) -> World {
    World::with(3, seed, |config| config.entries_max = MOST)
}

fn new_session() -> Command {
    World::new_session("ada", 28_800_000, 7_200_000)
}

fn new_proxy_granting(session: TicketKey) -> Command {
    let principal = Principal {
        id: "ada".into(),
        attributes: Vec::new(),
    };
    Command::Create(Box::new(NewReusable {
        id: None,
        life_ms: 28_800_000,
        idle_ms: 0,
        ancestors: vec![session],
        payload: Payload::Pgt(Pgt {
            principal,
            callback: "https://proxy.example.org/pgt".into(),
            proxies: Vec::new(),
        }),
        key_id: None,
    }))
}

/// How many of these commands in a row are granted, of `tries`.
fn granted(world: &mut World, tries: usize, command: impl Fn() -> Command) -> usize {
    let mut granted = 0;
    for _ in 0..tries {
        let number = world.command(0, command());
        match world.answer(number) {
            Reply::Created(Ok(_)) => granted += 1,
            Reply::Created(Err(Denied::Full)) => {}
            other => panic!("{other:?}"),
        }
    }
    granted
}

#[test]
fn proxy_granting_tickets_of_ended_sessions_keep_nobody_from_signing_in() {
    let mut world = small(1);
    for _ in 0..MOST {
        let session = world.sign_in(0);
        granted(&mut world, 1, || new_proxy_granting(session));
        world.sign_out(1, session);
    }
    // The sessions are gone, their proxy-granting tickets have hours to go.
    let gauges = world.node(0).store.gauges();
    assert_eq!(gauges.tickets(TicketKind::Tgt), 0);
    assert_eq!(gauges.tickets(TicketKind::Pgt), MOST as i64);
    assert_eq!(granted(&mut world, MOST, new_session), MOST);
}

#[test]
fn sessions_have_a_limit_and_so_have_proxy_granting_tickets() {
    let mut world = small(2);
    let session = world.sign_in(0);
    let grant = || new_proxy_granting(session);
    assert_eq!(granted(&mut world, MOST + 5, grant), MOST);
    assert_eq!(granted(&mut world, MOST + 5, new_session), MOST - 1);
}

/// What is left of ended sessions is bounded as well: as many as there may be sessions, again.
#[test]
fn what_is_left_of_ended_sessions_has_a_limit() {
    let mut world = small(3);
    let mut ended = 0;
    while ended <= 3 * MOST {
        let number = world.command(0, new_session());
        let Reply::Created(Ok(created)) = world.answer(number) else {
            break;
        };
        world.sign_out(0, created.body.key());
        ended += 1;
    }
    assert_eq!(ended, 2 * MOST);
    assert_eq!(
        world.node(0).store.gauges().held(TicketKind::Tgt),
        2 * MOST as i64
    );
}
