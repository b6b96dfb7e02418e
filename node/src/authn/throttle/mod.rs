//! Failed sign-ins slow down whoever makes them (rule 25).
//!
//! Counted for the whole cluster, in two ways: for a user name from an address, and for an address
//! alone. Who is over the limit is refused for a while without a look at the password, be it right or
//! wrong and the user there or not; such attempts count nothing. The while grows with each failure.
//! A success, and an operator, make the failures of that user from that address forgotten; those of the
//! address alone stay, or whoever has one account could guess others.
//!
//! Names are kept as keyed digests: there may be a password where a name should be. What a peer counts
//! is here a moment later; until then a node lets no more attempts go on at once than may fail, for one
//! user from one address and for one address.

mod list;
mod rule;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use castor_proto::failures::FailureKey;
use castor_proto::ids::WallMs;
use castor_proto::seal::keyring::{KeyEntry, Purpose};
use castor_replication::driver::Handle;
use castor_replication::engine::Tally;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::Authenticator;
use crate::config::{AuthnThrottle, Live};
use rule::Rule;

pub use list::{Counted, PartlyCleared, Which};

/// How long a failure waits for a place in the queue of a busy replica before it is counted as lost; its
/// attempt is under way meanwhile.
const QUEUE_WAIT: Duration = Duration::from_millis(500);

/// What was counted against a refused attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The user name from this address.
    User,
    /// The address, whatever the user name.
    Address,
}

impl By {
    /// The word in metrics, audit and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Address => "address",
        }
    }
}

/// An attempt that is refused without a look at the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled {
    /// What was counted.
    pub by: By,
    /// For how long, at most and if nothing else fails.
    pub seconds: u64,
}

struct Inner {
    handle: Handle,
    config: Live,
    people: Vec<Arc<dyn Authenticator>>,
    under_way: Mutex<UnderWay>,
    refused: IntCounterVec,
    /// Failures that count nowhere.
    lost: IntCounter,
}

/// Attempts that are being judged on this node, by what would count them; each is a request, so connections
/// bound it.
type UnderWay = HashMap<FailureKey, u64>;

/// Counts failures and refuses attempts; cheap to clone.
#[derive(Clone)]
pub struct Throttle(Arc<Inner>);

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Throttle")
    }
}

/// An attempt that may go on; says how it ended.
#[derive(Debug)]
#[must_use = "an attempt that ends in silence counts nothing"]
pub struct Attempt {
    /// Absent when nothing is counted.
    counted: Option<(Throttle, Keys)>,
}

#[derive(Debug, Clone, Copy)]
struct Keys {
    user: FailureKey,
    /// Absent where the address is not known, or many people share it.
    address: Option<FailureKey>,
}

impl Keys {
    fn each(&self) -> impl Iterator<Item = FailureKey> {
        [Some(self.user), self.address].into_iter().flatten()
    }
}

impl Throttle {
    /// Counts on the replica behind `handle`. `people` are asked for the names that they know, when an
    /// operator looks.
    ///
    /// # Errors
    /// When a metric is already registered.
    pub fn new(
        handle: Handle,
        config: Live,
        people: Vec<Arc<dyn Authenticator>>,
        metrics: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let refused = IntCounterVec::new(
            Opts::new(
                "castor_authn_throttled_total",
                "Sign-ins refused without a look at the password, by what was counted (user: the \
                 user from this address; address).",
            ),
            &["by"],
        )?;
        metrics.register(Box::new(refused.clone()))?;
        for by in [By::User, By::Address] {
            refused.with_label_values(&[by.as_str()]);
        }
        let lost = IntCounter::new(
            "castor_authn_failures_lost_total",
            "Failed sign-ins that the throttle could not count, because replication was too busy or had \
             stopped.",
        )?;
        metrics.register(Box::new(lost.clone()))?;
        Ok(Self(Arc::new(Inner {
            handle,
            config,
            people,
            under_way: Mutex::default(),
            refused,
            lost,
        })))
    }

    /// Lets an attempt of this user name from this address go on, or refuses it.
    ///
    /// # Errors
    /// Too many have failed.
    pub fn admit(&self, username: &str, client: Option<IpAddr>) -> Result<Attempt, Throttled> {
        let config = self.0.config.load();
        let limits = &config.authn.throttle;
        if !limits.enabled {
            return Ok(Attempt { counted: None });
        }
        let keys = self.keys(limits, username, client);
        let now = self.0.handle.now();
        {
            // Looked at and entered under one guard, or two threads could take the same last place; and
            // what fails meanwhile counts before it is under way no more.
            let mut under_way = self.under_way();
            if let Some(throttled) = self.refusal(limits, &keys, now, &under_way) {
                let by = throttled.by.as_str();
                self.0.refused.with_label_values(&[by]).inc();
                return Err(throttled);
            }
            for key in keys.each() {
                *under_way.entry(key).or_default() += 1;
            }
        }
        Ok(Attempt {
            counted: Some((self.clone(), keys)),
        })
    }

