//! The only place where rooms are assembled: a checked configuration becomes a running node.
//!
//! [`App::start`] binds every listener and joins the cluster; [`App::run`] serves until told to stop
//! and then drains. What is read and checked before anything is bound is in [`preflight`].

pub mod preflight;
mod reloads;
pub mod replica;
pub mod rooms;
pub mod shared;

use std::sync::Arc;
use std::time::Duration;

use castor_replication::driver::Handle;
use prometheus::{GaugeVec, Opts};

use crate::cas::Cas;
use crate::clock::{self, Clock, Rng};
use crate::config::{Listen, Live};
use crate::ops::audit::Audit;
use crate::ops::lifecycle::{self, Changes, Signals, Stop};
use crate::ops::logging::Logging;
use crate::ops::metrics::Metrics;
use crate::server::{self, Limits, Options, Running, ServerMetrics};
use crate::slo::Slo;

pub use preflight::Checked;
use replica::Replica;
use rooms::{Routers, closing, open_audit};
use shared::Shared;

/// After the drain, peers get this long before they are cut; connections too, or what is left of the drain.
const LAST_GRACE: Duration = Duration::from_secs(3);

/// Connections that operators and monitoring may have at one time.
const OPS_CONNECTIONS: usize = 64;

/// Time for an answer to operators: ending many sessions waits for every node. As long as the
/// commands wait.
const ADMIN_TIME: Duration = Duration::from_secs(120);

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration, or a file it names, is wrong; one line for each problem. Exit code 2.
    #[error("{}", .0.join("\n"))]
    Configuration(Vec<String>),
    /// Anything else. Exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl AppError {
    fn failed(says: impl Into<String>) -> Self {
        Self::Failed(says.into())
    }

    fn metrics(error: prometheus::Error) -> Self {
        Self::Failed(format!("metrics: {error}"))
    }
}

/// A running node.
pub struct App {
    live: Live,
    handle: Handle,
    audit: Audit,
    replica: Replica,
    slo: Slo,
    cas: Arc<Cas>,
    reloader: Arc<crate::ops::reload::Reloader>,
    changes: Changes,
    http: Running,
    ops: Running,
    admin: Running,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App({})", self.handle.node())
    }
}

impl App {
    /// Binds the listeners, joins the cluster and begins to serve; `logging` is what a reload of the
    /// log level changes.
    ///
    /// # Errors
    ///
    /// When something cannot be bound or opened; nothing is left running.
    pub async fn start(
        checked: Checked,
        logging: Option<Logging>,
        clock: Clock,
        rng: Rng,
    ) -> Result<Self, AppError> {
        let config = checked.loaded.config.clone();
        let metrics =
            Metrics::new(castor_proto::version::CURRENT.number()).map_err(AppError::metrics)?;
        // All are bound before the node shows itself to its peers.
        let bind = |listen: &Listen, group| {
            server::bind(listen, group).map_err(|error| AppError::failed(error.to_string()))
        };
        let http = bind(&config.http.listen, None)?;
        let ops = bind(&config.ops.listen, None)?;
        let admin_socket = Listen::Unix(config.ops.admin_socket.clone());
        let admin = bind(&admin_socket, checked.admin_group)?;

        let audit = open_audit(&checked, http.listen(), &clock, &metrics)?;
        let replica = Replica::start(&checked, metrics.registry()).await?;
        let handle = replica.handle.clone();
        let live = Live::new(config.clone());
        let tls = checked.tls.as_ref().map(server::tls::TlsAcceptor::new);
        show_times(&checked, &metrics)?;
        let shared = Shared::new(
            &checked,
            shared::Base {
                live: &live,
                handle: &handle,
                audit: &audit,
                metrics: &metrics,
                clock: &clock,
                rng,
                logging: logging.clone(),
            },
        )?;
        let targets = reloads::Targets {
            live: live.clone(),
            logging,
            tls: tls.clone(),
            network: replica.network.clone(),
            metrics: metrics.clone(),
            clock,
            outbound: shared.outbound.clone(),
        };
        let reloader = Arc::new(reloads::reloader(&checked, &targets));
        // Before anybody sees the node: what changes from then on must not be missed.
        let changes = Changes::watch(&reloader);

        let routers = Routers::build(&checked, &shared)?;
        let server_metrics =
            ServerMetrics::register(metrics.registry()).map_err(AppError::metrics)?;
        let options = |name, limits, tls| Options {
            name,
            limits,
            tls,
            closing: closing(&handle),
            metrics: server_metrics.clone(),
        };
        let limits = Limits::from(&config.http);
        let few = for_operators(limits);
        log_places(http.listen(), ops.listen(), &replica);
        Ok(Self {
            http: server::run(http, routers.http, options("http", limits, tls)),
            ops: server::run(ops, routers.ops, options("ops", few, None)),
            admin: server::run(admin, routers.admin, options("admin", few, None)),
            live,
            handle,
            audit,
            replica,
            slo: shared.slo,
            cas: routers.cas,
            reloader,
            changes,
        })
    }

