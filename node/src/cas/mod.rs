//! The CAS protocol, versions 1, 2 and 3: one file per endpoint.
//!
//! | endpoint | file | section of the CAS protocol specification 3.0.3 |
//! |---|---|---|
//! | `GET /login` | [`login`] | 2.1 credential requestor |
//! | `POST /login` | [`login::accept`] | 2.2 credential acceptor |
//! | `/logout` | [`logout`] | 2.3 |
//! | `/validate` | [`validate`] | 2.4 (CAS 1) |
//! | `/serviceValidate` | [`service_validate`] | 2.5 (CAS 2) |
//! | `/proxyValidate` | [`proxy_validate`] | 2.6 (CAS 2) |
//! | `/proxy` | [`proxy`] | 2.7 (CAS 2) |
//! | `/p3/serviceValidate` | [`service_validate`] | 2.8 (CAS 3) |
//! | `/p3/proxyValidate` | [`proxy_validate`] | 2.9 (CAS 3) |
//! | `/v1/tickets`, `/v1/users` | [`rest`] | the REST protocol of Apereo CAS |
//! | `/samlValidate` | [`saml_validate`] | SAML 1.1, browser/artifact profile |
//!
//! Shared by them: [`visit`] (who asks), `judging` (credentials), `sessions` (beginning one), [`service_url`] (with `dots`),
//! `validation` (the order of work), `pgt_callback`, [`outcome`] and [`response`] (how a validation ends).

pub mod assets;
mod dots;
mod granting;
mod judging;
pub mod login;
pub mod logout;
pub mod outcome;
pub mod paths;
mod pgt_callback;
pub mod proxy;
pub mod proxy_validate;
pub mod response;
pub mod rest;
pub mod saml_request;
pub mod saml_validate;
pub mod service_url;
pub mod service_validate;
mod sessions;
pub mod under_way;
pub mod validate;
mod validation;
pub mod visit;

use std::sync::Arc;
use std::time::Duration;

use castor_proto::seal::aead::NONCE_BYTES;
use castor_replication::driver::Readiness;
use tokio::sync::Semaphore;

use crate::authn::{Chain, Throttle};
use crate::clock::Rng;
use crate::config::Live;
use crate::ops::audit::Audit;
use crate::outbound::Outbound;
use crate::services::{RegisteredService, Registry};
use crate::slo::Slo;
use crate::tickets::Tickets;
use crate::web::Web;
use crate::web::cookies::CookieJar;
use crate::web::pin::Pins;
use service_url::ServiceUrl;
use under_way::UnderWay;

/// How long a sign-in waits for a node that is about to serve. A node that was stopped, or has just
/// started, needs some hundred milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most sign-ins that wait so at once; further ones are answered 503 and counted with the others.
const PATIENT: usize = 256;

/// What the endpoints need; given to each as state.
#[derive(Debug)]
pub struct Cas {
    /// The configuration in force.
    pub config: Live,
    /// Pages.
    pub web: Arc<Web>,
    /// Registered services.
    pub services: Arc<Registry>,
    /// Who people are.
    pub authn: Chain,
    /// Slows down whoever guesses passwords.
    pub throttle: Throttle,
    /// Tickets.
    pub tickets: Tickets,
    /// The record of who did what.
    pub audit: Audit,
    /// Calls to applications.
    pub outbound: Outbound,
    /// Randomness for nonces and request ids.
    pub rng: Rng,
    /// Tells applications that a session has ended.
    pub slo: Slo,
    cookies: CookieJar,
    pins: Pins,
    prefix: String,
    public_host: Option<String>,
    patient: Semaphore,
    under_way: UnderWay,
}

/// What [`Cas`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// The configuration in force.
    pub config: Live,
    /// Pages.
    pub web: Arc<Web>,
    /// Registered services.
    pub services: Arc<Registry>,
    /// Who people are.
    pub authn: Chain,
    /// Slows down whoever guesses passwords.
    pub throttle: Throttle,
    /// Tickets.
    pub tickets: Tickets,
    /// The record of who did what.
    pub audit: Audit,
    /// Calls to applications.
    pub outbound: Outbound,
    /// Randomness for nonces and request ids.
    pub rng: Rng,
    /// Tells applications that a session has ended.
    pub slo: Slo,
    /// Places for requests that are done to their end though nobody waits.
    pub under_way: UnderWay,
}

impl Cas {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let config = parts.config.load();
        let prefix = config.http.prefix.0.clone();
        let cookies = CookieJar::new(&prefix, config.web.cookie.same_site);
        let pins = Pins {
            address: config.web.cookie.pin_to_address,
            user_agent: config.web.cookie.pin_to_user_agent,
        };
        let public_host = config.http.public_url.as_ref().and_then(|url| {
            let rest = url.0.split_once("://")?.1;
            let host = rest.split('/').next()?.to_ascii_lowercase();
            // Browsers leave it out of `Origin`.
            Some(host.strip_suffix(":443").unwrap_or(&host).to_owned())
        });
        drop(config);
        Self {
            config: parts.config,
            web: parts.web,
            services: parts.services,
            authn: parts.authn,
            throttle: parts.throttle,
            tickets: parts.tickets,
            audit: parts.audit,
            outbound: parts.outbound,
            rng: parts.rng,
            slo: parts.slo,
            cookies,
            pins,
            prefix,
            public_host,
            patient: Semaphore::new(PATIENT),
            under_way: parts.under_way,
        }
    }

    /// Waits for requests that are done to their end though nobody waits for their answer, at most this long.
    pub async fn finish(&self, limit: Duration) {
        if !self.under_way.finish(limit).await {
            tracing::warn!("stopping before what was asked for is done");
        }
    }

    /// Path of the CAS endpoints, such as `/cas`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether requests that have begun elsewhere are served: a draining node finishes them.
    fn serves(&self) -> bool {
        matches!(
            self.tickets.readiness(),
            Readiness::Ready | Readiness::Draining
        )
    }

    /// Waits a moment for a node that is about to serve; at once false when enough others wait already.
    async fn serves_soon(&self) -> bool {
        match self.patient.try_acquire() {
            Ok(_waiting) => self.tickets.ready_within(PATIENCE).await,
            Err(_) => false,
        }
    }

    /// Whether people may begin here.
    fn receives(&self) -> bool {
        self.tickets.readiness() == Readiness::Ready
    }

    /// The definition that covers an application. None when another one covers the same URL in
    /// the spelling in which the application's own server reads it: whoever chooses the spelling would
    /// choose the definition.
    pub fn registered(&self, url: &ServiceUrl) -> Option<Arc<RegisteredService>> {
        let found = self.services.find(&url.matchable())?;
        if let Some(plain) = url.plain() {
            // A definition may cover one spelling only; then no other one decides.
            let other = self.services.find(&plain).filter(|s| s.id != found.id);
            if let Some(other) = other {
                tracing::warn!(
                    service = found.id,
                    other = other.id,
                    "service URL refused: definition `other` covers it as servers read it: host in small \
                     letters, no default port, path decoded, slashes for backslashes, no empty segments"
                );
                return None;
            }
        }
        Some(found)
    }

    fn nonce(&self) -> [u8; NONCE_BYTES] {
        self.rng.bytes()
    }
}
