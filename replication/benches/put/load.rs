//! The closed loop that both are asked by: so many tasks on one thread, each with one put under way.

use std::rc::Rc;

use castor_replication::driver::Clock;
use tokio::task::{JoinSet, LocalSet};

use crate::cluster::cpu_time;

/// Bytes of a value.
pub(crate) const VALUE: usize = 512;

/// The first part of a slice is not counted, milliseconds.
const WARM_UP: u64 = 300;

/// The value of this number; no two are equal. Made with little work: whoever asks takes part in what is measured.
pub(crate) fn value(number: u64) -> String {
    let mut text = format!("{number:016x}");
    let mut state = number;
    while text.len() < VALUE {
        // SplitMix64: nothing here is worth compressing.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let letters = (mixed ^ (mixed >> 27)).to_le_bytes();
        text.extend(letters.map(|byte| char::from(b'a' + (byte & 15))));
    }
    text
}

/// What a slice of time brought.
#[derive(Clone, Default)]
pub(crate) struct Took {
    /// Ascending, microseconds.
    pub(crate) each: Vec<u32>,
    pub(crate) millis: u64,
    /// Puts that fewer than both others had acknowledged.
    pub(crate) partial: u64,
    /// CPU time of all processes, the asking one included, microseconds.
    pub(crate) cpu: u64,
}

impl Took {
    pub(crate) fn rate(&self) -> f64 {
        self.each.len() as f64 * 1e3 / self.millis as f64
    }

    pub(crate) fn quantile(&self, part: f64) -> u32 {
        let last = self.each.len().saturating_sub(1);
        let at = (last as f64 * part).round() as usize;
        self.each.get(at).copied().unwrap_or(0)
    }

    pub(crate) fn cpu_each(&self) -> f64 {
        self.cpu as f64 / self.each.len().max(1) as f64
    }

    /// The one with the middle rate.
    pub(crate) fn middle(all: &[Self]) -> Option<Self> {
        let mut order: Vec<&Self> = all.iter().collect();
        order.sort_by(|one, other| one.rate().total_cmp(&other.rate()));
        order.get(order.len() / 2).map(|took| (*took).clone())
    }

    /// As one line.
    pub(crate) fn write(&self) -> String {
        let mut line = format!("{} {} {}", self.millis, self.partial, self.cpu);
        for took in &self.each {
            line.push_str(&format!(" {took}"));
        }
        line
    }

    pub(crate) fn read(line: &str) -> Self {
        let mut words = line.split(' ').map(|word| word.parse::<u64>().unwrap());
        let mut next = || words.next().unwrap();
        let (millis, partial, cpu) = (next(), next(), next());
        Self {
            each: words.map(|word| word as u32).collect(),
            millis,
            partial,
            cpu,
        }
    }
}

/// The middle of some durations.
pub(crate) fn middle(all: &mut [u64]) -> Option<u64> {
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

/// Asks for so long with so many at once; `put` says whether both others have it. Slots are made by `slot`.
pub(crate) async fn closed_loop<S, P>(slots: Vec<S>, millis: u64, pids: &[u32], put: P) -> Took
where
    S: 'static,
    P: AsyncFn(&mut S) -> bool + 'static,
{
    let clock = Clock::new();
    let start = clock.mono() + WARM_UP * 1_000;
    let end = start + millis * 1_000;
    let put = Rc::new(put);
    let mut tasks = JoinSet::new();
    let local = LocalSet::new();
    for mut slot in slots {
        let (put, clock) = (Rc::clone(&put), clock.clone());
        let work = async move {
            let (mut each, mut partial) = (Vec::with_capacity(1 << 14), 0);
            loop {
                let began = clock.mono();
                let acknowledged = put(&mut slot).await;
                let now = clock.mono();
                if now >= end {
                    return (each, partial);
                }
                if began >= start && acknowledged {
                    each.push(u32::try_from(now - began).unwrap_or(u32::MAX));
                }
                partial += u64::from(!acknowledged);
            }
        };
        tasks.spawn_local_on(work, &local);
    }
    let mut took = Took {
        millis,
        ..Took::default()
    };
    let mut pids = pids.to_vec();
    pids.push(std::process::id());
    let busy = cpu_time(&pids);
    local
        .run_until(async {
            while let Some(done) = tasks.join_next().await {
                let (each, partial) = done.unwrap();
                took.each.extend(each);
                took.partial += partial;
            }
        })
        .await;
    // The warm-up is in it: scaled to what was counted.
    took.cpu = (cpu_time(&pids) - busy) * millis / (millis + WARM_UP);
    took.each.sort_unstable();
    took
}
