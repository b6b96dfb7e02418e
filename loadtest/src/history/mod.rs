//! The history of a run: what was asked of whom, when, and what came back, one JSON object a line.
//!
//! The rooms: [`mod@line`] (one line, read and written), [`recorder`] (a queue and a file),
//! [`names`] (what tickets are called in a file that may be kept).
//!
//! Promises: a call without an answer is `unknown`, never a failure; a history that is cut off is
//! seen to be; no ticket and no session can be taken over with what is in it.
//! Does not: judge ([`crate::check`]).

pub mod line;
mod names;
pub mod recorder;

pub use line::{Call, Header, Line, Op, Out, Phase};
pub use recorder::{FRONT, History, Pending, Recorder, Written};
