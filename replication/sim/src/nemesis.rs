//! Who does the damage: faults at random moments, each with its end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use castor_replication::engine::Command;

use crate::plan::{Flavour, Plan};
use crate::random::Random;
use crate::world::{CALM, Life, MS, Node, STORM, Weather, World};

/// The longest delay of one message when all faults have stopped, microseconds.
const NEAR: u64 = 10 * MS;

/// A kind of fault. The names appear in the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process dies with its memory, and starts again later.
    Crash,
    /// A process is told to leave service, dies, and starts again.
    Drain,
    /// Two nodes cannot reach each other.
    Cut,
    /// One node does not reach another.
    OneWayCut,
    /// The nodes fall into two groups.
    Partition,
    /// A process is stopped and goes on.
    Stop,
    /// All ways lose, double and delay.
    Storm,
    /// One way does.
    RoughWay,
    /// A link breaks as one of its ends sees it.
    Blink,
    /// A wall clock steps.
    ClockStep,
    /// Votes on single-use tickets are lost, doubled and late, and everything else is not.
    VoteStorm,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Crash,
        Self::Drain,
        Self::Cut,
        Self::OneWayCut,
        Self::Partition,
        Self::Stop,
        Self::Storm,
        Self::RoughWay,
        Self::Blink,
        Self::ClockStep,
        Self::VoteStorm,
    ];

    /// How often a flavour chooses it.
    fn weight(self, flavour: Flavour) -> u64 {
        use Flavour::{Clocks, Contention, Cuts, Filling, Restarts, Stops, Storms};
        match (self, flavour) {
            (Self::Crash, Restarts) => 12,
            (Self::Drain, Restarts) => 3,
            (Self::Cut | Self::OneWayCut | Self::Partition, Cuts) => 6,
            (Self::Storm | Self::RoughWay, Storms) => 8,
            (Self::Stop, Stops) => 12,
            (Self::ClockStep, Clocks) => 8,
            (Self::VoteStorm, Contention) => 20,
            (_, Contention) => 1,
            (Self::VoteStorm, _) => 0,
            (Self::Crash, Filling) => 12,
            (Self::RoughWay, Filling) => 8,
            (Self::Crash, _) => 3,
            (Self::ClockStep | Self::Drain, _) => 1,
            _ => 2,
        }
    }
}

/// What ends a fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Relief {
    Start(usize),
    Mend(Vec<(usize, usize)>),
    Calm,
    VotesCalm,
    Smooth(usize, usize),
    KillDrained(usize, u64),
    SetClock(usize, i64),
}

/// The source of faults of one run.
pub struct Nemesis {
    random: Random,
    flavour: Flavour,
    weather: Weather,
    every: u64,
    next_fault: u64,
    reliefs: BinaryHeap<Reverse<(u64, Relief)>>,
    skew_ms: Vec<i64>,
    /// Processes that were told to leave service.
    leaving: BTreeSet<Life>,
    /// Faults so far, by kind.
    pub done: BTreeMap<Fault, u64>,
}

impl Nemesis {
    /// Of a plan; the first fault comes after its mean pause.
    pub fn new(plan: &Plan, now: u64) -> Self {
        Self {
            random: Random::new(plan.seed, "faults"),
            flavour: plan.flavour,
            weather: plan.weather,
            every: plan.fault_every,
            next_fault: now + plan.fault_every,
            reliefs: BinaryHeap::new(),
            skew_ms: plan.skew_ms.clone(),
            leaving: BTreeSet::new(),
            done: BTreeMap::new(),
        }
    }

    /// When it acts next.
    pub fn next_at(&self) -> u64 {
        let relief = self.reliefs.peek().map(|Reverse((at, _))| *at);
        self.next_fault.min(relief.unwrap_or(u64::MAX))
    }

