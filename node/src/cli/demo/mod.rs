//! `castor demo`: a cluster on this machine, behind nginx, with two applications to sign in to.
//!
//! The parts: [`args`] (what was asked), [`state`] (what a folder remembers), [`web_ca`],
//! [`secrets`] and [`files`] (what the nodes need), [`processes`] (the nodes), [`nginx`] (the front
//! door), [`app`] (the applications), [`cluster_json`] (the description for scripts), [`fill`].
//!
//! Promises: everything is in one folder; a second run keeps keys, ports and names; a node that is
//! killed stays down until somebody starts it; Ctrl-C drains and stops everything, a second one
//! stops at once. Does not: share anything with a production installation.

mod app;
mod args;
mod cluster_json;
mod fetch;
mod files;
mod fill;
mod nginx;
mod processes;
mod secrets;
mod state;
mod tell;
mod web_ca;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) use args::DemoArgs;

use super::words::count_of;
use crate::clock::{self, Clock, Rng};
use crate::server::Running;
use cluster_json::{ClusterFile, ClusterNode};
use fetch::Fetch;
use files::NodeFiles;
use nginx::{Front, Nginx};
use processes::{Change, Fleet, PROBE_TIME};
use state::{State, USERNAME};
use web_ca::WebCa;

/// Held while a demo runs in a folder.
const LOCK: &str = "demo.lock";
/// How long the front door may take to answer once all nodes are ready.
const FRONT_TIME: Duration = Duration::from_secs(15);
/// How often nodes that are down are looked at: somebody may have started them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a demo ended otherwise than by Ctrl-C.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// Arguments that do not fit: exit 2.
    #[error("{0:#}")]
    Usage(anyhow::Error),
    /// Anything else: exit 1.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Runs the demo until it is told to stop.
