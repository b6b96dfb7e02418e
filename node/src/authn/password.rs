//! Argon2id hashes, checked on a few threads of their own.
//!
//! One check costs tens of milliseconds of processor and 19 MiB of memory at the default cost. On
//! the request threads a flood of sign-ins would hold up validations, so the work goes to a fixed
//! number of threads at a lower priority, through a bounded queue: when that is full the caller is
//! told at once. Work whose caller has gone away is skipped, but a sign-in's caller hardly ever does: it is
//! done to its end also when its client has gone. So places that somebody fills with sign-ins that they do
//! not wait for are free again only when the threads have been through them, 64 at the default.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use prometheus::Counter;
use subtle::ConstantTimeEq as _;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::clock::{self, Rng};

/// Default cost: 19 MiB, 2 passes, 1 lane.
pub const DEFAULT_COST: Cost = Cost {
    memory_kib: 19 * 1024,
    passes: 2,
    lanes: 1,
};

/// Most memory a hash may ask for, in KiB: a users file must not be able to exhaust the node.
pub const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Most passes.
pub const PASSES_MAX: u32 = 16;
/// Most lanes.
pub const LANES_MAX: u32 = 8;
/// Nice value of the threads: below everything that serves requests.
const NICE: i32 = 10;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// The cost of an Argon2id hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// Why a stored hash is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Not a PHC string.
    #[error("is not a password hash; make one with `castor password hash`")]
    Malformed,
    /// Another algorithm or version.
    #[error("is not an argon2id hash of version 19; make one with `castor password hash`")]
    Algorithm,
    /// Cost out of bounds.
    #[error("asks for too much: at most m={MEMORY_KIB_MAX}, t={PASSES_MAX}, p={LANES_MAX}")]
    Cost,
}

/// A stored hash, checked and ready to be compared with.
#[derive(Clone)]
pub struct StoredHash {
    cost: Cost,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl std::fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredHash({:?})", self.cost)
    }
}

impl StoredHash {
    /// Reads `$argon2id$v=19$m=..,t=..,p=..$salt$hash`.
    ///
    /// # Errors
    /// Malformed, another algorithm, or a cost out of bounds.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let phc = PasswordHash::new(text).map_err(|_| HashError::Malformed)?;
        if phc.algorithm.as_str() != "argon2id" || phc.version != Some(19) {
            return Err(HashError::Algorithm);
        }
        let params = Params::try_from(&phc).map_err(|_| HashError::Malformed)?;
        let cost = Cost {
            memory_kib: params.m_cost(),
            passes: params.t_cost(),
            lanes: params.p_cost(),
        };
        if cost.memory_kib > MEMORY_KIB_MAX || cost.passes > PASSES_MAX || cost.lanes > LANES_MAX {
            return Err(HashError::Cost);
        }
        let (Some(salt), Some(hash)) = (phc.salt, phc.hash) else {
            return Err(HashError::Malformed);
        };
        if hash.as_bytes().len() < 16 {
            return Err(HashError::Malformed);
        }
        Ok(Self {
            cost,
            salt: salt.as_ref().to_vec(),
            hash: hash.as_bytes().to_vec(),
        })
    }

    /// A hash that no password has, at a given cost: what an unknown user is compared with.
    pub fn dummy(cost: Cost, rng: &Rng) -> Self {
        Self {
            cost,
            salt: rng.bytes::<SALT_BYTES>().to_vec(),
            hash: rng.bytes::<HASH_BYTES>().to_vec(),
        }
    }

    /// Its cost.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Whether a password has this hash. Takes long; see [`HashPool`].
    pub fn verify(&self, password: &[u8]) -> bool {
        self.verify_in(password, &mut Vec::new())
    }

    /// As [`StoredHash::verify`], with memory that may have been used before.
    fn verify_in(&self, password: &[u8], memory: &mut Vec<Block>) -> bool {
        let mut out = Zeroizing::new(vec![0u8; self.hash.len()]);
        compute(self.cost, password, &self.salt, &mut out, memory).is_ok()
            && bool::from(out.ct_eq(&self.hash))
    }
}

