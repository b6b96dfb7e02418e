//! The engine driven over a simulated network that really encodes every message.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

mod claim;
mod failures;
mod fill;
mod lies;
mod limits;
mod logout;
mod mixed;
mod rounds;
mod slow;
mod standing;
mod stream;
