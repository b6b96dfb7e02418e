//! One run: a cluster, load, faults, peace, judgement. Everything in it follows from the seed.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use castor_loadtest::history::Phase;
use turmoil::Sim;

use crate::files::Files;
use crate::node::{Fault, NODES, Node, name, pause};
use crate::work::{self, Book, CALLERS, Caller};
use crate::{chance, socket, trace};

/// Load and faults end, simulated time.
const PEACE: Duration = Duration::from_secs(25);
/// Everything has healed by then, and every session is asked for.
const ASKING: Duration = Duration::from_secs(35);
/// This long after the last answer all nodes must be the same.
const QUIET: Duration = Duration::from_secs(2);
/// A node tells this often how it stands, simulated milliseconds.
const LOOK: u64 = 5;
/// No run is longer.
const END: Duration = Duration::from_secs(60);

/// What a run was.
pub struct Outcome {
    pub events: String,
    pub datagrams: String,
    pub counts: trace::Counts,
    /// Simulated milliseconds.
    pub simulated: u64,
    pub calls: u64,
    pub valid: u64,
    pub refused: u64,
    pub unanswered: u64,
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

/// How many service tickets may be refused. While a node was away or cut off, those who issued had too
/// few others to share a ticket with, and a node that is powered off within a ticket's life after that takes
/// its own along: no more than 10 s of what one node issues here.
fn may_go(blows: &[(Duration, Blow)]) -> u64 {
    let struck: Vec<Blow> = blows.iter().map(|(_, blow)| *blow).collect();
    match struck.as_slice() {
        [Blow::Crash(first), _, Blow::Crash(second), _] if first == second => 0,
        [_, _, Blow::Crash(_), _] => 500,
        _ => 0,
    }
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
            book.borrow_mut().standing[victim] = None;
            sim.crash(name(victim));
        }
        Blow::Bounce(victim) => sim.bounce(name(victim)),
    }
}

/// Faults as the story tells them: one ends when all nodes are ready and linked after its mending.
#[derive(Default)]
struct Faults {
    count: u64,
    open: Vec<String>,
    /// Nothing is broken at the moment.
    mended: bool,
}

impl Faults {
    fn struck(&mut self, blow: Blow, at: u64, book: &Book) {
        self.mended = matches!(blow, Blow::Heal(_) | Blow::Bounce(_));
        if self.mended {
            return;
        }
        self.count += 1;
        let name = format!("{} {blow:?}", self.count);
        book.borrow_mut().story.nemesis(&name, Phase::Begin, at);
        self.open.push(name);
    }

    fn look(&mut self, at: u64, book: &Book) {
        if !self.mended || self.open.is_empty() || !book.borrow().is_whole() {
            return;
        }
        for name in self.open.drain(..) {
            book.borrow_mut().story.nemesis(&name, Phase::End, at);
        }
    }
}

fn now(sim: &Sim<'_>) -> u64 {
    u64::try_from(sim.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn tell(sim: &Sim<'_>, text: &str) {
    trace::event_at(now(sim), text);
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
        .tcp_capacity(1_024)
        .build();
    let book = Book::default();
    book.borrow_mut().open = true;
    let addresses: Vec<IpAddr> = (0..NODES).map(|index| sim.lookup(name(index))).collect();
    let files = Rc::new(Files::write(&addresses)?);
    for (index, address) in addresses.into_iter().enumerate() {
        let (book, files) = (Rc::clone(&book), Rc::clone(&files));
        sim.host(name(index), move || {
            host(index, address, Rc::clone(&book), Rc::clone(&files))
        });
    }
    sim.client("people", people(Rc::clone(&book)));
    drive(&mut sim, &book)?;
    let simulated = u64::try_from(sim.elapsed().as_millis())?;
    work::judge(&book)?;
    let (events, datagrams, counts) = trace::end();
    let book = book.borrow();
    Ok(Outcome {
        events,
        datagrams,
        counts,
        simulated,
        calls: book.story.calls,
        valid: book.story.valid,
        refused: book.story.refused,
        unanswered: book.story.unanswered,
        violations: book.violations.clone(),
    })
}

/// Lets time go on, with its blows, until everything was asked for and it is quiet.
fn drive(sim: &mut Sim<'_>, book: &Book) -> Result<(), Fault> {
    let blows = blows();
    book.borrow_mut().story.may_go = may_go(&blows);
    let mut coming = blows.into_iter().peekable();
    let mut faults = Faults::default();
    let mut quiet = None;
    while sim.elapsed() < quiet.unwrap_or(END) {
        sim.step()?;
        while let Some((_, blow)) = coming.next_if(|(at, _)| *at <= sim.elapsed()) {
            strike(sim, blow, book);
            faults.struck(blow, now(sim), book);
        }
        faults.look(now(sim), book);
        if sim.elapsed() >= PEACE && book.borrow().open {
            tell(sim, "peace");
            book.borrow_mut().open = false;
            socket::DISTURBED.store(0, Relaxed);
        }
        if sim.elapsed() >= ASKING && !book.borrow().asking {
            tell(sim, "every session is asked for");
            book.borrow_mut().asking = true;
        }
        if quiet.is_none() && book.borrow().gone == CALLERS {
            quiet = Some(sim.elapsed() + QUIET);
        }
    }
    Ok(())
}

/// A host's software.
async fn host(index: usize, address: IpAddr, book: Book, files: Rc<Files>) -> turmoil::Result {
    let node = Rc::new(Node::start(index, address, files).await?);
    trace::event(&format!("n{index} started"));
    book.borrow_mut().nodes[index] = Some(Rc::clone(&node));
    loop {
        // Here, because a node that is asked outside its host compares its times with the machine's.
        let standing = (node.handle.readiness(), node.company());
        book.borrow_mut().standing[index] = Some(standing);
        pause(LOOK).await;
    }
}

/// Everybody who asks, on one host of their own.
async fn people(book: Book) -> turmoil::Result {
    let local = tokio::task::LocalSet::new();
    for _ in 0..CALLERS {
        local.spawn_local(Caller::new(Rc::clone(&book)).run());
    }
    local.await;
    std::future::pending().await
}
