//! Many seeds over a few threads. A seed's run does not depend on which thread has it, or when.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use crate::clock;
use crate::run::{Outcome, Violation};

/// Outcomes that may wait to be looked at.
const WAITING: usize = 64;

/// What bounds a run of seeds.
pub struct Bounds<'a> {
    /// Threads.
    pub jobs: usize,
    /// No seed is begun after this moment.
    pub until: Option<Instant>,
    /// No seed is begun once this is set; those under way are finished.
    pub stop: &'a AtomicBool,
}

/// Threads that this machine can run at once, at most `most`.
pub fn threads(most: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.clamp(1, most)
}

/// Runs one piece of work after another, `work(0)`, `work(1)` and so on until there is none, and hands over
/// what came of each as it comes.
pub fn run<W, R: Send>(
    bounds: &Bounds<'_>,
    work: impl Fn(u64) -> Option<W> + Sync,
    play: impl Fn(W) -> R + Sync,
    mut each: impl FnMut(R),
) {
    let next = AtomicU64::new(0);
    let (sender, receiver) = sync_channel(WAITING);
    std::thread::scope(|scope| {
        for _ in 0..bounds.jobs {
            let (sender, next, work, play) = (sender.clone(), &next, &work, &play);
            scope.spawn(move || {
                while !is_over(bounds) {
                    let Some(work) = work(next.fetch_add(1, Relaxed)) else {
                        break;
                    };
                    if sender.send(play(work)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        receiver.iter().for_each(&mut each);
    });
}

fn is_over(bounds: &Bounds<'_>) -> bool {
    let late = |until: Instant| clock::monotonic() >= until;
    bounds.stop.load(Relaxed) || bounds.until.is_some_and(late)
}

/// A panic is a violation as well, and does not end the other seeds.
pub fn guarded(seed: u64, play: impl Fn(u64) -> Outcome) -> Outcome {
    let played = catch_unwind(AssertUnwindSafe(|| play(seed)));
    played.unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let violation = Violation {
            invariant: "no_panic",
            at: 0,
            what: text.unwrap_or_else(|| "a panic".into()),
        };
        Outcome {
            seed,
            violation: Some(violation.clone()),
            broken: vec![violation],
            ..Outcome::default()
        }
    })
}
