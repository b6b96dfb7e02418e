//! Load, faults and judgement for a CAS cluster, over HTTP and signals only.
//!
//! The rooms: [`cluster`] (what runs where), [`server`] (which one is asked), [`http`] (client), [`cas`] (what a server says),
//! [`person`] (who asks), [`judge`] (right or which sin), [`mod@bench`] (measurements on a healthy
//! cluster), [`faults`] (the same while processes die), [`history`] (what was asked and answered),
//! [`check`] (whether a history keeps the promises), [`site`] (hosts, switch, nodes and nginx of its
//! own), [`nemesis`] (what is done to a site), [`run`] (the record of a run), [`report`] (what
//! it looks like), [`swarm`] (a population of users), [`trials`] (published load tests with it),
//! [`whose`] (who may be loaded), [`cli`] (arguments).
//!
//! Promises: shares no code with the server, so that no mistake can hide on both sides.
//! Does not: need anything of the server but its pages, its answers and `cluster.json`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bench;
pub mod cas;
pub mod check;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod environment;
pub mod faults;
pub mod histogram;
pub mod history;
pub mod http;
pub mod issued;
pub mod judge;
pub mod lab;
pub mod nemesis;
pub mod person;
pub mod probes;
pub mod process;
pub mod progress;
pub mod report;
pub mod rng;
pub mod run;
pub mod schedule;
pub mod server;
pub mod site;
pub mod stop;
pub mod swarm;
pub mod trials;
pub mod whose;
