//! What a session takes of memory, counted and as the system sees it, and what an empty node does.
//!
//! `cargo bench -p castor-replication --no-default-features --bench memory -- [SESSIONS]` (default 1,000,000, of a
//! tenth as many people, each session with ten attributes). Counted is what the engine asked its allocator for; the
//! allocator here is the system's, because the counting one stands before it. What is resident with the
//! program's own allocator `--bench resident` says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod common;

use castor_proto::ticket::TicketKey;
use peak_alloc::PeakAlloc;

use common::{Alone, resident, session, visit};

#[global_allocator]
static COUNTED: PeakAlloc = PeakAlloc;

struct Before {
    counted: usize,
    resident: u64,
}

impl Before {
    fn now() -> Self {
        Self {
            counted: COUNTED.current_usage(),
            resident: resident(),
        }
    }

    fn say(&self, what: &str, sessions: u64) {
        let counted = COUNTED.current_usage().saturating_sub(self.counted) as u64;
        let resident = resident().saturating_sub(self.resident);
        println!(
            "{what}: {} bytes a session counted, {} resident",
            counted / sessions,
            resident / sessions
        );
    }
}

fn main() {
    let number = |text: String| text.parse::<u64>().ok();
    let sessions = std::env::args().find_map(number).unwrap_or(1_000_000);
    let people = (sessions / 10).max(1);
    let mut node = Alone::start(false);
    println!("empty: {} KiB resident", resident() >> 10);
    let (start, mut keys) = (Before::now(), Vec::with_capacity(sessions as usize));
    for number in 0..sessions {
        keys.push(node.create(session(number % people)));
    }
    let own = size_of::<TicketKey>() as u64;
    println!("of that, {own} bytes are this bench's own list of keys");
    start.say("a session with ten attributes", sessions);
    for key in &keys {
        for which in 0..5 {
            visit(&mut node, *key, which..which + 1);
        }
    }
    start.say("the same after five applications", sessions);
    println!(
        "the engine's own estimate: {} bytes a session",
        node.store.gauges().bytes() as u64 / sessions
    );
}
