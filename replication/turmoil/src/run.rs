//! One run: a cluster, load, faults, peace, judgement. Everything in it follows from the seed.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use turmoil::Sim;

use crate::node::{Fault, NODES, Node, name};
use crate::work::{self, Book};
use crate::{chance, socket, trace};

/// Load and faults end, simulated time.
const PEACE: Duration = Duration::from_secs(25);
/// Everything has healed by then.
const END: Duration = Duration::from_secs(37);

/// What a run was.
pub struct Outcome {
    pub events: String,
    pub datagrams: String,
    pub counts: trace::Counts,
    pub operations: u64,
    pub valid_claims: u64,
    pub refused: u64,
    pub violations: Vec<String>,
}

/// Something done to the cluster at a moment of simulated time.
#[derive(Clone, Copy, Debug)]
enum Blow {
    /// Cuts a node off from the others, or from what it hears of them.
    Cut(usize, bool),
    Heal(usize),
    /// Power off.
    Crash(usize),
    Bounce(usize),
}

/// The blows of a run, by rising time: two faults one after the other, each with its mending.
fn blows() -> Vec<(Duration, Blow)> {
    let at = |milliseconds: u64| Duration::from_millis(milliseconds);
    let mut blows = Vec::new();
    let mut time = 5_000 + chance::below(1_500);
    for _ in 0..2 {
        let victim = chance::below(NODES as u64) as usize;
        let length = 1_000 + chance::below(6_000);
        let (blow, mending) = match chance::below(4) {
            0 => (Blow::Cut(victim, false), Blow::Heal(victim)),
            1 => (Blow::Cut(victim, true), Blow::Heal(victim)),
            _ => (Blow::Crash(victim), Blow::Bounce(victim)),
        };
        blows.push((at(time), blow));
        blows.push((at(time + length), mending));
        time += length + 1_000 + chance::below(2_000);
    }
    blows
}

fn strike(sim: &mut Sim<'_>, blow: Blow, book: &Book) {
    tell(sim, &format!("{blow:?}"));
    let others = |victim: usize| (0..NODES).filter(move |other| *other != victim);
    match blow {
        Blow::Cut(victim, one_way) => {
            for other in others(victim) {
                if one_way {
                    sim.partition_oneway(name(other), name(victim));
                } else {
                    sim.partition(name(other), name(victim));
                }
            }
        }
        Blow::Heal(victim) => {
            for other in others(victim) {
                sim.repair(name(other), name(victim));
            }
        }
        Blow::Crash(victim) => {
            book.borrow_mut().nodes[victim] = None;
            sim.crash(name(victim));
        }
        Blow::Bounce(victim) => sim.bounce(name(victim)),
    }
}

fn tell(sim: &Sim<'_>, text: &str) {
    let micros = u64::try_from(sim.elapsed().as_micros());
    trace::event_at(micros.unwrap_or(u64::MAX), text);
}

/// Runs a seed on this thread, which must be fresh: hash keys are drawn once for a thread.
pub fn run(seed: u64, print: bool) -> Result<Outcome, Fault> {
    chance::seed(seed);
    trace::begin(print);
    socket::DISTURBED.store(chance::below(3) * 10, Relaxed);
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .simulation_duration(END + Duration::from_secs(5))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(2 + chance::below(40)))
        .udp_capacity(4_096)
        .build();
    let book = Book::default();
    book.borrow_mut().open = true;
    let addresses: Vec<IpAddr> = (0..NODES).map(|index| sim.lookup(name(index))).collect();
    for index in 0..NODES {
        let (book, addresses) = (Rc::clone(&book), addresses.clone());
        sim.host(name(index), move || {
            host(index, Rc::clone(&book), addresses.clone())
        });
    }
    let mut coming = blows().into_iter().peekable();
    while sim.elapsed() < END {
        sim.step()?;
        while let Some((_, blow)) = coming.next_if(|(at, _)| *at <= sim.elapsed()) {
            strike(&mut sim, blow, &book);
        }
        if sim.elapsed() >= PEACE && book.borrow().open {
            tell(&sim, "peace");
            book.borrow_mut().open = false;
            socket::DISTURBED.store(0, Relaxed);
        }
    }
    work::judge(&book);
    let (events, datagrams, counts) = trace::end();
    let book = book.borrow();
    Ok(Outcome {
        events,
        datagrams,
        counts,
        operations: book.operations,
        valid_claims: book.valid_claims,
        refused: book.refused,
        violations: book.violations.clone(),
    })
}

/// A host's software: a node and the requests to it.
async fn host(index: usize, book: Book, addresses: Vec<IpAddr>) -> turmoil::Result {
    let node = Rc::new(Node::start(index, &addresses).await?);
    trace::event(&format!("n{index} started"));
    book.borrow_mut().nodes[index] = Some(Rc::clone(&node));
    let loads = (0..3).map(|_| work::load(index, Rc::clone(&node), Rc::clone(&book)));
    let local = tokio::task::LocalSet::new();
    for load in loads {
        local.spawn_local(load);
    }
    local.await;
    std::future::pending().await
}
