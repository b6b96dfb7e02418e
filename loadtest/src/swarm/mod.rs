//! A population of users against a CAS server: the load tests that others have published, again.
//!
//! The rooms: [`scenario`] (what a population is like), [`population`] (one user, as a state machine),
//! [`model`] (what comes of it without a server), [`day`] (a day with given counts of events), [`counts`] (what happened, minute by minute);
//! [`target`] (whom they talk to), [`accounts`] and [`addresses`] (as whom and from where), [`preflight`] (what is
//! looked at before anybody hatches), [`gauge`]
//! (what the nodes use), [`slices`] (what is looked at every few seconds); [`run`] (a whole run), [`mod@seen`] (what users saw), [`record`],
//! [`day_record`], [`curves`] and [`drift`] (what is written about it).
//!
//! Promises: what users do follows from scenario and seed alone; answers decide only whether a life goes on.
//! Does not: look for a ceiling ([`mod@crate::bench`]).

pub mod accounts;
pub mod addresses;
pub mod counts;
pub mod curves;
pub mod day;
pub mod day_record;
pub mod drift;
pub mod gauge;
mod life;
pub mod model;
pub mod population;
pub mod preflight;
pub mod record;
pub mod run;
pub mod scenario;
pub mod seen;
pub mod slices;
mod steps;
pub mod target;
mod visits;
mod world;

pub use world::Early;
