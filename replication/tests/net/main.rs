//! The network over real UDP on loopback: links, refusals, failures, certificates.
//!
//! Every process of a node has a runtime of its own, so that it can be killed or frozen like one.

#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![expect(
    clippy::disallowed_methods,
    reason = "what is tested takes real time, so real time is measured"
)]

mod failures;
mod links;
mod refusals;
mod stranger;
mod world;