///
/// # Errors
/// What could not be made or started, with the remedy.
pub(crate) async fn run(args: DemoArgs) -> Result<(), DemoError> {
    args.check().map_err(DemoError::Usage)?;
    let mut stop = StopSignals::listen()?;
    let mut place = Place::prepare(&args).await?;
    let dir = place.dir.clone();
    let mut parts = Parts::default();
    // What was started is stopped in the same way, however far the start came.
    let started = tokio::select! {
        started = place.start(&args, &mut parts) => Some(started),
        () = stop.next() => None,
    };
    let done = match started {
        Some(Ok(started)) => match place.state.keep_ports(&dir) {
            Ok(()) => {
                let up = Up {
                    place,
                    started,
                    parts: &mut parts,
                };
                up.run(&args, &mut stop).await
            }
            Err(error) => Err(error),
        },
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    cluster_json::remove(&dir);
    parts.stop(&mut stop).await;
    Ok(done?)
}

/// A prepared folder: everything on disk, nothing started.
struct Place {
    dir: PathBuf,
    state: State,
    nodes: Vec<NodeFiles>,
    web_ca: WebCa,
    identity: web_ca::Identity,
    nginx: Option<PathBuf>,
    _lock: File,
}

impl Place {
    async fn prepare(args: &DemoArgs) -> Result<Self, DemoError> {
        let nginx = if args.no_nginx {
            None
        } else {
            Some(nginx::find_program()?)
        };
        let dir = state::make_folder(&args.dir)?;
        if dir
            .to_string_lossy()
            .contains(['"', '$', '\\', '\n', ';', '{', '}'])
        {
            let says = "nginx cannot have these characters in a path: \" $ \\ ; { }";
            return Err(DemoError::Usage(anyhow::anyhow!(
                "--dir {}: {says}",
                dir.display()
            )));
        }
        let lock = lock(&dir)?;
        cluster_json::remove(&dir);
        let (clock, rng) = (Clock::system(), Rng::system());
        let state = State::load_or_create(&dir, args.nodes, args.is_local(), &rng)?;
        let count = args.nodes.map_or(state.nodes.len(), usize::from);
        let all: Vec<NodeFiles> = state
            .nodes
            .iter()
            .map(|node| NodeFiles::new(&dir, node, args))
            .collect::<Result<_, _>>()?;
        end_leftovers(&dir, &all).await;
        state.check_ports(count, nginx.is_some())?;
        let nodes: Vec<NodeFiles> = all.into_iter().take(count).collect();
        let web_ca = WebCa::open(&dir.join("web"), &clock)?;
        let host = args.host_name();
        let identity = web_ca.identity("front", &[&host, "localhost", "127.0.0.1", "::1"])?;
        secrets::make(&dir, &nodes, &clock, &rng)?;
        files::users(&dir, &state, args, &rng).map_err(DemoError::Usage)?;
        files::services(&dir, args).map_err(DemoError::Usage)?;
        let node_identity = args.nodes_speak_tls().then_some(&identity);
        for node in &nodes {
            files::configuration(&dir, node, &nodes, node_identity, args)
                .map_err(DemoError::Usage)?;
        }
        Ok(Self {
            dir,
            state,
            nodes,
            web_ca,
            identity,
            nginx,
            _lock: lock,
        })
    }

    /// Starts everything; what runs is in `parts`, also after an error.
    ///
    /// *Cancel safety*: wherever it is dropped, what runs is in `parts`.
    async fn start(&self, args: &DemoArgs, parts: &mut Parts) -> anyhow::Result<Started> {
        let fetch =
            Fetch::new(&self.web_ca.certificate)?.with_front(&args.host_name(), args.listen);
        let castor = std::env::current_exe().context("where is this program?")?;
        tell::starting(&self.dir, &self.nodes);
        parts.fleet = Fleet::start(&castor, self.nodes.clone())?;
        parts.fleet.until_ready(&fetch).await?;
        let host = args.host_name();
        if let Some(program) = &self.nginx {
            let nginx = Nginx::start(program, &self.dir, &self.front(&host, args)).await?;
            parts.nginx = Some(nginx);
        }
        let front = self.front_url(&args.host_in_url());
        until_front_answers(&fetch, &front).await?;
        parts.apps = self.applications(args, &front, &fetch).await?;
        if let Some(count) = args.fill {
            fill::run(&fetch, &self.nodes, count).await?;
        }
        Ok(Started {
            castor,
            fetch,
            front,
        })
    }

    fn front<'a>(&'a self, host: &'a str, args: &DemoArgs) -> Front<'a> {
        Front {
            listen: args.listen,
            port: self.state.front_port,
            host,
            identity: &self.identity,
            ca_file: self.ca_file(),
            nodes: &self.nodes,
        }
    }

    fn ca_file(&self) -> &Path {
        &self.web_ca.certificate
    }

    fn front_url(&self, host: &str) -> String {
        match (&self.nginx, self.nodes.first()) {
            (None, Some(node)) => node.url(),
            _ => format!("https://{host}:{}/cas", self.state.front_port),
        }
    }

    /// Starts the applications, on loopback only: beyond it nobody could reach them anyway.
    async fn applications(
        &self,
        args: &DemoArgs,
        front: &str,
        fetch: &Fetch,
    ) -> anyhow::Result<Vec<Running>> {
        if !args.is_local() {
            return Ok(Vec::new());
        }
        let urls: Vec<(String, String)> = self
            .nodes
            .iter()
            .map(|node| (node.state.name.clone(), node.url()))
            .collect();
        let user = (USERNAME, self.state.password.as_str());
        let service = app::url(self.state.app_ports[0]);
        let learned = app::learn_tags(fetch, front, user, &urls, &service).await;
        let nodes_by_tag = learned.unwrap_or_else(|error| {
            tell::note(&format!(
                "The applications cannot name the nodes: {error:#}"
            ));
            BTreeMap::new()
        });
        let ports = self
            .nodes
            .iter()
            .map(|n| (n.state.http_port, n.state.name.clone()));
        let setup = app::Setup {
            front: front.to_owned(),
            fetch: fetch.clone(),
            nodes_by_port: ports.collect(),
            nodes_by_tag,
            clock: Clock::system(),
            rng: Rng::system(),
        };
        app::serve(self.state.app_ports, &setup)
    }
}

fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "a demo runs in {} already; stop it, or give another --dir",
                dir.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).context(path.display().to_string()),
    }
}

/// Ends nodes and nginx of an earlier run that was killed: they hold the ports of this one.
async fn end_leftovers(dir: &Path, nodes: &[NodeFiles]) {
    let configs: Vec<PathBuf> = nodes.iter().map(|node| node.config.clone()).collect();
    let count = processes::end_leftovers(&configs).await;
    if count > 0 {
        tell::note(&format!(
            "Ended {} that an earlier run left behind.",
            count_of(count, "node", "nodes")
        ));
    }
    if nginx::end_leftover(dir).await {
        tell::note("Ended the nginx that an earlier run left behind.");
    }
}

