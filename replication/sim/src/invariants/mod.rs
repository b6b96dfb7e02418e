//! What must hold, one file each. An invariant sees every answer, looks at the world once a second, and
//! judges it when everything has healed. It knows what no node can know, and nothing of how the engine
//! does its work.

mod bounded_memory;
mod convergence;
mod idle;
mod lag;
mod no_resurrection;
mod nothing_lost;
mod single_use;
mod stamps;

pub(crate) use convergence::has_healed;

use castor_replication::engine::Event;

use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::workload::Answer;
use crate::world::{Seen, World};

/// What was broken, in words.
pub type Verdict = Result<(), String>;

/// One property of the whole cluster.
pub trait Invariant {
    /// Its name: that of its file.
    fn name(&self) -> &'static str;

    /// A client was answered. The books have it already.
    fn answered(&mut self, _: &World, _: &Ledger, _: &Answer) -> Verdict {
        Ok(())
    }

    /// A node has reported something.
    fn reported(&mut self, _: &World, _: &Ledger, _node: usize, _: &Event) -> Verdict {
        Ok(())
    }

    /// A message was delivered and taken in.
    fn delivered(&mut self, _: &World, _: Seen) {}

    /// A second has passed.
    fn looks(&mut self, _: &World, _: &Ledger) -> Verdict {
        Ok(())
    }

    /// All faults have ended and the time for healing is over.
    fn healed(&mut self, _: &World, _: &Ledger) -> Verdict {
        Ok(())
    }
}

/// Their names.
pub const NAMES: [&str; 8] = [
    "single_use",
    "no_resurrection",
    "nothing_lost",
    "convergence",
    "idle",
    "bounded_memory",
    "stamps",
    "lag",
];

/// All of them, for one run.
pub fn all(plan: &Plan) -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(single_use::SingleUse),
        Box::new(no_resurrection::NoResurrection),
        Box::new(nothing_lost::NothingLost),
        Box::new(convergence::Convergence),
        Box::new(idle::Idle),
        Box::new(bounded_memory::BoundedMemory::new(plan)),
        Box::new(stamps::Stamps::default()),
        Box::new(lag::Lag::new(plan)),
    ]
}
