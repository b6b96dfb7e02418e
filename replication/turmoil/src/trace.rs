//! What happened in a run, as digests: two runs of one seed must have the same.

use std::cell::RefCell;
use std::net::SocketAddr;

struct Trace {
    events: blake3::Hasher,
    datagrams: blake3::Hasher,
    counts: Counts,
    print: bool,
}

/// How much happened.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// Lines of [`event`].
    pub events: u64,
    /// Datagrams sent.
    pub datagrams: u64,
}

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

/// Begins the trace of this thread's run.
pub fn begin(print: bool) {
    TRACE.set(Some(Trace {
        events: blake3::Hasher::new(),
        datagrams: blake3::Hasher::new(),
        counts: Counts::default(),
        print,
    }));
}

/// Simulated microseconds; 0 outside a host.
pub fn now() -> u64 {
    let elapsed = turmoil::sim_elapsed().unwrap_or_default();
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

fn with(record: impl FnOnce(&mut Trace)) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            record(trace);
        }
    });
}

/// Something that requests saw.
pub fn event(text: &str) {
    event_at(now(), text);
}

/// Something that was done to the cluster, at this many simulated microseconds.
pub fn event_at(micros: u64, text: &str) {
    let line = format!("{micros:>11} {text}\n");
    with(|trace| {
        trace.events.update(line.as_bytes());
        trace.counts.events += 1;
        if trace.print {
            print!("{line}");
        }
    });
}

/// A datagram to be sent, with every byte of it.
pub fn datagram(to: SocketAddr, contents: &[u8]) {
    let head = format!("{} {to} {}\n", now(), contents.len());
    with(|trace| {
        trace.datagrams.update(head.as_bytes());
        trace.datagrams.update(contents);
        trace.counts.datagrams += 1;
    });
}

/// Ends the trace: the digest of the events, the digest of the datagrams, and how many there were.
pub fn end() -> (String, String, Counts) {
    let trace = TRACE.take().expect("begun");
    let short = |hasher: &blake3::Hasher| hasher.finalize().to_hex()[..16].to_owned();
    (short(&trace.events), short(&trace.datagrams), trace.counts)
}
