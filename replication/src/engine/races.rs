//! What threads may see of each other, under every schedule that shuttle tries.
//!
//! Request handlers read the store and where the node stands while the event loop's thread writes
//! both; single-use tickets are decided by the engine, on that thread, from a queue. Each check has a
//! mutant: the same in two steps, first look and then act. A run in which shuttle does not kill every
//! mutant fails. Run with `make races`; schedules are drawn from a fixed seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use castor_proto::delta::{DestroyReason, Entry};
use castor_proto::ids::{ClaimId, Incarnation, Member, NodeName};
use castor_proto::message::Phase;
use castor_proto::ticket::{Payload, Principal, St, Tgt, TicketId, TicketKey, TicketKind};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::mpsc::{SyncSender, sync_channel};
use shuttle::{Runner, thread};

use super::expiry::ExpiryIndex;
use super::{
    ClaimOutcome, Command, Config, Engine, Input, NewReusable, NewSingleUse, Now, Output, Reply,
    Stand, Standing, Stats, Store, TicketKeys,
};

/// Schedules of each kind that one check tries.
const SCHEDULES: usize = 3_000;
const KEY: TicketKey = TicketKey([5; 16]);

/// Runs a scene under random schedules and under ones with few, badly placed switches. Says after how
/// many it failed; `None` when all passed.
fn first_failure(scene: impl Fn() + Send + Sync + 'static) -> Option<usize> {
    let tried = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tried);
    let scene = Arc::new(move || {
        count.fetch_add(1, Relaxed);
        scene();
    });
    let again = Arc::clone(&scene);
    let failed = catch_unwind(AssertUnwindSafe(move || {
        let random = RandomScheduler::new_from_seed(4_711, SCHEDULES);
        Runner::new(random, shuttle::Config::new()).run(move || scene());
        let few = PctScheduler::new_from_seed(4_711, 3, SCHEDULES);
        Runner::new(few, shuttle::Config::new()).run(move || again());
    }));
    failed.is_err().then(|| tried.load(Relaxed))
}

fn holds(scene: impl Fn() + Send + Sync + 'static) {
    assert_eq!(first_failure(scene), None, "fails at this schedule");
}

/// Asserts that a defect is found.
fn dies(mutant: &str, scene: impl Fn() + Send + Sync + 'static) {
    let after = first_failure(scene);
    let after = after.unwrap_or_else(|| panic!("the mutant `{mutant}` survived"));
    println!("mutant `{mutant}`: killed by schedule {after}");
}

fn change(make: impl FnOnce(&mut Entry)) -> Entry {
    let mut entry = Entry::bottom(KEY, TicketKind::Tgt, 1_000);
    make(&mut entry);
    entry
}

fn destroyed() -> Entry {
    change(|entry| entry.destroyed = Some(DestroyReason::Logout))
}

fn used(at: u64) -> Entry {
    change(|entry| entry.last_used = at)
}

/// How threads change an entry: at once, as the store does, or in two steps.
type Join = fn(&Store, &Entry);

fn at_once(store: &Store, delta: &Entry) {
    store.join(delta);
}

fn look_then_act(store: &Store, delta: &Entry) {
    let mut entry = store.entry(&KEY).unwrap_or_else(|| used(0));
    entry.join(delta);
    store.remove_if(&KEY, |_| true);
    store.join(&entry);
}

/// Two threads change one entry: both changes are kept, and what was seen is never unseen.
fn two_changes(join: Join) {
    let store = Arc::new(Store::new([1; 32]));
    store.join(&used(1));
    let ends = {
        let store = Arc::clone(&store);
        thread::spawn(move || join(&store, &destroyed()))
    };
    let uses = {
        let store = Arc::clone(&store);
        thread::spawn(move || join(&store, &used(9)))
    };
    let reads = {
        let store = Arc::clone(&store);
        thread::spawn(move || {
            let (mut gone, mut newest) = (false, 0);
            for _ in 0..4 {
                let entry = store.entry(&KEY).expect("an entry does not vanish");
                assert!(entry.destroyed.is_some() >= gone, "nothing comes back");
                assert!(entry.last_used >= newest, "last use never falls");
                (gone, newest) = (entry.destroyed.is_some(), entry.last_used);
            }
        })
    };
    for thread in [ends, uses, reads] {
        thread.join().unwrap();
    }
    let entry = store.entry(&KEY).unwrap();
    assert!(
        entry.destroyed.is_some() && entry.last_used == 9,
        "{entry:?}"
    );
    assert_eq!(
        (store.len(), store.gauges().tickets(TicketKind::Tgt)),
        (1, 0)
    );
    assert_eq!(store.gauges().bytes(), store.recount_bytes());
}

