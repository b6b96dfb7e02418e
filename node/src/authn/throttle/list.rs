//! What operators see of failed sign-ins, and what they clear.
//!
//! The counters have no names. Those of users that a handler knows are found by making the digest of
//! each; a name that no handler knows is shown as none, as it may be somebody's password.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use castor_proto::failures::FailureKey;
use castor_proto::ids::WallMs;
use castor_replication::driver::RequestError;
use castor_replication::engine::Tally;

use super::{By, Purpose, Throttle, UNKNOWN, digest, rule_of};

/// Bytes of a handle before it is written as hexadecimal digits.
const HANDLE_BYTES: usize = 10;
/// Keys in one command: each is a look at every minute there is.
const AT_ONCE: usize = 256;

/// Which counters; all that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Which {
    /// By handle.
    pub handle: Option<String>,
    /// Of this user name from any address.
    pub user: Option<String>,
    /// From this address, or the network that stands for it, for any user and for itself.
    pub address: Option<String>,
    /// Only those that refuse sign-ins now.
    pub refusing: bool,
}

/// What is counted against one user from one address, or against one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Names this for operators, the same on every node.
    pub handle: String,
    /// What is counted.
    pub by: By,
    /// The user name, when somebody knows it.
    pub user: Option<String>,
    /// The address, or the network that stands for it; `-` when it is not known.
    pub address: String,
    /// Failures within `authn.throttle.window`.
    pub failures: u64,
    /// The latest of them.
    pub last: WallMs,
    /// Until when sign-ins are refused, when they are.
    pub until: Option<WallMs>,
    key: FailureKey,
}

/// Clearing stopped on the way.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct PartlyCleared {
    /// How many are cleared.
    pub done: usize,
    /// Why not all.
    pub error: RequestError,
}

impl Throttle {
    /// Whether failures are counted.
    pub fn is_enabled(&self) -> bool {
        self.0.config.load().authn.throttle.enabled
    }

    /// What counts now, the latest failure first. Goes through all counters and all user names: work
    /// for a thread that may be busy.
    pub fn counted(&self, which: &Which) -> Vec<Counted> {
        let config = self.0.config.load();
        let limits = &config.authn.throttle;
        let now = self.0.handle.now();
        let since = now.saturating_sub(limits.window.as_millis());
        let names = self.names(which);
        let tallies = self.0.handle.store().failures().all(since);
        let counted = tallies.into_iter().map(|(key, tally)| {
            let by = key.user.map_or(By::Address, |_| By::User);
            let until = rule_of(limits, by).until(&tally, now);
            self.describe(key, by, &tally, until, &names)
        });
        let mut counted: Vec<Counted> = counted.filter(|counted| which.has(counted)).collect();
        counted.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.key.cmp(&b.key)));
        counted
    }

    /// Lets these sign in again on every node.
    ///
    /// # Errors
    /// Too many requests are under way, or replication has stopped; some may be cleared by then.
    pub async fn clear(&self, counted: &[Counted]) -> Result<(), PartlyCleared> {
        let mut done = 0;
        for some in counted.chunks(AT_ONCE) {
            let keys = some.iter().map(|counted| counted.key).collect();
            let forgiven = self.0.handle.forgive(keys).await;
            forgiven.map_err(|error| PartlyCleared { done, error })?;
            done += some.len();
        }
        Ok(())
    }

    fn describe(
        &self,
        key: FailureKey,
        by: By,
        tally: &Tally,
        until: Option<WallMs>,
        names: &HashMap<[u8; 16], String>,
    ) -> Counted {
        Counted {
            handle: self.handle_of(&key),
            by,
            user: key.user.and_then(|user| names.get(&user).cloned()),
            address: address_text(&key.address),
            failures: tally.failures,
            last: tally.last,
            until,
            key,
        }
    }

    /// The names behind digests, as far as anybody knows them; under every key of the ring, as a counter
    /// may be older than the last change of keys.
    fn names(&self, which: &Which) -> HashMap<[u8; 16], String> {
        let ring = self.0.handle.keyring();
        let mut names = HashMap::new();
        let mut enter = |name: &str| {
            for key in ring.iter() {
                names.insert(digest(key, name), name.to_owned());
            }
        };
        match &which.user {
            // Whoever asks for a name knows it.
            Some(name) => enter(name),
            None => {
                for handler in &self.0.people {
                    handler.visit_names(&mut enter);
                }
            }
        }
        names
    }

    fn handle_of(&self, key: &FailureKey) -> String {
        let ring = self.0.handle.keyring();
        let mut hasher = blake3::Hasher::new_keyed(ring.current().subkey(Purpose::FailedName));
        hasher.update(&key.address);
        hasher.update(key.user.as_ref().map_or(&[], |user| user.as_slice()));
        let hash = hasher.finalize();
        let bytes = hash.as_bytes().iter().take(HANDLE_BYTES);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Which {
    fn has(&self, counted: &Counted) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        // Only the digest of the name that was asked for has a name then.
        let user = self.user.is_none() || counted.user.is_some();
        let address = self.address.as_deref().is_none_or(|wanted| {
            let wanted = wanted.parse().map(|ip| address_text(&super::network(ip)));
            wanted.is_ok_and(|wanted| wanted == counted.address)
        });
        user && (address || self.address.as_deref() == Some(&counted.address))
            && same(&self.handle, &counted.handle)
            && (!self.refusing || counted.until.is_some())
    }
}

fn address_text(address: &[u8; 16]) -> String {
    if *address == UNKNOWN {
        return "-".to_owned();
    }
    let address = Ipv6Addr::from(*address);
    match address.to_ipv4_mapped() {
        Some(address) => address.to_string(),
        None => format!("{address}/64"),
    }
}