fn compute(
    cost: Cost,
    password: &[u8],
    salt: &[u8],
    out: &mut [u8],
    memory: &mut Vec<Block>,
) -> argon2::Result<()> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(out.len()))?;
    memory.resize(params.block_count(), Block::default());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, out, memory)
}

/// Hashes a password for the users file, as a PHC string.
///
/// # Errors
/// When Argon2 refuses the cost.
pub fn hash(password: &str, cost: Cost, rng: &Rng) -> Result<String, HashError> {
    let salt = rng.bytes::<SALT_BYTES>();
    let mut out = [0u8; HASH_BYTES];
    compute(cost, password.as_bytes(), &salt, &mut out, &mut Vec::new())
        .map_err(|_| HashError::Cost)?;
    Ok(format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        cost.memory_kib,
        cost.passes,
        cost.lanes,
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(out)
    ))
}

struct Job {
    stored: Arc<StoredHash>,
    password: Zeroizing<String>,
    answer: oneshot::Sender<bool>,
}

/// The queue is full, or the threads are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many sign-ins wait to be checked")]
pub struct Busy;

/// The threads that check passwords.
pub struct HashPool {
    /// To the threads; without any, the caller's own thread does the work.
    queue: Option<SyncSender<Job>>,
    /// Processor seconds that hashes have taken.
    spent: Counter,
}

impl std::fmt::Debug for HashPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashPool")
    }
}

impl HashPool {
    /// Starts `threads` threads behind a queue of `queue` waiting checks. They end when the pool
    /// is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(threads: usize, queue: usize) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let spent = spent();
        let receiver = Arc::new(Mutex::new(receiver));
        for index in 0..threads.max(1) {
            let (receiver, spent) = (Arc::clone(&receiver), spent.clone());
            Builder::new()
                .name(format!("password-{index}"))
                .spawn(move || work(&receiver, &spent))?;
        }
        Ok(Self {
            queue: Some(sender),
            spent,
        })
    }

    /// Checks on the thread that asks, which it holds up: for a simulation, whose time would not
    /// wait for another thread.
    pub fn in_place() -> Self {
        Self {
            queue: None,
            spent: spent(),
        }
    }

    /// Processor seconds that hashes have taken: `castor_authn_hash_cpu_seconds_total`.
    pub fn spent(&self) -> &Counter {
        &self.spent
    }

    /// Whether a password has a hash.
    ///
    /// # Errors
    /// [`Busy`] at once when the queue is full.
    pub async fn verify(
        &self,
        stored: Arc<StoredHash>,
        password: Zeroizing<String>,
    ) -> Result<bool, Busy> {
        let Some(queue) = &self.queue else {
            let password = password.as_bytes();
            return Ok(measured(&self.spent, || stored.verify(password)));
        };
        let (answer, answered) = oneshot::channel();
        let job = Job {
            stored,
            password,
            answer,
        };
        match queue.try_send(job) {
            Ok(()) => answered.await.map_err(|_| Busy),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Busy),
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "a constant name that the library accepts"
)]
fn spent() -> Counter {
    Counter::new(
        "castor_authn_hash_cpu_seconds_total",
        "Processor seconds that this node has spent on password hashes.",
    )
    .expect("a valid name")
}

/// Adds the processor time of `work` on this thread: what it waited for others is not its cost.
fn measured<T>(spent: &Counter, work: impl FnOnce() -> T) -> T {
    let before = clock::thread_cpu();
    let done = work();
    spent.inc_by(clock::thread_cpu().saturating_sub(before).as_secs_f64());
    done
}

