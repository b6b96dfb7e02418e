//! What is done to a site of its own while people sign in: each nemesis on a fresh cluster, under
//! load through nginx, with a history that is judged.
//!
//! The rooms: [`inject`] (the faults), [`ready`] (who says that it is ready meanwhile), [`run`] (one
//! run), [`report`] (what came out).
//!
//! Promises: load and history begin before the fault and go on after it; in every connected group of
//! nodes one must stay ready; after the fault one converged cluster must be there in time.
//! Does not: run two at a time.

pub mod inject;
pub mod ready;
pub mod report;
pub mod run;

use std::path::PathBuf;
use std::time::Duration;

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The `castor` program.
    pub castor: PathBuf,
    /// Which ones, in this order.
    pub names: Vec<Nemesis>,
    /// How long a fault lasts.
    pub duration: Duration,
    /// Nodes.
    pub nodes: usize,
    /// How often all nodes are started together.
    pub starts: u32,
    /// Seed of all choices.
    pub seed: u64,
    /// Folder for histories; also logs of nodes when a run fails.
    pub histories: Option<PathBuf>,
    /// Sessions before the fault.
    pub sessions: usize,
    /// Pairs per second.
    pub pairs_per_second: f64,
    /// Races per second, beside the pairs.
    pub races_per_second: Option<f64>,
}

/// Each is described by [`Nemesis::says`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nemesis {
    /// SIGKILL of one.
    KillOne,
    /// Each in turn, drained.
    RollingRestart,
    /// SIGSTOP of one.
    Pause,
    /// One alone.
    Isolate,
    /// One that is not heard.
    OneWay,
    /// A minority apart.
    Split,
    /// A bad network.
    SlowLossy,
    /// One that comes and goes.
    Flap,
    /// SIGKILL of two.
    KillTwo,
    /// All at the same moment.
    StartTogether,
    /// One an hour ahead.
    ClockAhead,
    /// One an hour behind.
    ClockBehind,
    /// No more files.
    FdLimit,
    /// No more memory.
    MemoryLimit,
    /// No more disk.
    DiskFull,
    /// One more, one less.
    AddRemove,
}

impl Nemesis {
    /// All, in the order in which they are run.
    pub const ALL: [Self; 16] = [
        Self::KillOne,
        Self::RollingRestart,
        Self::Pause,
        Self::Isolate,
        Self::OneWay,
        Self::Split,
        Self::SlowLossy,
        Self::Flap,
        Self::KillTwo,
        Self::StartTogether,
        Self::ClockAhead,
        Self::ClockBehind,
        Self::FdLimit,
        Self::MemoryLimit,
        Self::DiskFull,
        Self::AddRemove,
    ];

    /// Name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillOne => "kill-one",
            Self::RollingRestart => "rolling-restart",
            Self::Pause => "pause",
            Self::Isolate => "isolate",
            Self::OneWay => "one-way",
            Self::Split => "split",
            Self::SlowLossy => "slow-lossy",
            Self::Flap => "flap",
            Self::KillTwo => "kill-two",
            Self::StartTogether => "start-together",
            Self::ClockAhead => "clock-ahead",
            Self::ClockBehind => "clock-behind",
            Self::FdLimit => "fd-limit",
            Self::MemoryLimit => "memory-limit",
            Self::DiskFull => "disk-full",
            Self::AddRemove => "add-remove",
        }
    }

    /// What it does.
    pub fn says(self) -> &'static str {
        match self {
            Self::KillOne => "kill -9 of one node, started again later",
            Self::RollingRestart => "SIGTERM and start of each node in turn; no request may fail",
            Self::Pause => "SIGSTOP of one node for 5 s",
            Self::Isolate => "one node cut off from the others and from nginx",
            Self::OneWay => "what one node sends to the others is lost",
            Self::Split => "a minority cut off from the majority, nginx reaches both",
            Self::SlowLossy => "100 ms and 5 % loss between all hosts",
            Self::Flap => "one node cut off and back every second",
            Self::KillTwo => "kill -9 of two nodes at once, both started again",
            Self::StartTogether => "all nodes started at the same moment, again and again",
            Self::ClockAhead => "the clock of one node jumps an hour ahead, and back",
            Self::ClockBehind => "the clock of one node jumps an hour back, and ahead again",
            Self::FdLimit => "one node may open no further file or connection",
            Self::MemoryLimit => "one node gets so little memory that the kernel kills it",
            Self::DiskFull => "the disk of one node's audit file is full",
            Self::AddRemove => "one more node joins, another leaves",
        }
    }

    /// Fewest nodes it makes sense with.
    pub fn nodes_min(self) -> usize {
        match self {
            Self::KillTwo | Self::Split => 3,
            _ => 2,
        }
    }

    /// Whether live tickets may be refused: half of the nodes or more are gone at once, or none of
    /// those that can reach each other is a majority. They are counted all the same.
    pub fn may_refuse(self, nodes: usize) -> bool {
        match self {
            Self::KillTwo | Self::StartTogether => nodes <= 4,
            _ => nodes <= 2,
        }
    }

    /// Of a hundred requests through nginx, how many may fail; `None` when it is only counted.
    pub fn failed_percent_max(self) -> Option<u64> {
        match self {
            Self::RollingRestart | Self::AddRemove | Self::DiskFull => Some(0),
            Self::SlowLossy => Some(1),
            _ => None,
        }
    }

    /// Whether nginx reads a new configuration: it then closes the connections that it keeps open to
    /// clients, which may just be sending. A browser asks again, the load generator does not.
    pub fn reloads_front(self) -> bool {
        self == Self::AddRemove
    }

    /// Whether all nodes lose their memory at once.
    pub fn forgets(self) -> bool {
        self == Self::StartTogether
    }

    /// The nodes that it touches: a race that one of these has a part in need not be won while it lasts.
    pub fn touches(self, nodes: usize) -> Vec<usize> {
        match self {
            Self::SlowLossy | Self::DiskFull => Vec::new(),
            Self::RollingRestart | Self::StartTogether => (0..nodes).collect(),
            Self::KillTwo => vec![inject::VICTIM, inject::second_victim(nodes)],
            Self::Split => inject::minority(nodes).collect(),
            _ => vec![inject::VICTIM],
        }
    }

    /// Whether what it touched is as before when it is over: the member is there, and its sessions are.
    pub fn restores(self) -> bool {
        !matches!(self, Self::AddRemove | Self::StartTogether)
    }

    /// Whether frames must have been lost.
    pub fn breaks_network(self) -> bool {
        matches!(
            self,
            Self::Isolate | Self::OneWay | Self::Split | Self::SlowLossy | Self::Flap
        )
    }
}
