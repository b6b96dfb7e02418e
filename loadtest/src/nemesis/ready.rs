//! Who says that it is ready, asked all the time.
//!
//! Promises: for each group of nodes that is connected and alive, the longest time in which none of
//! them said so. Does not: know why.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::clock;
use crate::cluster::Cluster;
use crate::http::{Call, Client};

const ASK_EVERY: Duration = Duration::from_millis(50);
/// An answer that takes longer is none.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// A running watch; it ends when it is dropped.
pub struct Watch {
    shared: Arc<Shared>,
    _workers: JoinSet<()>,
}

struct Shared {
    ready: Mutex<BTreeSet<usize>>,
    groups: Mutex<Vec<Group>>,
    longest: Mutex<Duration>,
}

struct Group {
    nodes: Vec<usize>,
    none_since: Option<Instant>,
}

impl Watch {
    /// Starts to ask the nodes of `cluster`.
    ///
    /// # Errors
    /// When the authority of the cluster cannot be used.
    pub fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            ready: Mutex::default(),
            groups: Mutex::default(),
            longest: Mutex::default(),
        });
        let mut workers = JoinSet::new();
        let client = Client::new(None, ANSWER_WITHIN)?;
        for (index, node) in cluster.nodes.iter().enumerate() {
            let (shared, client) = (Arc::clone(&shared), client.clone());
            let url = format!("{}/ready", node.ops_url);
            workers.spawn(async move {
                loop {
                    let answer = client.call(Call::get(&url)).await;
                    let ready = answer.is_ok_and(|answer| answer.status == 200);
                    if ready {
                        lock(&shared.ready).insert(index);
                    } else {
                        lock(&shared.ready).remove(&index);
                    }
                    shared.look();
                    clock::pause(ASK_EVERY).await;
                }
            });
        }
        Ok(Self {
            shared,
            _workers: workers,
        })
    }

    /// From now on, one of each of `groups` must be ready.
    pub fn expect(&self, groups: &[Vec<usize>]) {
        self.shared.look();
        *lock(&self.shared.groups) = groups
            .iter()
            .map(|nodes| Group {
                nodes: nodes.clone(),
                none_since: None,
            })
            .collect();
        self.shared.look();
    }

    /// Longest time in which a group had none.
    pub fn longest_gap(&self) -> Duration {
        self.shared.look();
        *lock(&self.shared.longest)
    }
}

impl Shared {
    fn look(&self) {
        let now = clock::monotonic();
        let ready = lock(&self.ready).clone();
        for group in lock(&self.groups).iter_mut() {
            if group.nodes.iter().any(|node| ready.contains(node)) {
                group.none_since = None;
                continue;
            }
            let since = *group.none_since.get_or_insert(now);
            let mut longest = lock(&self.longest);
            *longest = longest.max(now.saturating_duration_since(since));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        let shared = Shared {
            ready: Mutex::default(),
            groups: Mutex::default(),
            longest: Mutex::default(),
        };
        Watch {
            shared: Arc::new(shared),
            _workers: JoinSet::new(),
        }
    }

    #[tokio::test]
    async fn each_group_needs_one_that_is_ready() {
        let watch = watch();
        lock(&watch.shared.ready).extend([0, 1]);
        watch.expect(&[vec![0, 1]]);
        clock::pause(Duration::from_millis(20)).await;
        assert_eq!(watch.longest_gap(), Duration::ZERO);
        // The lonely node 2 is not ready, whatever the others say.
        watch.expect(&[vec![0, 1], vec![2]]);
        clock::pause(Duration::from_millis(20)).await;
        let alone = watch.longest_gap();
        assert!(alone >= Duration::from_millis(20), "{alone:?}");
        // Ready again: the gap does not grow any more.
        lock(&watch.shared.ready).insert(2);
        watch.shared.look();
        let before = watch.longest_gap();
        clock::pause(Duration::from_millis(20)).await;
        assert_eq!(watch.longest_gap(), before);
    }
}
