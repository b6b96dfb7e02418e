//! A population of users against a CAS server: the load tests that others have published, again.
//!
//! The rooms: [`scenario`] (what a population is like), [`population`] (one user, as a state machine),
//! [`model`] (what comes of it without a server), [`counts`] (what happened, minute by minute).
//!
//! Promises: what users do follows from scenario and seed alone; answers decide only whether a life goes on.
//! Does not: look for a ceiling ([`mod@crate::bench`]).

pub mod counts;
pub mod model;
pub mod population;
pub mod scenario;
