//! The CAS endpoints through the real router, over real replication; mirrors the URL tree.
//!
//! `routes` has one file per endpoint, `flows` follow a person or an application through several,
//! on several nodes. Nodes share a process and a memory network that really encodes messages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod flows;
mod protocol;
mod routes;
mod util;
