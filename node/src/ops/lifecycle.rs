//! Signals and the service manager: start, reload, soft stop, stop at once.
//!
//! SIGTERM and SIGINT drain: the node says it is not ready, finishes what was begun, hands over what
//! others lack, closes its listeners last. A second signal stops at once. SIGHUP and changed files
//! reload. The service manager is told of each step, and the watchdog is fed while the runtime turns.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::reload::{Reloader, Watch};

/// Why the node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A signal asked for it; drain first.
    Drain,
    /// Something the node cannot live without has ended.
    Failed,
}

/// The signals of the process.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

impl Signals {
    /// Takes over SIGTERM, SIGINT and SIGHUP; from now on they no longer end the process.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn take() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Completes at the next SIGTERM or SIGINT.
    ///
    /// *Cancel safety*: a signal is not lost.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Changed files, watched as long as this is kept.
#[derive(Debug)]
pub struct Changes {
    _watch: Option<Watch>,
    changed: mpsc::Receiver<()>,
}

impl Changes {
    /// Watches from now on; where the system does not allow it, only SIGHUP reloads.
    pub fn watch(reloader: &Reloader) -> Self {
        match reloader.watch() {
            Ok((watch, changed)) => Self {
                _watch: Some(watch),
                changed,
            },
            Err(error) => {
                tracing::warn!(%error, "changed files are taken by SIGHUP only");
                Self {
                    _watch: None,
                    changed: mpsc::channel(1).1,
                }
            }
        }
    }
}

/// Runs until the node must stop: reloads on SIGHUP and on `changes` of files. `failed` completes when
/// something the node cannot live without has ended; `on_hangup` runs at each SIGHUP beside the
/// reload.
pub async fn until_stop(
    signals: &mut Signals,
    reloader: Arc<Reloader>,
    changes: &mut Changes,
    on_hangup: impl Fn(),
    failed: impl Future<Output = ()>,
) -> Stop {
    let mut failed = std::pin::pin!(failed);
    // Beside the signals: a reload may hang on a slow disk, and the node must still stop. One at a
    // time; whatever is asked for meanwhile is one more afterwards.
    let mut reloads = JoinSet::new();
    let mut wanted = false;
    loop {
        if wanted && reloads.is_empty() {
            wanted = false;
            reloads.spawn(reload(Arc::clone(&reloader)));
        }
        tokio::select! {
            biased;
            _ = signals.terminate.recv() => return Stop::Drain,
            _ = signals.interrupt.recv() => return Stop::Drain,
            () = &mut failed => return Stop::Failed,
            Some(()) = signals.hangup.recv() => {
                on_hangup();
                wanted = true;
            }
            Some(()) = changes.changed.recv() => wanted = true,
            Some(_) = reloads.join_next() => {}
        }
    }
}

async fn reload(reloader: Arc<Reloader>) {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
    // Files are read, certificates parsed and patterns compiled: not on a thread that serves.
    if let Err(error) = tokio::task::spawn_blocking(move || reloader.reload()).await {
        tracing::error!(%error, "the reload was cut short");
    }
    tell(&[NotifyState::Ready]);
}

/// Tells the service manager that the listeners are bound.
pub fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// Tells the service manager what the node is doing.
pub fn tell_status(says: &str) {
    tell(&[NotifyState::Status(says)]);
}

/// Tells the service manager that the node stops.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(states);
}

/// Feeds the service manager's watchdog, if there is one, as long as the runtime turns.
pub async fn feed_watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval((limit / 3).max(Duration::from_millis(10)));
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::ops::metrics::Metrics;

    #[tokio::test]
    async fn a_reload_that_hangs_does_not_keep_the_node_from_stopping() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "1").unwrap();
        let (begun, mut has_begun) = mpsc::channel(1);
        let (release, hang) = std::sync::mpsc::sync_channel::<()>(1);
        let hang = Mutex::new(hang);
        let mut reloader = Reloader::new(&Metrics::new(1).unwrap());
        reloader.add("slow", [file.clone()], move || {
            let _ = begun.try_send(());
            let _ = hang.lock().unwrap().recv();
            Ok(())
        });
        let mut signals = Signals::take().unwrap();
        let stop = async {
            std::fs::write(&file, "2").unwrap();
            has_begun.recv().await;
        };
        let mut changes = Changes::watch(&reloader);
        let run = until_stop(&mut signals, Arc::new(reloader), &mut changes, || {}, stop);
        let why = tokio::time::timeout(Duration::from_secs(20), run).await;
        drop(release);
        assert_eq!(why, Ok(Stop::Failed));
    }
}
