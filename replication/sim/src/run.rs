//! One seed: a safety phase full of faults, then all faults stop and it must heal.

use std::collections::BTreeMap;

use castor_replication::engine::Event;

use crate::invariants::{self, Invariant, Verdict};
use crate::nemesis::{Fault, Nemesis};
use crate::plan::Plan;
use crate::workload::Workload;
use crate::world::{BEGINNING, MS, Story, World};

/// When all faults have stopped, every node is ready and all agree after this much simulated time.
pub const HEALS_WITHIN: u64 = 10_000 * MS;

/// Longer than any operation, and any single-use ticket, lasts.
const AFTERMATH: u64 = 20_000 * MS;

const SECOND: u64 = 1_000 * MS;

/// How one seed ended.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Simulated microseconds.
    pub time: u64,
    /// Number of nodes.
    pub size: usize,
    /// Requests of clients.
    pub operations: u64,
    /// Requests that got what they wanted.
    pub granted: u64,
    /// Faults by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// From the end of all faults until all nodes agreed, microseconds.
    pub healed_after: u64,
    /// What ended the run: the first thing that was broken, of those that were looked for.
    pub violation: Option<Violation>,
    /// The first violation of each invariant, in the order in which they were broken.
    pub broken: Vec<Violation>,
    /// Hash of everything that happened, when it was asked for.
    pub hash: Option<String>,
}

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub invariant: &'static str,
    /// When, in simulated microseconds since the beginning.
    pub at: u64,
    /// What.
    pub what: String,
}

/// What ends a run before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// Any violation.
    #[default]
    Any,
    /// A violation of this invariant; others are noted.
    This(&'static str),
    /// Nothing: all violations are noted.
    Never,
}

struct Run {
    world: World,
    nemesis: Nemesis,
    people: Workload,
    invariants: Vec<Box<dyn Invariant>>,
    next_look: u64,
    until: Until,
    violation: Option<Violation>,
    broken: Vec<Violation>,
}

/// Runs a seed.
pub fn run(seed: u64, story: Story) -> Outcome {
    play(&Plan::of(seed), story, Until::Any, |_| {})
}

/// Runs a plan; `adjust` has the last word on every engine's configuration.
pub fn play(
    plan: &Plan,
    story: Story,
    until: Until,
    adjust: impl Fn(&mut castor_replication::engine::Config) + Send + 'static,
) -> Outcome {
    let mut run = Run::new(plan, story, adjust);
    run.until = until;
    let mut outcome = Outcome {
        seed: plan.seed,
        size: plan.size,
        ..Outcome::default()
    };
    run.start();
    run.suffer(plan.length);
    if run.violation.is_none() {
        outcome.healed_after = run.heal();
    }
    outcome.time = run.world.now - BEGINNING;
    outcome.operations = run.people.ledger.operations;
    outcome.granted = run.people.ledger.granted;
    outcome.faults = std::mem::take(&mut run.nemesis.done);
    outcome.hash = run.world.story.hash();
    outcome.violation = run.violation;
    outcome.broken = run.broken;
    outcome
}

impl Run {
    fn new(
        plan: &Plan,
        story: Story,
        adjust: impl Fn(&mut castor_replication::engine::Config) + Send + 'static,
    ) -> Self {
        let limits = plan.limits;
        let mut world = World::empty(plan.size, plan.seed, move |config| {
            limits.apply(config);
            adjust(config);
        });
        world.story = story;
        world.watched = true;
        world.weather = plan.weather;
        world.bulk = plan.bulk;
        world.stream = plan.stream;
        world.skew_ms.clone_from(&plan.skew_ms);
        world.drift_ppm.clone_from(&plan.drift_ppm);
        world.story.line(world.now, || format!("{plan:?}"));
        Self {
            nemesis: Nemesis::new(plan, world.now),
            people: Workload::new(plan, world.now),
            invariants: invariants::all(plan),
            next_look: world.now + SECOND,
            until: Until::Any,
            violation: None,
            broken: Vec::new(),
            world,
        }
    }

