//! Listing, showing and ending sessions.
//!
//! A session is found by going through this node's replica, which has them all. The answer never has a
//! ticket id: sessions are named by a digest under a key of the cluster, the same on every node.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Form, Json};
use castor_proto::delta::{DestroyReason, Entry};
use castor_proto::seal::keyring::{KeyRing, Purpose};
use castor_proto::ticket::{Payload, Tgt, TicketBody, TicketKey, TicketKind};
use castor_replication::driver::Handle;
use castor_replication::engine::Destroyed;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Admin;
use super::access::Actor;
use super::api::refusal;
use crate::clock;
use crate::ops::audit::{self, Action};
use crate::slo::{By, Reason, SessionEnd};

/// Sessions in one answer, unless asked for fewer, and at most.
const LIMIT_DEFAULT: usize = 100;
pub(crate) const LIMIT_MAX: usize = 10_000;
/// Sessions that are ended at one time: each waits for every other node.
const END_AT_ONCE: usize = 32;
/// Bytes of a handle before it is written as hexadecimal digits.
const HANDLE_BYTES: usize = 10;

/// Which sessions; all that is given must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// Handle of the session.
    pub(crate) handle: Option<String>,
    /// Name of the user, exactly.
    pub(crate) user: Option<String>,
    /// Part of the URL of a visited application.
    pub(crate) service: Option<String>,
    /// Address at sign-in, exactly.
    pub(crate) address: Option<String>,
    /// Signed in at least this many seconds ago.
    pub(crate) older_than: Option<u64>,
    /// How many at most.
    pub(crate) limit: Option<usize>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.handle.is_none()
            && self.user.is_none()
            && self.service.is_none()
            && self.address.is_none()
            && self.older_than.is_none()
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
    }

    /// What the audit record says was asked for.
    pub(crate) fn words(&self) -> String {
        let texts = [
            ("handle", &self.handle),
            ("user", &self.user),
            ("service", &self.service),
            ("address", &self.address),
        ];
        let mut words: Vec<String> = texts
            .into_iter()
            .filter_map(|(name, text)| Some(format!("{name}={}", text.as_ref()?)))
            .collect();
        words.extend(self.older_than.map(|age| format!("older_than={age}s")));
        if words.is_empty() {
            "all sessions".to_owned()
        } else {
            words.join(" ")
        }
    }
}

/// The name of a session for people: a digest of its key under the ring's current key.
pub fn handle_of(ring: &KeyRing, key: &TicketKey) -> String {
    digest(ring.current().subkey(Purpose::SessionHandle), key)
}

fn digest(secret: &[u8; 32], key: &TicketKey) -> String {
    let hash = blake3::keyed_hash(secret, &key.0);
    let bytes = hash.as_bytes().iter().take(HANDLE_BYTES);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `handle` names the session, under any key of the ring: it may have been written down
/// before the last change of keys.
pub(crate) fn is_named(ring: &KeyRing, key: &TicketKey, handle: &str) -> bool {
    ring.iter()
        .any(|entry| digest(entry.subkey(Purpose::SessionHandle), key) == handle)
}

/// A session of the replica.
pub(crate) struct Session {
    pub(crate) entry: Entry,
    pub(crate) body: TicketBody,
    pub(crate) tgt: Tgt,
}

impl Session {
    fn read(entry: Entry) -> Option<Self> {
        let body = TicketBody::decode(entry.body.as_ref()?).ok()?;
        let Payload::Tgt(tgt) = body.payload.clone() else {
            return None;
        };
        Some(Self { entry, body, tgt })
    }

    fn is_live(&self, now: u64) -> bool {
        let idle =
            self.body.idle_ms > 0 && now.saturating_sub(self.entry.last_used) > self.body.idle_ms;
        self.entry.destroyed.is_none() && now < self.body.hard_expiry && !idle
    }

    fn matches(&self, filter: &Filter, ring: &KeyRing, now: u64) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        let age = now.saturating_sub(self.tgt.authenticated_at) / 1000;
        self.is_live(now)
            && same(&filter.user, &self.tgt.principal.id)
            && same(&filter.address, &self.tgt.client_address)
            && filter.older_than.is_none_or(|least| age >= least)
            && filter.service.as_deref().is_none_or(|part| {
                let mut services = self.entry.services.iter();
                services.any(|(_, visited)| visited.url.contains(part))
            })
            && filter
                .handle
                .as_deref()
                .is_none_or(|handle| is_named(ring, &self.entry.key, handle))
    }

    fn summary(&self, ring: &KeyRing) -> Value {
        let when = |ms| clock::stamp(ms);
        json!({
            "handle": handle_of(ring, &self.entry.key),
            "user": self.tgt.principal.id,
            "address": self.tgt.client_address,
            "authenticated": when(self.tgt.authenticated_at),
            "last_used": when(self.entry.last_used),
            "expires": when(self.body.hard_expiry),
            "remember_me": self.tgt.remember_me,
            "services": self.entry.services.len(),
        })
    }

    fn details(&self, ring: &KeyRing) -> Value {
        let mut details = self.summary(ring);
        details["handler"] = self.tgt.handler.clone().into();
        // Names only: values are the person's own affair.
        details["attributes"] = self
            .tgt
            .principal
            .attributes
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        details["services"] = self
            .entry
            .services
            .iter()
            .map(|(_, visited)| {
                json!({
                    "url": audit::masked(&visited.url),
                    "last_ticket": clock::stamp(visited.stamp),
                })
            })
            .collect();
        details
    }
}