async fn until_front_answers(fetch: &Fetch, front: &str) -> anyhow::Result<()> {
    let url = format!("{front}/login");
    let deadline = clock::timer_now() + FRONT_TIME;
    loop {
        let says = match fetch.get(&url, PROBE_TIME).await {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => format!("{} says {}", url, answer.status),
            Err(error) => format!("{url}: {error:#}"),
        };
        if clock::timer_now() >= deadline {
            bail!("the front door does not answer: {says}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a start finds out.
struct Started {
    castor: PathBuf,
    fetch: Fetch,
    front: String,
}

/// Everything that runs, and must be stopped.
#[derive(Default)]
struct Parts {
    fleet: Fleet,
    nginx: Option<Nginx>,
    apps: Vec<Running>,
}

impl Parts {
    /// Drains the nodes, or kills them at a further signal, and stops the rest.
    async fn stop(mut self, stop: &mut StopSignals) {
        tell::note("Draining; Ctrl-C again stops at once.");
        let drained = tokio::select! {
            () = self.fleet.drain() => true,
            () = stop.next() => false,
        };
        if !drained {
            self.fleet.kill();
        }
        for app in self.apps {
            app.stop(Duration::ZERO).await;
        }
        if let Some(nginx) = self.nginx {
            nginx.stop().await;
        }
        tell::note(if drained {
            "Stopped."
        } else {
            "Stopped at once."
        });
    }
}

/// A running demo.
struct Up<'a> {
    place: Place,
    started: Started,
    parts: &'a mut Parts,
}

impl Up<'_> {
    fn write_cluster_file(&self, local: bool) -> anyhow::Result<()> {
        let nodes = self.parts.fleet.nodes.iter().map(|node| ClusterNode {
            name: node.files.state.name.clone(),
            url: node.files.url(),
            ops_url: node.files.ops_url(),
            admin_socket: node.files.admin_socket.clone(),
            pid: node.pid(),
            config: node.files.config.clone(),
        });
        let password = &self.place.state.password;
        let file = ClusterFile {
            front: self.started.front.clone(),
            username: USERNAME.to_owned(),
            password: password.clone(),
            wrong_password: format!("not-{password}"),
            app: local.then(|| app::url(self.place.state.app_ports[0])),
            ca_file: self.place.ca_file().to_owned(),
            nodes: nodes.collect(),
        };
        file.write(&self.place.dir)
    }

    /// Tells where everything is, and watches until told to stop or nginx ends.
    async fn run(mut self, args: &DemoArgs, stop: &mut StopSignals) -> anyhow::Result<()> {
        self.write_cluster_file(args.is_local())?;
        tell::up(&self, args);
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.next() => return Ok(()),
                (index, status) = self.parts.fleet.next_end() => {
                    if let Some(node) = self.parts.fleet.nodes.get(index) {
                        tell::node_ended(&node.files, &status.to_string(), &self.started.castor);
                    }
                    self.write_cluster_file(!self.parts.apps.is_empty())?;
                }
                says = nginx_ended(&mut self.parts.nginx) => bail!(says),
                _ = look.tick() => self.look_for_changes().await?,
            }
        }
    }

    async fn look_for_changes(&mut self) -> anyhow::Result<()> {
        let changes = self.parts.fleet.look_for_changes(&self.started.fetch).await;
        for change in &changes {
            match *change {
                Change::Returned(index, pid) => {
                    tell::node_returned(&self.parts.fleet.nodes[index].files, pid);
                }
                Change::Ended(index) => {
                    let files = &self.parts.fleet.nodes[index].files;
                    tell::node_ended(files, "started by somebody else", &self.started.castor);
                }
            }
        }
        if changes.is_empty() {
            Ok(())
        } else {
            self.write_cluster_file(!self.parts.apps.is_empty())
        }
    }
}

async fn nginx_ended(nginx: &mut Option<Nginx>) -> String {
    match nginx {
        Some(nginx) => nginx.ended().await,
        None => std::future::pending().await,
    }
}

/// Ctrl-C, SIGTERM, and the terminal's end.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl StopSignals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// *Cancel safety*: safe; a signal between two calls is kept.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