    /// Does what is due.
    pub fn act(&mut self, world: &mut World) {
        while self
            .reliefs
            .peek()
            .is_some_and(|Reverse((at, _))| *at <= world.now)
        {
            if let Some(Reverse((_, relief))) = self.reliefs.pop() {
                self.relieve(world, relief);
            }
        }
        if self.next_fault <= world.now {
            let fault = self.choose();
            if self.strike(world, fault) {
                *self.done.entry(fault).or_default() += 1;
                // Some faults come in pairs: that is when it hurts.
                let pause = if self.random.once_in(5) {
                    300 * MS
                } else {
                    self.every
                };
                self.next_fault = world.now + self.random.around(pause);
            } else {
                self.next_fault = world.now + 100 * MS;
            }
        }
    }

    fn choose(&mut self) -> Fault {
        let total: u64 = Fault::ALL.iter().map(|f| f.weight(self.flavour)).sum();
        let mut at = self.random.below(total);
        for fault in Fault::ALL {
            let weight = fault.weight(self.flavour);
            if at < weight {
                return fault;
            }
            at -= weight;
        }
        Fault::Crash
    }

    fn later(&mut self, at: u64, relief: Relief) {
        self.reliefs.push(Reverse((at, relief)));
    }

    /// How long something lasts: mostly short, sometimes long enough for everyone to notice.
    fn duration(&mut self) -> u64 {
        match self.random.below(4) {
            0 => self.random.between(100, 900) * MS,
            1 | 2 => self.random.between(900, 6_000) * MS,
            _ => self.random.between(6_000, 25_000) * MS,
        }
    }

    /// Whether it could be done.
    fn strike(&mut self, world: &mut World, fault: Fault) -> bool {
        let running: Vec<usize> = world.running().map(|(i, _)| i).collect();
        let Some(victim) = self.random.pick(&running) else {
            return false;
        };
        let others: Vec<usize> = (0..world.size()).filter(|i| *i != victim).collect();
        let Some(other) = self.random.pick(&others) else {
            return false;
        };
        let lasts = self.duration();
        let end = world.now + lasts;
        match fault {
            // The last one standing dies rarely: then nothing is left to be judged.
            Fault::Crash if running.len() == 1 && !self.random.once_in(10) => return false,
            Fault::Crash => {
                world.crash(victim);
                self.later(end, Relief::Start(victim));
            }
            Fault::Drain if running.len() == 1 => return false,
            Fault::Drain => {
                let life = world.node(victim).life;
                self.leaving.insert(life);
                world.command(victim, Command::Drain);
                self.later(world.now + 15_100 * MS, Relief::KillDrained(victim, life));
            }
            Fault::Cut => {
                world.cut(victim, other);
                self.later(end, Relief::Mend(vec![(victim, other)]));
            }
            Fault::OneWayCut => {
                world.cut_one_way(victim, other);
                self.later(end, Relief::Mend(vec![(victim, other)]));
            }
            Fault::Partition => {
                let ways = self.partition(world);
                self.later(end, Relief::Mend(ways));
            }
            Fault::Stop if world.is_frozen(victim) => return false,
            Fault::Stop => world.pause(victim, lasts),
            Fault::Storm => {
                world.weather = self.storm();
                self.later(end, Relief::Calm);
            }
            Fault::VoteStorm => {
                world.votes = Some(self.vote_storm());
                self.later(end, Relief::VotesCalm);
            }
            Fault::RoughWay => {
                let rough = self.storm();
                world.rough.insert((victim, other), rough);
                self.later(end, Relief::Smooth(victim, other));
            }
            Fault::Blink => {
                let micros = self.random.between(1, 800) * MS;
                world.blink_later(victim, other, micros);
            }
            Fault::ClockStep => self.step_clock(world, victim, end),
        }
        true
    }

    fn storm(&mut self) -> Weather {
        let mut storm = STORM;
        storm.delay.1 = self.random.between(1_000, 100_000);
        storm.loss = self.random.pick(&[0, 20, 50, 200, 500]).unwrap_or(50);
        storm.doubled = self.random.pick(&[0, 50, 300]).unwrap_or(50);
        storm
    }