    fn start(&mut self) {
        (0..self.world.size()).for_each(|i| self.world.start(i));
    }

    /// The safety phase.
    fn suffer(&mut self, length: u64) {
        let end = self.world.now + length;
        while self.world.now < end && self.violation.is_none() {
            let next = self.people.next_at().min(self.nemesis.next_at());
            self.advance(next.min(end));
            if self.world.now < end {
                self.nemesis.act(&mut self.world);
                self.people.act(&mut self.world);
                self.watch();
            }
        }
    }

    /// Lets the world run until then, and watches it.
    fn advance(&mut self, until: u64) {
        while self.violation.is_none() {
            match self.world.next_at().filter(|at| *at <= until) {
                Some(at) if at > self.next_look => self.look(),
                Some(_) => {
                    self.world.step();
                    self.watch();
                }
                None if self.next_look <= until => self.look(),
                None => break,
            }
        }
        self.world.now = self.world.now.max(until);
    }

    fn look(&mut self) {
        self.world.now = self.world.now.max(self.next_look);
        self.next_look += SECOND;
        for at in 0..self.invariants.len() {
            let verdict = self.invariants[at].looks(&self.world, &self.people.ledger);
            self.judge(at, verdict);
        }
    }

    fn judge(&mut self, at: usize, verdict: Verdict) {
        let Err(what) = verdict else { return };
        let invariant = self.invariants[at].name();
        if self.violation.is_some() || self.broken.iter().any(|v| v.invariant == invariant) {
            return;
        }
        let violation = Violation {
            invariant,
            at: self.world.now - BEGINNING,
            what,
        };
        self.world
            .story
            .line(self.world.now, || format!("VIOLATED {violation:?}"));
        self.broken.push(violation.clone());
        if self.until == Until::Any || self.until == Until::This(invariant) {
            self.violation = Some(violation);
        }
    }

    /// What has come of the latest event.
    fn watch(&mut self) {
        for seen in std::mem::take(&mut self.world.seen) {
            for invariant in &mut self.invariants {
                invariant.delivered(&self.world, seen);
            }
        }
        for i in 0..self.world.size() {
            self.listen(i);
        }
        while !self.world.replies.is_empty() {
            for answer in self.people.collect(&mut self.world) {
                for at in 0..self.invariants.len() {
                    let verdict =
                        self.invariants[at].answered(&self.world, &self.people.ledger, &answer);
                    self.judge(at, verdict);
                }
            }
        }
    }

    fn listen(&mut self, i: usize) {
        let Some(node) = self.world.nodes[i].as_mut() else {
            return;
        };
        if node.events.is_empty() {
            return;
        }
        let events: Vec<Event> = node.forget_events();
        for event in &events {
            for at in 0..self.invariants.len() {
                let verdict =
                    self.invariants[at].reported(&self.world, &self.people.ledger, i, event);
                self.judge(at, verdict);
            }
        }
    }

    /// All faults stop; the time it takes until everything is well.
    fn heal(&mut self) -> u64 {
        self.people.stop();
        // Whoever is stopped goes on by himself.
        let thawed = self.world.frozen_until();
        self.advance(thawed);
        self.nemesis.stop(&mut self.world);
        let began = self.world.now;
        let mut healed = None;
        while healed.is_none() && self.world.now < began + HEALS_WITHIN && self.violation.is_none()
        {
            self.advance(self.world.now + 100 * MS);
            let well = invariants::has_healed(&self.world, &self.people.ledger);
            healed = well.then(|| self.world.now - began);
        }
        if healed.is_some() {
            self.advance(self.world.now + AFTERMATH);
        }
        if self.violation.is_none() {
            for at in 0..self.invariants.len() {
                let verdict = self.invariants[at].healed(&self.world, &self.people.ledger);
                self.judge(at, verdict);
            }
        }
        healed.unwrap_or(HEALS_WITHIN)
    }
}