#[test]
fn no_change_of_an_entry_is_lost_or_taken_back() {
    holds(|| two_changes(at_once));
    dies("copy, join, put back", || two_changes(look_then_act));
}

/// Several threads end one session: exactly one of them is the one that did.
fn rivals(won: fn(&Store) -> bool) {
    let store = Arc::new(Store::new([1; 32]));
    store.join(&used(1));
    let rivals: Vec<_> = (0..3)
        .map(|_| {
            let store = Arc::clone(&store);
            thread::spawn(move || won(&store))
        })
        .collect();
    let winners = rivals.into_iter().filter(|_| true);
    let winners = winners.map(|rival| usize::from(rival.join().unwrap()));
    assert_eq!(winners.sum::<usize>(), 1, "winners");
}

#[test]
fn one_of_several_ends_a_session() {
    holds(|| rivals(|store| store.join(&destroyed()).joined.newly_destroyed));
    dies("is_destroyed, then join", || {
        rivals(|store| {
            let first = !store.is_destroyed(&KEY);
            store.join(&destroyed());
            first
        });
    });
}

/// An entry is due, and just then a peer's change moves its end: it must not be lost, and it must be
/// looked at again.
fn late_extension(forget: fn(&Store) -> bool) {
    const NOW: u64 = 5_000;
    let store = Arc::new(Store::new([1; 32]));
    let mut index = ExpiryIndex::default();
    store.join(&used(1));
    index.watch(KEY, 1_000);
    let extends = {
        let store = Arc::clone(&store);
        thread::spawn(move || {
            store
                .join(&change(|entry| entry.hard_expiry = 9_000))
                .inserted
        })
    };
    for key in index.take_due(NOW) {
        if !forget(&store) {
            index.watch(key, store.entry(&key).unwrap().hard_expiry);
        }
    }
    let came_anew = extends.join().unwrap();
    let entry = store.entry(&KEY).expect("it lives until 9,000");
    assert_eq!(entry.hard_expiry, 9_000);
    assert!(came_anew || index.is_due(10_000), "nobody will forget it");
}

#[test]
fn an_entry_whose_end_moves_while_it_is_forgotten_is_kept() {
    holds(|| {
        late_extension(|store| {
            let gone = store.remove_if(&KEY, |entry| entry.hard_expiry <= 5_000);
            gone.is_some()
        });
    });
    dies("look at the end, then remove", || {
        late_extension(|store| {
            let over = store
                .entry(&KEY)
                .is_some_and(|entry| entry.hard_expiry <= 5_000);
            over && store.remove_if(&KEY, |_| true).is_some()
        });
    });
}

/// A node that never serves while ready is never read as serving and ready.
fn changing_stand(read: fn(&Standing) -> Stand) {
    let standing = Arc::new(Standing::new(0));
    let stand = |phase, serving, at| Stand { phase, serving, at };
    standing.set(stand(Phase::Ready, false, 1));
    let sets = {
        let standing = Arc::clone(&standing);
        thread::spawn(move || {
            standing.set(stand(Phase::Draining, true, 2));
            standing.set(stand(Phase::Ready, false, 3));
        })
    };
    for _ in 0..3 {
        let seen = read(&standing);
        assert_eq!(seen.serving, seen.phase == Phase::Draining, "{seen:?}");
        assert_eq!(seen.at.is_multiple_of(2), seen.serving, "{seen:?}");
    }
    sets.join().unwrap();
}

#[test]
fn a_stand_is_of_one_moment() {
    holds(|| changing_stand(Standing::get));
    dies("phase and readiness read one after the other", || {
        changing_stand(|standing| {
            let phase = standing.get().phase;
            Stand {
                phase,
                ..standing.get()
            }
        });
    });
}

/// The engine of a cluster of one, and a clock that a test moves.
struct Alone {
    engine: Engine,
    now: u64,
    commands: u64,
}

