//! Whole nodes in a simulated network: HTTP, pages, tickets, and replication with QUIC, TLS and gossip.
//!
//! Only sockets, clock and chance are simulated. Each seed is a run of about 38 simulated seconds: people
//! and applications at all nodes, over HTTP; two faults (cut, one-way cut, power off and restart), loss and
//! duplication; then everything must have healed. A run is a process of its own, so that nothing is left of
//! an earlier one.
//!
//! `castor-turmoil --seconds 60` runs seeds for a minute on both processors, every fifth seed twice: the
//! same seed must give the same trace, to the byte of every datagram. `castor-turmoil --seed 7 --trace`
//! replays one. Exits 1 on a violation.

mod chance;
mod client;
mod files;
mod node;
mod provider;
mod run;
mod socket;
mod story;
mod trace;
mod wire;
mod work;

use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use node::Fault;

/// Every so many seeds one runs twice.
const TWICE: u64 = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|word| word == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let trace = arguments.iter().any(|word| word == "--trace");
    let result = match (number("--seed"), number("--seconds")) {
        (Some(seed), _) => one(seed, trace),
        (None, Some(seconds)) => many(seconds, number("--from").unwrap_or(1)),
        (None, None) => {
            Err("usage: castor-turmoil --seconds N [--from SEED] | --seed N [--trace]".into())
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one seed here; prints what [`many`] reads.
fn one(seed: u64, trace: bool) -> Result<bool, Fault> {
    let thread =
        std::thread::spawn(move || run::run(seed, trace).map_err(|error| error.to_string()));
    let outcome = thread.join().map_err(|_| "the run panicked")??;
    for violation in &outcome.violations {
        println!("violation {violation}");
    }
    println!(
        "seed {seed} events {} {} datagrams {} {} simulated {} calls {} valid {} refused {} \
         unanswered {}",
        outcome.counts.events,
        outcome.events,
        outcome.counts.datagrams,
        outcome.datagrams,
        outcome.simulated,
        outcome.calls,
        outcome.valid,
        outcome.refused,
        outcome.unanswered,
    );
    Ok(outcome.violations.is_empty())
}

#[derive(Default)]
struct Totals {
    seeds: u64,
    simulated: u64,
    calls: u64,
    valid: u64,
    unanswered: u64,
    repeated: u64,
    violations: u64,
}

/// Runs seeds until the time is up, two at once.
#[expect(
    clippy::disallowed_methods,
    reason = "outside the simulation: how long to go on"
)]
fn many(seconds: u64, from: u64) -> Result<bool, Fault> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let (next, totals) = (AtomicU64::new(from), Mutex::new(Totals::default()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while Instant::now() < until {
                    let seed = next.fetch_add(1, Relaxed);
                    if let Err(error) = judged(seed, &totals) {
                        println!("seed {seed}: {error}");
                        totals.lock().expect("not poisoned").violations += 1;
                    }
                }
            });
        }
    });
    let totals = totals.into_inner()?;
    println!(
        "{} seeds, {} simulated s of 3 nodes, {} HTTP calls, {} without an answer, {} tickets \
         validated, {} seeds run twice with one trace, {} violations",
        totals.seeds,
        totals.simulated / 1_000,
        totals.calls,
        totals.unanswered,
        totals.valid,
        totals.repeated,
        totals.violations
    );
    Ok(totals.violations == 0 && totals.seeds > 0)
}

fn judged(seed: u64, totals: &Mutex<Totals>) -> Result<(), Fault> {
    let (line, good) = child(seed)?;
    let again = if seed.is_multiple_of(TWICE) {
        Some(child(seed)?.0)
    } else {
        None
    };
    let field = |name: &str| {
        let mut words = line.split_whitespace().skip_while(|word| *word != name);
        words
            .nth(1)
            .and_then(|word| word.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let mut totals = totals.lock().map_err(|_| "poisoned")?;
    totals.seeds += 1;
    totals.simulated += field("simulated");
    totals.calls += field("calls");
    totals.valid += field("valid");
    totals.unanswered += field("unanswered");
    totals.violations += u64::from(!good);
    match again {
        Some(again) if again != line => {
            return Err(format!("two runs differ:\n  {line}\n  {again}").into());
        }
        Some(_) => totals.repeated += 1,
        None => {}
    }
    Ok(())
}

/// Runs a seed in a process of its own: its last line, and whether nothing was violated.
fn child(seed: u64) -> Result<(String, bool), Fault> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--seed", &seed.to_string()])
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        println!("seed {seed} fails; replay it with `make turmoil SEED={seed}`\n{text}{stderr}");
    }
    let line = text.lines().last().unwrap_or_default().to_owned();
    Ok((line, output.status.success()))
}
