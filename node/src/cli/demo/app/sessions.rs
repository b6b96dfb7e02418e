//! The applications' own sessions: a random cookie, and what Castor said at the time.
//!
//! Promises: at most [`SESSIONS_MAX`], the oldest goes first; only a digest of a ticket is kept.
//! Does not: outlive the process.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

use crate::clock::Rng;

/// Most sessions of one application.
const SESSIONS_MAX: usize = 1_000;

/// What is known of a person who came in.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Visit {
    pub(super) user: String,
    /// Masked.
    pub(super) ticket: String,
    pub(super) tag: String,
    pub(super) issuer: Option<String>,
    pub(super) validator: Option<String>,
    pub(super) millis: String,
    pub(super) since: String,
    pub(super) from_new_login: bool,
    pub(super) attributes: Vec<(String, Vec<String>)>,
}

struct Session {
    id: String,
    ticket: blake3::Hash,
    visit: Visit,
}

/// The sessions of one application.
pub(super) struct Sessions {
    cookie: String,
    rng: Rng,
    all: Mutex<VecDeque<Session>>,
}

impl Sessions {
    pub(super) fn new(application: &str, rng: Rng) -> Self {
        // Cookies do not know ports: both applications' cookies are sent to both.
        Self {
            cookie: format!("{application}_session"),
            rng,
            all: Mutex::default(),
        }
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session; the cookie to set.
    pub(super) fn create(&self, ticket: &str, visit: Visit) -> HeaderValue {
        let bytes = self.rng.bytes::<16>();
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let cookie = format!("{}={id}; Path=/; HttpOnly; SameSite=Lax", self.cookie);
        let mut all = self.all();
        if all.len() >= SESSIONS_MAX {
            all.pop_front();
        }
        all.push_back(Session {
            id,
            ticket: blake3::hash(ticket.as_bytes()),
            visit,
        });
        // Letters, digits and punctuation only, so this cannot fail.
        HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
    }

    /// What is known of the person behind this request.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<Visit> {
        let id = self.id_of(headers)?;
        self.all()
            .iter()
            .find(|session| session.id == id)
            .map(|session| session.visit.clone())
    }

    /// Ends the session of this request.
    pub(super) fn remove(&self, headers: &HeaderMap) {
        if let Some(id) = self.id_of(headers) {
            self.all().retain(|session| session.id != id);
        }
    }

    /// Ends the session that began with `ticket`.
    pub(super) fn remove_by_ticket(&self, ticket: &str) {
        let digest = blake3::hash(ticket.as_bytes());
        self.all().retain(|session| session.ticket != digest);
    }

    /// The cookie that removes the cookie.
    pub(super) fn removal(&self) -> HeaderValue {
        let cookie = format!(
            "{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0",
            self.cookie
        );
        HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
    }

    fn id_of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let cookies = headers.get_all(header::COOKIE).into_iter();
        let mut pairs = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs
            .find(|(name, _)| *name == self.cookie)
            .map(|(_, id)| id)
    }
}