impl Alone {
    fn start(store: &Arc<Store>) -> Self {
        let member = Member {
            node: NodeName::parse("n1").unwrap(),
            incarnation: Incarnation([1; 16]),
        };
        let keys = TicketKeys {
            key_id: 1,
            check: [1; 32],
            tag: [2; 32],
        };
        let config = Config::new(member, [3; 32]);
        let stats = Arc::new(Stats::default());
        let now = 3_600_000_000;
        let engine = Engine::new(config, keys, Arc::clone(store), stats, &[4; 32], 0, at(now));
        let mut alone = Self {
            engine,
            now,
            commands: 0,
        };
        while !alone.engine.is_ready() {
            alone.now += 100_000;
            alone.engine.handle(at(alone.now), Input::Tick);
            while alone.engine.poll().is_some() {}
            assert!(alone.now < 3_700_000_000, "it does not become ready");
        }
        alone
    }

    fn ask(&mut self, command: Command) -> Reply {
        self.commands += 1;
        self.now += 100;
        self.engine
            .handle(at(self.now), Input::Command(self.commands, command));
        while let Some(output) = self.engine.poll() {
            if let Output::Reply(number, reply) = output {
                assert_eq!(number, self.commands);
                return reply;
            }
        }
        panic!("a node alone answers at once");
    }
}

fn at(mono: u64) -> Now {
    let wall = 1_800_000_000_000 + mono / 1_000;
    Now { mono, wall }
}

fn ticket(alone: &mut Alone) -> TicketId {
    let payload = Payload::Tgt(Tgt {
        principal: Principal::default(),
        authenticated_at: 0,
        handler: "test".into(),
        remember_me: false,
        client_address: "192.0.2.1".into(),
    });
    let session = alone.ask(Command::Create(Box::new(NewReusable {
        id: None,
        life_ms: 60_000,
        idle_ms: 0,
        ancestors: Vec::new(),
        payload,
        key_id: None,
    })));
    let Reply::Created(Ok(session)) = session else {
        panic!("{session:?}");
    };
    let service = "https://app.example.org/".to_owned();
    let issued = alone.ask(Command::Issue(Box::new(NewSingleUse {
        ancestors: vec![session.body.key()],
        life_ms: 10_000,
        payload: Payload::St(St {
            service: service.clone(),
            registered_service: 1,
            from_new_login: true,
        }),
        service: Some((1, service)),
    })));
    match issued {
        Reply::Issued(Ok(issued)) => issued.body.id.clone(),
        other => panic!("{other:?}"),
    }
}

type Job = (Command, SyncSender<Reply>);

/// Three requests claim one ticket by way of the queue; `valid` is what each answers.
fn claims(valid: fn(&shuttle::sync::Mutex<Vec<TicketKey>>, TicketKey, &Reply) -> bool) {
    let store = Arc::new(Store::new([3; 32]));
    let mut alone = Alone::start(&store);
    let key = ticket(&mut alone).key();
    let (jobs, queue) = sync_channel::<Job>(2);
    let used = Arc::new(shuttle::sync::Mutex::new(Vec::new()));
    let requests: Vec<_> = (1..=3)
        .map(|number| {
            let (jobs, used) = (jobs.clone(), Arc::clone(&used));
            thread::spawn(move || {
                let (answer, answers) = sync_channel(1);
                let claim = Command::Claim {
                    key,
                    hints: Vec::new(),
                    unresolved_hint: false,
                    claim: ClaimId([number; 16]),
                };
                jobs.send((claim, answer)).unwrap();
                valid(&used, key, &answers.recv().unwrap())
            })
        })
        .collect();
    drop(jobs);
    let engine = thread::spawn(move || {
        while let Ok((command, answer)) = queue.recv() {
            answer.send(alone.ask(command)).unwrap();
        }
    });
    let winners = requests
        .into_iter()
        .map(|request| usize::from(request.join().unwrap()));
    assert_eq!(winners.sum::<usize>(), 1, "claims answered as valid");
    engine.join().unwrap();
}

#[test]
fn one_of_several_requests_consumes_a_ticket() {
    holds(|| claims(|_, _, reply| matches!(reply, Reply::Claimed(ClaimOutcome::Won(_)))));
    dies("a list of used tickets, read and then written", || {
        claims(|used, key, _| {
            let first = !used.lock().unwrap().contains(&key);
            used.lock().unwrap().push(key);
            first
        });
    });
}
