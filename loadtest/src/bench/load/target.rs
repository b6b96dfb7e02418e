//! Who is asked: doors, people who are signed in there, and the applications they visit.
//!
//! Promises: people are signed in through the same door that is measured, as browsers do.
//! Does not: measure.

use std::sync::Arc;

use anyhow::Context;

use crate::http::Client;
use crate::issued::Issued;
use crate::judge::Released;
use crate::lab::Lab;

/// Most people that a load signs in; more connections share them.
const PEOPLE_MAX: usize = 32;
/// Applications that are visited.
const SERVICES: u64 = 3;

/// A server, or several, under load.
pub struct Target {
    /// What it is called in tables.
    pub name: String,
    /// What opens connections.
    pub client: Client,
    /// Base URLs with the context path; each worker has a connection to each.
    pub doors: Vec<String>,
    /// `Cookie` headers of people who are signed in.
    pub cookies: Vec<String>,
    /// What their sessions are called in the history.
    pub(super) sessions: Vec<String>,
    /// Applications.
    pub services: Vec<String>,
    /// Who every validation must name.
    pub user: String,
    /// What every validation must tell about them.
    pub(super) released: Released,
    /// Tickets so far; `None` where the same answer is given every time.
    pub(super) issued: Option<Issued>,
    /// For the operations that make and end sessions.
    pub lab: Lab,
}

/// Which way requests take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Through the front door.
    Front,
    /// Straight to the nodes: issue at one, validate at the next.
    Nodes,
}

impl Target {
    /// The cluster of `lab`, with enough people for `connections` workers.
    ///
    /// # Errors
    /// When it is not healthy, or somebody cannot be signed in.
    pub async fn cluster(lab: &Lab, way: Way, connections: usize) -> anyhow::Result<Arc<Self>> {
        lab.preflight().await?;
        let doors = match way {
            Way::Front => vec![lab.cluster.front.clone()],
            Way::Nodes => lab.cluster.nodes.iter().map(|n| n.url.clone()).collect(),
        };
        let people = lab.sign_in_many(connections.clamp(1, PEOPLE_MAX)).await?;
        let path = format!("{}/login", path_of(&lab.cluster.front));
        let mut cookies = Vec::with_capacity(people.len());
        for person in &people {
            let cookie = person.cookies(&path).context("a session without cookie")?;
            cookies.push(cookie.to_str()?.to_owned());
        }
        Ok(Arc::new(Self {
            name: "cluster".to_owned(),
            client: lab.client.clone(),
            doors,
            cookies,
            sessions: people
                .iter()
                .map(|person| person.session().to_owned())
                .collect(),
            services: (0..SERVICES).map(|index| lab.service(index)).collect(),
            user: lab.cluster.principal().to_owned(),
            released: Released::default(),
            issued: Some(Issued::default()),
            lab: lab.clone(),
        }))
    }

    /// A server at `doors` that gives the answers of `like` without doing the work.
    pub fn constant(like: &Self, doors: Vec<String>) -> Arc<Self> {
        Arc::new(Self {
            name: "constant".to_owned(),
            client: like.client.clone(),
            doors,
            cookies: like.cookies.clone(),
            sessions: like.sessions.clone(),
            services: like.services.first().cloned().into_iter().collect(),
            user: like.user.clone(),
            released: Released::default(),
            issued: None,
            lab: like.lab.clone(),
        })
    }
}

/// The path of a base URL: `/cas`.
pub fn path_of(base: &str) -> &str {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    rest.find('/')
        .and_then(|at| rest.get(at..))
        .unwrap_or_default()
}