fn work(jobs: &Mutex<Receiver<Job>>, spent: &Counter) {
    // On Linux the nice value belongs to the thread. Failing to lower it costs fairness only.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "password threads run at normal priority");
    }
    // The system clears fresh memory page by page, for each check anew. So it is kept while there is more to
    // do, and given back when there is not.
    let mut memory = Vec::new();
    loop {
        let waiting = match jobs.try_lock() {
            Ok(jobs) => jobs.try_recv().ok(),
            Err(_) => None,
        };
        let job = match waiting {
            Some(job) => Ok(job),
            None => {
                memory = Vec::new();
                jobs.lock().unwrap_or_else(PoisonError::into_inner).recv()
            }
        };
        let Ok(job) = job else { return };
        if !job.answer.is_closed() {
            let password = job.password.as_bytes();
            let fits = measured(spent, || job.stored.verify_in(password, &mut memory));
            // The caller may have gone away meanwhile; then nobody needs the answer.
            let _ = job.answer.send(fits);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Cheap enough for tests.
    pub(crate) const CHEAP: Cost = Cost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };

    #[test]
    fn hashes_are_phc_strings_that_verify() {
        let text = hash("correct horse", CHEAP, &Rng::seeded(1)).unwrap();
        let stored = StoredHash::parse(&text).unwrap();
        assert_eq!(stored.cost(), CHEAP);
        assert!(stored.verify(b"correct horse"));
        assert!(!stored.verify(b"correct hors"));
        assert!(!format!("{stored:?}").contains("horse"));
    }

    #[test]
    fn a_hash_of_the_reference_implementation_verifies() {
        // argon2 (reference C implementation): password "password", salt "somesalt", m=65536, t=2.
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$\
                    CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let stored = StoredHash::parse(text).unwrap();
        assert!(stored.verify(b"password"));
        assert!(!stored.verify(b"Password"));
    }

    #[test]
    fn other_hashes_are_refused() {
        let good = hash("x", CHEAP, &Rng::seeded(1)).unwrap();
        for (text, error) in [
            ("plain".to_owned(), HashError::Malformed),
            (
                "$2y$10$abcdefghijklmnopqrstuv".to_owned(),
                HashError::Malformed,
            ),
            (good.replace("argon2id", "argon2i"), HashError::Algorithm),
            (good.replace("v=19", "v=16"), HashError::Algorithm),
            (good.replace("m=64", "m=99999999"), HashError::Cost),
            (good.replace("t=1", "t=99"), HashError::Cost),
            (
                good.rsplit_once('$').unwrap().0.to_owned(),
                HashError::Malformed,
            ),
        ] {
            assert_eq!(StoredHash::parse(&text).unwrap_err(), error, "{text}");
        }
    }

    #[tokio::test]
    async fn a_full_queue_is_told_at_once_and_the_rest_is_answered() {
        let pool = Arc::new(HashPool::start(1, 1).unwrap());
        let slow = Cost {
            memory_kib: 64 * 1024,
            passes: 1,
            lanes: 1,
        };
        let stored = Arc::new(StoredHash::dummy(slow, &Rng::seeded(2)));
        let checks: Vec<_> = (0..8)
            .map(|_| {
                let (pool, stored) = (Arc::clone(&pool), Arc::clone(&stored));
                tokio::spawn(async move { pool.verify(stored, "x".to_owned().into()).await })
            })
            .collect();
        let mut busy = 0;
        let mut answered = 0;
        for check in checks {
            match check.await.unwrap() {
                Ok(fits) => {
                    assert!(!fits);
                    answered += 1;
                }
                Err(Busy) => busy += 1,
            }
        }
        assert!(
            busy >= 1 && answered >= 1,
            "{busy} busy, {answered} answered"
        );
    }

    #[test]
    fn threads_run_at_low_priority() {
        let (sender, receiver) = sync_channel::<Job>(1);
        let handle = std::thread::spawn(move || {
            work(&Mutex::new(receiver), &spent());
            rustix::process::getpriority_process(None).unwrap()
        });
        drop(sender);
        assert_eq!(handle.join().unwrap(), NICE);
    }
}
