//! What every command needs: the cluster, a client, signed-in people, and services to visit.
//!
//! Promises: a run starts only when the front door and every node answer.
//! Does not: produce load.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::cas::{self, TicketAnswer, form, read_ticket_answer};
use crate::cluster::Cluster;
use crate::history::History;
use crate::http::{Call, CallError, Client};
use crate::person::{Person, SignIn};
use crate::progress::Progress;
use crate::stop::Stop;

/// Sign-ins under way at the same moment while a run prepares. Password hashing is slow on
/// purpose; more would only queue in the server.
const SIGN_INS_AT_ONCE: usize = 8;

/// Applications whose form is looked at before a run.
const SERVICES_LOOKED_AT: usize = 100;

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
        self.look_at_forms(&self.client, self.services).await
    }

    /// Checks that the front door shows a form that is sent to itself, to whoever comes by themselves and to whoever comes
    /// from one of the first `services` applications.
    ///
    /// # Errors
    /// [`Unhealthy`] with what is wrong.
    pub async fn look_at_forms(&self, client: &Client, services: usize) -> anyhow::Result<()> {
        let front = &self.cluster.front;
        look_at_form(client, front)
            .await
            .map_err(|what| Unhealthy(format!("{front}/login: {what}")))?;
        for (number, _) in (0_u64..).zip(0..services.min(SERVICES_LOOKED_AT)) {
            let service = self.service(number);
            let answer = client
                .call(Call::get(cas::login_url(front, &service)))
                .await;
            let what = match read_ticket_answer(answer, &service) {
                TicketAnswer::Form => continue,
                TicketAnswer::Failed(error) => error.to_string(),
                TicketAnswer::Unavailable(status) => format!("the server says {status}"),
                TicketAnswer::Ticket(_) => "the server gave a ticket to nobody".to_owned(),
                TicketAnswer::Odd(what) => format!(
                    "no login form for this application ({what}): register it at the server, or name one that is \
                     with --service"
                ),
            };
            bail!(Unhealthy(format!("{front}: {service}: {what}")));
        }
        Ok(())
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
            other => bail!(Unhealthy(format!(
                "{} cannot sign in at {}: {other}",
                self.cluster.username, self.cluster.front
            ))),
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

async fn look_at_form(client: &Client, front: &str) -> Result<(), String> {
    let answer = client.call(Call::get(format!("{front}/login"))).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(CallError::Connect(what)) if what.starts_with("TLS") => {
            return Err(format!(
                "the certificate is not trusted or not for this name ({what}); give its authority with --ca FILE, or \
                 as ca_file of the cluster"
            ));
        }
        Err(error) => return Err(format!("{error}; is the server up, and is the URL right?")),
    };
    match answer.status.as_u16() {
        200 => {}
        status @ 500..=599 => {
            return Err(format!("the server says {status}: it cannot serve now"));
        }
        status => {
            return Err(format!(
                "the server says {status} instead of the login form; the URL ends with the context path, often /cas"
            ));
        }
    }
    match form::find(&answer.text()) {
        Some(form) => form::destination(&format!("{front}/login"), &form.action).map(drop),
        None => Err("the page has no form with a name and a password".to_owned()),
    }
}
