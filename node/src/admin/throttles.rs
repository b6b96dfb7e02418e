//! Who has failed to sign in, and letting them sign in again.
//!
//! In our own shape, and in that of Apereo's actuator `throttles` for scripts that read it.

use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Form, Json};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::access::Actor;
use super::api::{not_now, refusal};
use crate::authn::throttle::{Counted, PartlyCleared, Which};
use crate::clock;
use crate::ops::audit::Action;

/// Rows in one answer, unless asked for fewer, and at most.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// Which; all that is given must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    handle: Option<String>,
    /// Name of the user.
    user: Option<String>,
    /// Address they failed from.
    address: Option<String>,
    /// Also those that have failed and are not refused; to clear: everybody.
    #[serde(default)]
    all: bool,
    /// How many at most.
    limit: Option<usize>,
}

impl Filter {
    fn names_somebody(&self) -> bool {
        self.handle.is_some() || self.user.is_some() || self.address.is_some()
    }

    fn which(&self, refusing: bool) -> Which {
        Which {
            handle: self.handle.clone(),
            user: self.user.clone(),
            address: self.address.clone(),
            refusing,
        }
    }

    /// What the audit record says was asked for.
    fn words(&self) -> String {
        let texts = [
            ("handle", &self.handle),
            ("user", &self.user),
            ("address", &self.address),
        ];
        let words: Vec<String> = texts
            .into_iter()
            .filter_map(|(name, text)| Some(format!("{name}={}", text.as_ref()?)))
            .collect();
        match words.as_slice() {
            [] if self.all => "all".to_owned(),
            [] => "refused".to_owned(),
            words => words.join(" "),
        }
    }
}

/// Goes through the counters, on a thread that may be busy.
async fn find(admin: &Admin, which: Which) -> Result<Vec<Counted>, Box<Response>> {
    let throttle = admin.throttle.clone();
    admin.look(move |_| throttle.counted(&which)).await
}

fn when(ms: u64) -> String {
    clock::stamp(ms)
}

fn row(counted: &Counted) -> Value {
    json!({
        "handle": counted.handle,
        "by": counted.by.as_str(),
        "user": counted.user,
        "address": counted.address,
        "failures": counted.failures,
        "last": when(counted.last),
        "until": counted.until.map(when),
    })
}

/// `GET /admin/v1/throttles`.
pub(super) async fn list(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Query(filter): Query<Filter>,
) -> Response {
    admin.record(&actor, Action::ThrottlesListed, filter.words());
    match find(&admin, filter.which(!filter.all)).await {
        Ok(counted) => {
            let limit = filter.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
            let rows: Vec<Value> = counted.iter().take(limit).map(row).collect();
            Json(json!({
                "enabled": admin.throttle.is_enabled(),
                "throttles": rows,
                "more": counted.len() > limit,
            }))
            .into_response()
        }
        Err(refusal) => *refusal,
    }
}

/// `POST /admin/v1/throttles/clear`.
pub(super) async fn clear(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Form(filter): Form<Filter>,
) -> Response {
    if filter.names_somebody() == filter.all {
        return refusal(
            StatusCode::BAD_REQUEST,
            "say who: by handle, user or address, or else all=true",
        );
    }
    clear_all_of(&admin, &actor, &filter).await
}

async fn clear_all_of(admin: &Admin, actor: &Actor, filter: &Filter) -> Response {
    let counted = match find(admin, filter.which(false)).await {
        Ok(counted) => counted,
        Err(refusal) => return *refusal,
    };
    let (words, all) = (filter.words(), counted.len());
    match admin.throttle.clear(&counted).await {
        Ok(()) => {
            let what = format!("{words}: {all} cleared");
            admin.record(actor, Action::ThrottlesCleared, what);
            Json(json!({ "cleared": all })).into_response()
        }
        Err(PartlyCleared { done, error }) => {
            let what = format!("{words}: {done} of {all} cleared: {error}");
            admin.record(actor, Action::ThrottlesCleared, what);
            not_now(error)
        }
    }
}

/// `GET /cas/actuator/throttles`: those that are refused now, as Apereo's submissions.
pub(super) async fn submissions(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
) -> Response {
    let filter = Filter::default();
    admin.record(&actor, Action::ThrottlesListed, filter.words());
    match find(&admin, filter.which(true)).await {
        Ok(counted) => {
            let rows = counted.iter().take(LIMIT_MAX).map(submission);
            Json(rows.collect::<Vec<Value>>()).into_response()
        }
        Err(refusal) => *refusal,
    }
}

fn submission(counted: &Counted) -> Value {
    let key = match &counted.user {
        Some(user) => format!("{};{user}", counted.address),
        None => counted.address.clone(),
    };
    json!({
        "id": counted.handle,
        "key": key,
        "value": when(counted.last),
        "username": counted.user,
        "clientIpAddress": counted.address,
        "expiration": counted.until.map(when),
    })
}

/// `DELETE /cas/actuator/throttles`: lets everybody sign in again.
pub(super) async fn release(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
) -> Response {
    let filter = Filter {
        all: true,
        ..Filter::default()
    };
    clear_all_of(&admin, &actor, &filter).await
}