    /// Serves until a signal or a failure, then drains and stops.
    ///
    /// # Errors
    ///
    /// What made the node stop, when it was not asked to.
    pub async fn run(mut self, mut signals: Signals) -> Result<(), AppError> {
        lifecycle::tell_ready();
        let watchdog = tokio::spawn(lifecycle::feed_watchdog());
        let told = tokio::spawn(tell_progress(self.handle.clone()));
        let mut progress = self.handle.progress();
        let failed = async {
            // The channel ends with the event loop: the node cannot live without it.
            let _ = progress.wait_for(|progress| progress.fatal.is_some()).await;
        };
        let audit = self.audit.clone();
        let on_hangup = move || audit.reopen();
        let reloader = Arc::clone(&self.reloader);
        let changes = &mut self.changes;
        let why = lifecycle::until_stop(&mut signals, reloader, changes, on_hangup, failed).await;
        told.abort();
        lifecycle::tell_stopping();
        let result = match why {
            Stop::Drain => {
                tokio::select! {
                    () = self.stop() => Ok(()),
                    () = signals.stop() => {
                        tracing::warn!("second signal: stopping at once");
                        Ok(())
                    }
                }
            }
            Stop::Failed => {
                let fatal = self.handle.progress().borrow().fatal.clone();
                self.audit.flush(Duration::from_secs(1));
                Err(AppError::failed(
                    fatal.unwrap_or_else(|| "replication has stopped".to_owned()),
                ))
            }
        };
        watchdog.abort();
        result
    }

    /// Drains, closes the listeners, says goodbye.
    async fn stop(self) {
        let limit = self.live.load().cluster.drain_timeout.0;
        let began = clock::monotonic();
        tracing::info!("draining");
        if let Err(error) = self.handle.drain().await {
            tracing::warn!(%error, "cannot drain");
        }
        let mut progress = self.handle.progress();
        let drained = progress.wait_for(|progress| progress.drained);
        if tokio::time::timeout(limit, drained).await.is_err() {
            tracing::warn!(?limit, "the drain did not finish in time");
        }
        // What was taken in is answered: on a busy machine a sign-in waits for its turn to be hashed.
        let left = limit.saturating_sub(began.elapsed());
        self.http.stop(left.max(LAST_GRACE)).await;
        self.cas.finish(LAST_GRACE).await;
        self.slo.finish(LAST_GRACE).await;
        self.replica.stop(LAST_GRACE).await;
        self.admin.stop(Duration::from_secs(1)).await;
        self.ops.stop(Duration::from_secs(1)).await;
        self.audit.flush(Duration::from_secs(2));
        tracing::info!("stopped");
    }
}

fn log_places(http: &Listen, ops: &Listen, replica: &Replica) {
    let cluster = replica.network.advertise();
    tracing::info!(node = %replica.handle.node(), %http, %ops, %cluster, "listening");
}

/// Few connections, and time for answers that wait for every node.
fn for_operators(limits: Limits) -> Limits {
    Limits {
        connections: OPS_CONNECTIONS,
        request: ADMIN_TIME,
        ..limits
    }
}

/// Ends of certificates and ages of keys.
fn show_times(checked: &Checked, metrics: &Metrics) -> Result<(), AppError> {
    if let Some(identity) = &checked.tls {
        reloads::show_http_expiry(metrics, identity);
    }
    reloads::show_cluster_expiry(metrics, &checked.identity);
    let created = GaugeVec::new(
        Opts::new(
            "castor_cluster_key_created_timestamp_seconds",
            "When each key of the cluster key ring was made, by its public id.",
        ),
        &["key"],
    )
    .map_err(AppError::metrics)?;
    metrics
        .registry()
        .register(Box::new(created.clone()))
        .map_err(AppError::metrics)?;
    for entry in checked.ring.iter() {
        created
            .with_label_values(&[&entry.id().to_string()])
            .set(entry.key().created() as f64 / 1000.0);
    }
    Ok(())
}

/// Tells the service manager how far the bootstrap is, until it is complete.
async fn tell_progress(handle: Handle) {
    let mut progress = handle.progress();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        let bootstrapped = async {
            let reached = progress.wait_for(|progress| progress.bootstrapped);
            reached.await.is_ok()
        };
        tokio::select! {
            done = bootstrapped => {
                if done {
                    lifecycle::tell_status("ready");
                }
                return;
            }
            _ = ticks.tick() => {
                if let Ok(status) = handle.status().await {
                    let bootstrap = status.bootstrap;
                    lifecycle::tell_status(&format!(
                        "filling: {} of 256 parts, {} tickets",
                        bootstrap.shards, bootstrap.entries
                    ));
                }
            }
        }
    }
}