/// What a search found.
pub(crate) struct Found {
    pub(crate) sessions: Vec<Session>,
    /// There are more than the limit.
    pub(crate) more: bool,
}

/// Which sessions are taken when there are more than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// Those used last; all are looked at.
    LastUsed,
    /// Those found first.
    Any,
}

impl Admin {
    /// Looks through the replica on a thread that may be busy; one look at a time.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Handle) -> T + Send + 'static,
    ) -> Result<T, Box<Response>> {
        let Ok(scan) = Arc::clone(&self.scans).try_acquire_owned() else {
            return Err(Box::new(refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "somebody else is looking; try again in a moment",
            )));
        };
        let handle = self.handle.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let _scan = scan;
            work(&handle)
        });
        looked.await.map_err(|error| {
            let says = error.to_string();
            Box::new(refusal(StatusCode::INTERNAL_SERVER_ERROR, says))
        })
    }

    /// Finds sessions; the most recently used first.
    pub(crate) async fn find_sessions(
        &self,
        filter: &Filter,
        pick: Pick,
    ) -> Result<Found, Box<Response>> {
        let filter = filter.clone();
        self.look(move |handle| scan(handle, &filter, pick)).await
    }

    /// Ends every session that the filter finds, up to its limit, and has their applications told. Goes
    /// on to the end when whoever asked goes away.
    pub(crate) async fn end_sessions(
        &self,
        actor: &Actor,
        filter: &Filter,
    ) -> Result<Ended, Box<Response>> {
        let Ok(place) = Arc::clone(&self.endings).try_acquire_owned() else {
            return Err(Box::new(refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "others are ending sessions; try again in a moment",
            )));
        };
        let (admin, actor, filter) = (self.clone(), actor.clone(), filter.clone());
        let work = async move {
            let _place = place;
            let found = admin.find_sessions(&filter, Pick::Any).await?;
            Ok(end_all(&admin, &actor, found).await)
        };
        let ended = tokio::spawn(work).await;
        ended.unwrap_or_else(|error| {
            let says = error.to_string();
            Err(Box::new(refusal(StatusCode::INTERNAL_SERVER_ERROR, says)))
        })
    }
}

fn scan(handle: &Handle, filter: &Filter, pick: Pick) -> Found {
    let ring = handle.keyring();
    let now = handle.now();
    let limit = filter.limit();
    let mut latest = BTreeMap::new();
    let mut more = false;
    handle.store().visit(TicketKind::Tgt, &mut |entry| {
        let session = Session::read(entry).filter(|s| s.matches(filter, &ring, now));
        if let Some(session) = session {
            more |= latest.len() == limit;
            latest.insert((session.entry.last_used, session.entry.key), session);
            // Never more than the limit in memory: the one used longest ago makes room.
            if latest.len() > limit {
                latest.pop_first();
            }
        }
        !(more && pick == Pick::Any)
    });
    Found {
        sessions: latest.into_values().rev().collect(),
        more,
    }
}

pub(super) async fn list(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Query(filter): Query<Filter>,
) -> Response {
    admin.record(&actor, Action::SessionsListed, filter.words());
    match admin.find_sessions(&filter, Pick::LastUsed).await {
        Ok(found) => {
            let ring = admin.handle.keyring();
            let sessions: Vec<Value> = found.sessions.iter().map(|s| s.summary(&ring)).collect();
            Json(json!({ "sessions": sessions, "more": found.more })).into_response()
        }
        Err(refusal) => *refusal,
    }
}

