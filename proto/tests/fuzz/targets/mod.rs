//! What is asserted of every decoder of the wire, as plain functions of some bytes.
//!
//! libFuzzer calls them with bytes of its own making (`make fuzz`), [`super`] with the kept ones.
//! Each asserts that the decoder does not panic, that its memory is bounded, and that what it
//! accepts survives being written and read again.

mod body;
mod entry;
mod envelope;
mod frame;
mod hello;
mod keyring;
mod memory;
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
pub use memory::{Target, within};
pub use messages::messages;
pub use names::names;
pub use sealed::sealed;
pub use ticket_id::ticket_id;

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