    fn refusal(
        &self,
        limits: &AuthnThrottle,
        keys: &Keys,
        now: WallMs,
        under_way: &UnderWay,
    ) -> Option<Throttled> {
        let refused = |by, key: &FailureKey| {
            let tally = self.tally(limits, key, now);
            let rule = rule_of(limits, by);
            let until = rule.until(&tally, now).or_else(|| {
                // One at a time is always let in, or nobody could sign in any more.
                let others = under_way.get(key).copied().unwrap_or(0);
                let may_all_fail = others == 0 || tally.failures + others < rule.free;
                (!may_all_fail).then(|| now + rule.first_ms)
            })?;
            let seconds = until.saturating_sub(now).div_ceil(1_000);
            Some(Throttled { by, seconds })
        };
        refused(By::User, &keys.user).or_else(|| refused(By::Address, keys.address.as_ref()?))
    }

    fn tally(&self, limits: &AuthnThrottle, key: &FailureKey, now: WallMs) -> Tally {
        let since = now.saturating_sub(limits.window.as_millis());
        self.0.handle.store().failures().of(key, since, now)
    }

    fn keys(&self, limits: &AuthnThrottle, username: &str, client: Option<IpAddr>) -> Keys {
        let ring = self.0.handle.keyring();
        let address = client.map_or(UNKNOWN, network);
        let shared = |client: IpAddr| {
            let mut ranges = limits.shared_addresses.iter();
            ranges.any(|range| range.contains(client))
        };
        Keys {
            user: FailureKey {
                address,
                user: Some(digest(ring.current(), username)),
            },
            address: client
                .filter(|client| !shared(*client))
                .map(|_| FailureKey {
                    address,
                    user: None,
                }),
        }
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // A number is changed in one step, so a panic elsewhere leaves none half changed.
        let lock = self.0.under_way.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// The credential was refused. Returns when this node counts it; the others do a moment later.
    pub async fn failed(self) {
        let Some((throttle, keys)) = &self.counted else {
            return;
        };
        let handle = &throttle.0.handle;
        if let Err(error) = handle.failed(keys.each().collect(), QUEUE_WAIT).await {
            throttle.0.lost.inc();
            tracing::warn!(%error, "a failed sign-in is not counted");
        }
    }

    /// The credential was accepted.
    pub async fn accepted(self) {
        let Some((throttle, keys)) = &self.counted else {
            return;
        };
        let handle = &throttle.0.handle;
        let now = handle.now();
        let since = now.saturating_sub(throttle.0.config.load().authn.throttle.window.as_millis());
        if handle
            .store()
            .failures()
            .of(&keys.user, since, now)
            .failures
            == 0
        {
            return;
        }
        if let Err(error) = handle.forgive(vec![keys.user]).await {
            tracing::warn!(%error, "failures before a success are not forgotten");
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some((throttle, keys)) = &self.counted else {
            return;
        };
        let mut under_way = throttle.under_way();
        for key in keys.each() {
            if let Some(count) = under_way.get_mut(&key) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    under_way.remove(&key);
                }
            }
        }
    }
}

fn rule_of(limits: &AuthnThrottle, by: By) -> Rule {
    let free = match by {
        By::User => limits.user_failures,
        By::Address => limits.address_failures,
    };
    Rule {
        free: free as u64,
        first_ms: limits.first_delay.as_millis(),
        longest_ms: limits.max_delay.as_millis(),
    }
}

/// Stands for an address that no proxy told.
const UNKNOWN: [u8; 16] = [0; 16];

/// What counts as one address: of IPv6 the first 64 bits, as the rest is the client's own choice.
fn network(client: IpAddr) -> [u8; 16] {
    match client.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).octets(),
    }
}

/// A user name as it is counted: case does not matter, or each spelling would be free.
fn digest(key: &KeyEntry, username: &str) -> [u8; 16] {
    let name = username.trim().to_lowercase();
    let hash = blake3::keyed_hash(key.subkey(Purpose::FailedName), name.as_bytes());
    let mut digest = [0; 16];
    for (to, from) in digest.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    digest
}