pub(super) async fn show(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Path(handle): Path<String>,
) -> Response {
    let filter = Filter {
        handle: Some(handle),
        ..Filter::default()
    };
    admin.record(&actor, Action::SessionsListed, filter.words());
    match admin.find_sessions(&filter, Pick::Any).await {
        Ok(found) => match found.sessions.first() {
            Some(session) => Json(session.details(&admin.handle.keyring())).into_response(),
            None => refusal(StatusCode::NOT_FOUND, "no session has this handle"),
        },
        Err(refusal) => *refusal,
    }
}

pub(super) async fn end(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Form(filter): Form<Filter>,
) -> Response {
    if filter.is_empty() {
        return refusal(
            StatusCode::BAD_REQUEST,
            "say which sessions: by handle, user, service, address or older_than",
        );
    }
    match admin.end_sessions(&actor, &filter).await {
        Ok(ended) => ended.answer(),
        Err(refusal) => *refusal,
    }
}

async fn end_all(admin: &Admin, actor: &Actor, found: Found) -> Ended {
    let mut done = Ended {
        more: found.more,
        ..Ended::default()
    };
    let ring = admin.handle.keyring();
    let mut under_way = JoinSet::new();
    let mut sessions = found.sessions.into_iter();
    loop {
        // After a failure nothing is begun, but what is under way is waited for and counted.
        while done.failure.is_none() && under_way.len() < END_AT_ONCE {
            let Some(session) = sessions.next() else {
                break;
            };
            let handle = admin.handle.clone();
            under_way.spawn(async move {
                let key = session.entry.key;
                let reason = DestroyReason::Operator;
                let destroyed = handle.destroy_key(key, TicketKind::Tgt, reason).await;
                (session, destroyed)
            });
        }
        match under_way.join_next().await {
            Some(Ok((session, Ok(destroyed)))) => {
                done.sessions
                    .push(EndedSession::of(&session, &destroyed, &ring));
                done.unconfirmed += usize::from(destroyed.missing > 0);
                let id = session.body.id.masked();
                let what = format!("{id} of {}", session.tgt.principal.id);
                admin.record(actor, Action::TicketGrantingTicketDestroyed, what);
                tell(admin, actor, session, destroyed);
            }
            Some(Ok((_, Err(error)))) => done.failure = Some(error.to_string()),
            Some(Err(error)) => done.failure = Some(error.to_string()),
            None => break,
        }
    }
    done
}

/// Has the applications of an ended session told; nobody waits for them.
fn tell(admin: &Admin, actor: &Actor, session: Session, destroyed: Destroyed) {
    // Whoever ended it before has told them.
    if destroyed.already {
        return;
    }
    admin.slo.tell(SessionEnd {
        key: session.entry.key,
        masked: session.body.id.masked(),
        principal: Some(session.tgt.principal),
        partial: destroyed.missing > 0,
        visited: destroyed.services,
        reason: Reason::Operator,
        by: By {
            actor: Some(actor.name.clone()),
            client: actor.client,
            request: None,
        },
    });
}

/// A session that was ended.
#[derive(Debug)]
pub(crate) struct EndedSession {
    pub(crate) handle: String,
    /// URLs of the applications that are being told.
    pub(crate) applications: Vec<String>,
}

impl EndedSession {
    fn of(session: &Session, destroyed: &Destroyed, ring: &KeyRing) -> Self {
        let told = destroyed.services.iter().filter(|_| !destroyed.already);
        Self {
            handle: handle_of(ring, &session.entry.key),
            applications: told
                .map(|(_, visited)| audit::masked(&visited.url))
                .collect(),
        }
    }
}

/// What became of sessions that were to be ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) sessions: Vec<EndedSession>,
    /// Of these, not confirmed by every node.
    pub(crate) unconfirmed: usize,
    /// There were more than the limit.
    pub(crate) more: bool,
    failure: Option<String>,
}

impl Ended {
    /// What to answer when not all could be ended.
    pub(crate) fn failed(&self) -> Option<Response> {
        let error = self.failure.as_ref()?;
        let says = match self.sessions.len() {
            1 => format!("{error}; 1 session was ended before"),
            ended => format!("{error}; {ended} sessions were ended before"),
        };
        Some(refusal(StatusCode::SERVICE_UNAVAILABLE, says))
    }

    fn answer(self) -> Response {
        if let Some(failed) = self.failed() {
            return failed;
        }
        let ended = json!({
            "ended": self.sessions.len(),
            "unconfirmed": self.unconfirmed,
            "more": self.more,
        });
        Json(ended).into_response()
    }
}
