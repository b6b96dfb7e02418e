//! What is asserted of every decoder of the wire, as plain functions of some bytes.
//!
//! libFuzzer calls them with bytes of its own making (`make fuzz`), [`super`] with the kept ones.
//! Each asserts that the decoder does not panic, that its memory is bounded, and that what it
//! accepts survives being written and read again.

use peak_alloc::PeakAlloc;

mod body;
mod entry;
mod envelope;
mod frame;
mod hello;
mod keyring;
mod messages;
mod names;
mod sealed;
mod ticket_id;

pub use body::body;
pub use entry::entry;
pub use envelope::envelope;
pub use frame::frame;
pub use hello::hello;
pub use keyring::keyring;
pub use messages::messages;
pub use names::names;
pub use sealed::sealed;
pub use ticket_id::ticket_id;

/// A target: asserts something of the decoder of its name.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const ALL: [(&str, Target); 10] = [
    ("body", body),
    ("entry", entry),
    ("envelope", envelope),
    ("frame", frame),
    ("hello", hello),
    ("keyring", keyring),
    ("messages", messages),
    ("names", names),
    ("sealed", sealed),
    ("ticket_id", ticket_id),
];

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Does some work and asserts that it never held more than `most` bytes more than before.
pub fn within<T>(most: usize, work: impl FnOnce() -> T) -> T {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let result = work();
    let held = MEMORY.peak_usage().saturating_sub(before);
    assert!(
        held <= most,
        "{held} bytes held at once, at most {most} allowed"
    );
    result
}
