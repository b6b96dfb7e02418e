//! What a session costs that two further processes hold before it is acknowledged, and how long an empty
//! process takes to hold all of them: Castor beside Redis, in one run on one machine.
//!
//! `make bench-redis`, or `cargo bench -p castor-replication --bench put -- [OPTIONS]` where `redis-server` is
//! installed. Three processes of this program are nodes on loopback; three of `redis-server` are a primary
//! and two replicas. They are measured in turn, so that whatever else the machine does falls on both. The
//! last lines are `name: value ratio R`; R above 1 is Castor ahead.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout
)]

#[path = "../common/cluster.rs"]
mod cluster;
mod load;
mod node;
mod options;
mod redis;
#[path = "../common/session.rs"]
mod session;
mod site;

use std::time::Duration;

use castor_replication::driver::Clock;

use load::Took;
use node::Node;
use options::Options;
use redis::Trio;
use site::Site;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long anything may take that is only waited for.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // As the product does.
    rustix::thread::disable_transparent_huge_pages(true).unwrap();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == "node") {
        return node::child(&args).await;
    }
    let options = Options::parse(&args);
    let work = async {
        if options.puts {
            puts(&options).await;
        }
        if options.bootstrap {
            bootstrap(&options).await;
        }
    };
    tokio::select! {
        () = work => {}
        // What was started ends with this process' values.
        _ = tokio::signal::ctrl_c() => println!("stopped"),
    }
}

/// One line for a slice of time.
fn say(who: &str, in_flight: usize, took: &Took) {
    println!(
        "{who:>6} {in_flight:>3} in flight: {:>7.0}/s  p50 {:>6} us  p99 {:>6} us  max {:>7} us  {:>5.1} us of CPU each{}",
        took.rate(),
        took.quantile(0.50),
        took.quantile(0.99),
        took.quantile(1.0),
        took.cpu_each(),
        if took.partial == 0 {
            String::new()
        } else {
            format!("  {} NOT ACKNOWLEDGED BY BOTH", took.partial)
        }
    );
}

async fn puts(options: &Options) {
    let redis = match options.redis {
        true => Some(Trio::start(&options.folder, 2).await),
        false => None,
    };
    let mut site = Site::new(&options.folder);
    let mut nodes = site.start_three().await;
    let (first, others) = nodes.split_first_mut().unwrap();
    let pids: Vec<u32> = others.iter().map(|node| node.pid()).collect();
    println!(
        "Castor and Redis in turn, {} rounds of {} ms each; values of {} bytes",
        options.rounds,
        options.millis,
        load::VALUE
    );
    let mut ends = Vec::new();
    for &in_flight in &options.in_flight {
        let (mut castor, mut other) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            if let Some(redis) = &redis {
                let took = redis.put(in_flight, options.millis).await;
                say("Redis", in_flight, &took);
                other.push(took);
            }
            let took = first.put(in_flight, options.millis, &pids).await;
            say("Castor", in_flight, &took);
            castor.push(took);
        }
        if let (Some(ours), Some(theirs)) = (Took::middle(&castor), Took::middle(&other)) {
            ends.push((in_flight, ours, theirs));
        }
    }
    for (in_flight, ours, theirs) in ends {
        println!(
            "replicated_put_vs_redis_{in_flight}: {:.0}/s ratio {:.2} (p50 {} us, p99 {} us; Redis {:.0}/s, p50 {} us, p99 {} us)",
            ours.rate(),
            ours.rate() / theirs.rate(),
            ours.quantile(0.50),
            ours.quantile(0.99),
            theirs.rate(),
            theirs.quantile(0.50),
            theirs.quantile(0.99),
        );
    }
    if let Some(redis) = &redis {
        // Not comparable: who asks for one of the values waits for all of them. Told because it is faster.
        let took = redis.put_gathered(64, options.millis).await;
        say("Redis", 64, &took);
        println!(
            "  the last with 64 SET and one WAIT in one write of one connection, as no independent clients can"
        );
    }
    for node in nodes {
        node.stop().await;
    }
}

async fn bootstrap(options: &Options) {
    let sessions = options.sessions;
    let mut site = Site::new(&options.folder);
    let redis = match options.redis {
        true => {
            let trio = Trio::start(&options.folder, 1).await;
            trio.fill(sessions).await;
            Some(trio)
        }
        false => None,
    };
    let mut first = site.start("node-a").await;
    let mut second = site.start("node-b").await;
    first.whole(1).await;
    second.whole(1).await;
    let id = first.fill(sessions).await;
    second.holds(sessions).await;
    println!(
        "{sessions} values of {} bytes in two processes of each; a third one fills itself",
        load::VALUE
    );
    let (mut castor, mut other) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        if let Some(redis) = &redis {
            let took = redis.fill_third(sessions).await;
            println!(
                " Redis: {:.2} s from REPLICAOF until a read is answered",
                took as f64 / 1e6
            );
            other.push(took);
        }
        let took = fill_third(&mut site, sessions, &id).await;
        println!(
            "Castor: {:.2} s from the start of the process until a read is answered",
            took as f64 / 1e6
        );
        castor.push(took);
    }
    if let (Some(ours), Some(theirs)) = (load::middle(&mut castor), load::middle(&mut other)) {
        println!(
            "bootstrap_vs_redis: {:.2} s ratio {:.2} (Redis {:.2} s)",
            ours as f64 / 1e6,
            theirs as f64 / ours as f64,
            theirs as f64 / 1e6,
        );
    }
    second.stop().await;
    first.stop().await;
}

/// From the start of a third process until it has answered a read, in microseconds.
async fn fill_third(site: &mut Site, sessions: u64, id: &str) -> u64 {
    let clock = Clock::new();
    let began = clock.mono();
    let mut third: Node = site.start("node-c").await;
    third.read(id).await;
    let took = clock.mono() - began;
    third.holds(sessions).await;
    third.stop().await;
    site.forget_last();
    took
}