    /// Attempts for one ticket overlap when each hears of the others late, or not at all.
    fn vote_storm(&mut self) -> Weather {
        Weather {
            delay: (100, self.random.pick(&[1, 3, 60]).unwrap_or(3) * MS),
            loss: self.random.pick(&[200, 400, 600]).unwrap_or(400),
            doubled: 500,
            late: self.random.pick(&[0, 200, 500]).unwrap_or(200),
        }
    }

    fn partition(&mut self, world: &mut World) -> Vec<(usize, usize)> {
        let size = world.size();
        let side: Vec<bool> = (0..size).map(|_| self.random.once_in(2)).collect();
        let mut ways = Vec::new();
        for a in 0..size {
            for b in a + 1..size {
                if side[a] != side[b] {
                    world.cut(a, b);
                    ways.push((a, b));
                }
            }
        }
        ways
    }

    fn step_clock(&mut self, world: &mut World, victim: usize, end: u64) {
        let seconds = self.random.pick(&[1, 3, 15, 60, 3_600]).unwrap_or(3);
        let sign = if self.random.once_in(2) { 1 } else { -1 };
        world.skew_ms[victim] = self.skew_ms[victim] + sign * seconds * 1_000;
        world.story.line(world.now, || {
            format!("clock of {victim} by {} s", sign * seconds)
        });
        self.later(end, Relief::SetClock(victim, self.skew_ms[victim]));
        // A process that starts now believes it. Only where that is the point of the run.
        if self.flavour == Flavour::Clocks && self.random.once_in(3) && world.running().count() > 1
        {
            world.crash(victim);
            self.later(world.now + 500 * MS, Relief::Start(victim));
        }
    }

    fn relieve(&mut self, world: &mut World, relief: Relief) {
        match relief {
            Relief::Start(i) if world.nodes[i].is_none() => {
                let right = world.skew_ms[i] == self.skew_ms[i];
                if right || self.flavour == Flavour::Clocks {
                    world.start(i);
                } else {
                    // A machine sets its clock before it starts services.
                    self.later(world.now + 500 * MS, Relief::Start(i));
                }
            }
            Relief::Start(_) => {}
            Relief::Mend(ways) => ways.into_iter().for_each(|(a, b)| world.mend(a, b)),
            Relief::Calm => {
                world.disturb_all();
                world.weather = self.weather;
            }
            Relief::VotesCalm => world.votes = None,
            Relief::Smooth(a, b) => {
                world.disturb_pair(a, b);
                world.rough.remove(&(a, b));
            }
            Relief::KillDrained(i, life) => {
                if world.nodes[i]
                    .as_ref()
                    .is_some_and(|node| node.life == life)
                {
                    world.crash(i);
                    self.later(world.now + 500 * MS, Relief::Start(i));
                }
            }
            Relief::SetClock(i, skew) => world.skew_ms[i] = skew,
        }
    }

    /// All faults stop: what is due later happens now.
    pub fn stop(&mut self, world: &mut World) {
        self.reliefs.clear();
        self.next_fault = u64::MAX;
        world.disturb_all();
        // Filling asks for hundreds of parts: a long way would make it long, and is a fault as well.
        let (low, high) = self.weather.delay;
        world.weather = Weather {
            delay: (low, high.min(NEAR)),
            ..CALM
        };
        world.rough.clear();
        world.votes = None;
        world.bulk = None;
        world.stream = None;
        world.skew_ms.clone_from(&self.skew_ms);
        world.heal();
        for i in 0..world.size() {
            // Whoever was leaving is gone, and where a clock was wrong the process is started anew.
            let clocks = self.flavour == Flavour::Clocks;
            let leaving = |node: &Node| {
                let wrong = !node.clock_right || !node.engine.status().clock_ok;
                self.leaving.contains(&node.life) || (clocks && wrong)
            };
            if world.nodes[i].as_ref().is_some_and(leaving) {
                world.crash(i);
            }
            if world.nodes[i].is_none() {
                world.start(i);
            }
        }
    }
}
