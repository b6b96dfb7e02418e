//! What every command needs: the cluster, a client, signed-in people, and services to visit.
//!
//! Promises: a run starts only when the front door and every node answer.
//! Does not: produce load.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::cas::form;
use crate::cluster::Cluster;
use crate::history::History;
use crate::http::{Call, Client};
use crate::person::{Person, SignIn};
use crate::progress::Progress;
use crate::stop::Stop;

/// Sign-ins under way at the same moment while a run prepares. Password hashing is slow on
/// purpose; more would only queue in the server.
const SIGN_INS_AT_ONCE: usize = 8;

/// Everything a command needs; cheap to clone.
#[derive(Clone)]
pub struct Lab {
    /// The cluster under test.
    pub cluster: Arc<Cluster>,
    /// The client that everyone shares.
    pub client: Client,
    /// Where calls are noted.
    pub history: History,
    /// What ends a run early.
    pub stop: Stop,
    /// Pattern of service URLs; `{n}` becomes the number of the service.
    service: Arc<str>,
    services: usize,
}

/// The cluster does not answer as it should before the run began.
#[derive(Debug)]
pub struct Unhealthy(pub String);

impl std::fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the cluster is not healthy: {}", self.0)
    }
}

impl std::error::Error for Unhealthy {}

impl Lab {
    /// Reads `file` and gives each request `timeout`.
    ///
    /// # Errors
    /// When the file or the authority it names cannot be used.
    pub fn open(
        file: &Path,
        timeout: Duration,
        service: &str,
        services: usize,
    ) -> anyhow::Result<Self> {
        Self::of(Cluster::read(file)?, timeout, service, services)
    }

    /// As [`Lab::open`], of a cluster that is known already.
    ///
    /// # Errors
    /// When the authority it names cannot be used.
    pub fn of(
        cluster: Cluster,
        timeout: Duration,
        service: &str,
        services: usize,
    ) -> anyhow::Result<Self> {
        let client = Client::new(cluster.ca_file.as_deref(), timeout)?;
        Ok(Self {
            cluster: Arc::new(cluster),
            client,
            history: History::default(),
            stop: Stop::new(),
            service: service.into(),
            services: services.max(1),
        })
    }

    /// URL of the service that request `index` visits.
    pub fn service(&self, index: u64) -> String {
        let services = u64::try_from(self.services).unwrap_or(1);
        self.service
            .replace("{n}", &(index % services + 1).to_string())
    }

    /// Checks that every node that has an operations listener is ready and the front door shows a form that is sent to itself.
    ///
    /// # Errors
    /// [`Unhealthy`] with what is wrong.
    pub async fn preflight(&self) -> anyhow::Result<()> {
        let nodes = self.cluster.nodes.iter();
        for node in nodes.filter(|node| !node.ops_url.is_empty()) {
            let answer = self
                .client
                .call(Call::get(format!("{}/ready", node.ops_url)))
                .await;
            match answer {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => {
                    bail!(Unhealthy(format!(
                        "{} /ready says {}",
                        node.name, answer.status
                    )));
                }
                Err(error) => bail!(Unhealthy(format!("{}: {error}", node.name))),
            }
        }
        let front = format!("{}/login", self.cluster.front);
        match self.client.call(Call::get(&front)).await {
            Ok(answer) if answer.status == 200 => {
                let Some(form) = form::find(&answer.text()) else {
                    bail!(Unhealthy(format!("{front}: no form with a password")));
                };
                if let Err(what) = form::destination(&front, &form.action) {
                    bail!(Unhealthy(format!("{front}: {what}")));
                }
                Ok(())
            }
            Ok(answer) => bail!(Unhealthy(format!("{front} says {}", answer.status))),
            Err(error) => bail!(Unhealthy(format!("{front}: {error}"))),
        }
    }

    /// Signs `count` people in through the front door.
    ///
    /// # Errors
    /// When one sign-in is not acknowledged: a run that starts so would measure nothing.
    pub async fn sign_in_many(&self, count: usize) -> anyhow::Result<Vec<Person>> {
        let progress = Arc::new(Progress::new("signing in", count as u64));
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..SIGN_INS_AT_ONCE.min(count) {
            let (lab, progress, next) = (self.clone(), Arc::clone(&progress), Arc::clone(&next));
            workers.spawn(async move {
                let mut people = Vec::new();
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    if lab.stop.is_set() {
                        bail!("interrupted before anything was measured");
                    }
                    people.push(lab.sign_in().await?);
                    progress.tick();
                }
                anyhow::Ok(people)
            });
        }
        let mut people = Vec::with_capacity(count);
        while let Some(worker) = workers.join_next().await {
            people.extend(worker.context("a sign-in worker ended")??);
        }
        progress.finish();
        Ok(people)
    }

    async fn sign_in(&self) -> anyhow::Result<Person> {
        let mut person = Person::new(self);
        match self.try_sign_in(&mut person).await {
            SignIn::Done => Ok(person),
            other => bail!(Unhealthy(format!("a sign-in through the front: {other:?}"))),
        }
    }

    /// One attempt to sign `person` in through the front door.
    pub async fn try_sign_in(&self, person: &mut Person) -> SignIn {
        let cluster = &self.cluster;
        person
            .sign_in(&cluster.front, &cluster.username, &cluster.password)
            .await
    }
}
