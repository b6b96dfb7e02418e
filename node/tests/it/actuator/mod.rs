//! The actuator endpoints: who may ask, what they say, what they change.

mod access;
mod open;
mod records;
mod release;
mod sessions;
