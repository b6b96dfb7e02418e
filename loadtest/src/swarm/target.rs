//! Whom a population talks to, and from where.
//!
//! Promises: people and applications have different connections, and different addresses unless the
//! system chooses them. Does not: start a server, or ask it anything.

use std::time::Duration;

use super::accounts::Account;
use super::addresses::Addresses;
use super::gauge::Gauges;
use super::slices::Lags;
use crate::cas::validation::Validation;
use crate::http::Call;
use crate::lab::Lab;
use crate::person::{self, SignIn};
use crate::server::Whom;
use crate::whose::may_load;

/// How to reach a target.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server, and who signs in.
    pub whom: Whom,
    /// Pattern of service URLs.
    pub service: String,
    /// Time that a request may take.
    pub timeout: Duration,
    /// Where people come from.
    pub browsers: Addresses,
    /// Where applications come from.
    pub applications: Addresses,
    /// URL of an application that is registered and for nobody of the accounts; for days.
    pub refused: String,
    /// Nodes where old tickets are tried again.
    pub nodes: Vec<String>,
    /// Processes of the nodes on this machine.
    pub pids: Vec<u32>,
    /// Prometheus pages of the nodes.
    pub metrics: Vec<String>,
    /// Protocol version of validation: 2 or 3.
    pub protocol: u8,
}

/// A target that can be used.
pub struct Target {
    /// The server, a client for people, and the history.
    pub lab: Lab,
    /// Who signs in.
    pub accounts: Vec<Account>,
    /// Where people come from.
    pub browsers: Addresses,
    /// Where old tickets are tried again.
    pub replay_at: Vec<String>,
    /// An application that is for nobody.
    pub refused: String,
    /// What the nodes use.
    pub gauges: Gauges,
    /// How far they are behind each other.
    pub lags: Lags,
    applications: Addresses,
    protocol: u8,
}

impl Target {
    /// Reads the files and looks at who the target is; asks it nothing.
    ///
    /// # Errors
    /// When a file cannot be used, or the target is on another machine and nobody says whose it is.
    pub fn open(options: &Options, services: usize) -> anyhow::Result<Self> {
        let (cluster, accounts) = options.whom.open()?;
        let mut replay_at = options.nodes.clone();
        if replay_at.is_empty() {
            replay_at = cluster.nodes.iter().map(|node| node.url.clone()).collect();
        }
        for url in replay_at.iter().chain(&options.metrics) {
            may_load(url, options.whom.mine)?;
        }
        if replay_at.is_empty() {
            replay_at.push(cluster.front.clone());
        }
        let mut lab = Lab::of(cluster, options.timeout, &options.service, services)?;
        let gauges = Gauges::new(&lab, &options.pids, &options.metrics);
        let lags = Lags::new(&lab, &options.metrics);
        lab.client = lab.client.without_resumption();
        Ok(Self {
            lab,
            accounts,
            browsers: options.browsers,
            replay_at,
            refused: options.refused.clone(),
            gauges,
            lags,
            applications: options.applications,
            protocol: options.protocol,
        })
    }

    /// The browser of somebody new: no cookies, no connections.
    pub fn browser(&self, index: u32) -> person::Person {
        let mut lab = self.lab.clone();
        lab.client = lab.client.another(self.browsers.at(index));
        person::Person::new(&lab)
    }

    /// The applications, each with its own connections.
    pub fn applications(&self, count: u16) -> Vec<Application> {
        let application = |index: u16| {
            let mut lab = self.lab.clone();
            lab.client = lab.client.another(self.applications.at(u32::from(index)));
            Application {
                service: lab.service(u64::from(index)),
                lab,
                protocol: self.protocol,
            }
        };
        (0..count).map(application).collect()
    }

    /// Version of the protocol by which applications validate.
    pub fn protocol(&self) -> u8 {
        self.protocol
    }
}

/// An application: it validates tickets for its URL.
pub struct Application {
    lab: Lab,
    protocol: u8,
    /// Its URL.
    pub service: String,
}

impl Application {
    /// Checks a password at the door `base` by the REST protocol, where no session begins.
    pub async fn check(&self, base: &str, user: &str, password: &str) -> SignIn {
        let fields = [("username", user), ("password", password)];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let call = Call::post_form(format!("{base}/v1/users"), &fields);
        match self.lab.client.call(call).await {
            Ok(answer) => match answer.status.as_u16() {
                200 => SignIn::Done,
                401 => SignIn::WrongPassword,
                status @ 500..=599 => SignIn::Unavailable(status),
                status => SignIn::Odd(format!(
                    "status {status} to POST /v1/users; in Castor it needs http.rest = true"
                )),
            },
            Err(error) => SignIn::Failed(error),
        }
    }

    /// Validates `ticket` at the door `base`.
    pub async fn validate(&self, base: &str, ticket: &str) -> Validation {
        if self.protocol == 2 {
            person::validate(&self.lab, base, &self.service, ticket).await
        } else {
            person::validate_p3(&self.lab, base, &self.service, ticket).await
        }
    }
}
