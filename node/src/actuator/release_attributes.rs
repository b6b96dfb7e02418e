//! `/releaseAttributes`: what an application would learn about a person at a validation now.
//!
//! With a password it is judged as at a sign-in, under the same throttle; without one the person is looked
//! up, where the source of people allows it. Nothing is issued.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use castor_proto::ticket::Principal;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Actuator;
use super::input::{Asked, Said, bad, given};
use crate::admin::{Actor, refusal};
use crate::authn::{Credential, Decision};
use crate::cas::outcome::{AuthenticationFacts, Outcome, Success};
use crate::cas::response::json::{self, Single};
use crate::cas::response::{plain, xml};
use crate::cas::service_url::ServiceUrl;
use crate::clock;
use crate::ops::audit::Action;
use crate::services::RegisteredService;
use crate::services::access::{Access, Asking};
use crate::services::release::Released;

/// Who, and at which application. It has a password and must not be printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    username: Option<String>,
    password: Option<String>,
    service: Option<String>,
}

/// `GET /releaseAttributes`; without a password, as addresses end up in logs.
pub(super) async fn get(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Asked(wish): Asked<Wish>,
) -> Response {
    if wish.password.is_some() {
        return bad("send a password in the body of a POST; addresses end up in logs");
    }
    answer(&actuator, &actor, &wish).await
}

/// `POST /releaseAttributes`.
pub(super) async fn post(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Said(wish): Said<Wish>,
) -> Response {
    answer(&actuator, &actor, &wish).await
}

async fn answer(actuator: &Actuator, actor: &Actor, wish: &Wish) -> Response {
    match rehearse(actuator, actor, wish).await {
        Ok(value) => Json(value).into_response(),
        Err(refusal) => *refusal,
    }
}

async fn rehearse(actuator: &Actuator, actor: &Actor, wish: &Wish) -> Result<Value, Box<Response>> {
    let (Some(username), Some(service)) =
        (given(wish.username.as_ref()), given(wish.service.as_ref()))
    else {
        return Err(Box::new(bad(
            "give username and service; password may be left out",
        )));
    };
    let url = ServiceUrl::parse(service).map_err(|error| Box::new(bad(error.to_string())))?;
    let Some(registered) = actuator.cas.registered(&url) else {
        let says = "no definition covers this service URL; GET registeredServices lists them";
        return Err(Box::new(refusal(StatusCode::NOT_FOUND, says)));
    };
    let person = person(actuator, actor, username, given(wish.password.as_ref())).await;
    let outcome = match &person {
        Ok((_, handler)) => format!("{handler}: shown"),
        Err((why, _)) => (*why).to_owned(),
    };
    let what = format!("{username} for {}: {outcome}", url.as_str());
    actuator.admin.record(actor, Action::AttributesShown, what);
    let (principal, _) = person.map_err(|(_, refusal)| refusal)?;
    Ok(described(actuator, &registered, &url, &principal))
}

/// The person and who vouches for them, or a word for the record and what to answer.
async fn person(
    actuator: &Actuator,
    actor: &Actor,
    username: &str,
    password: Option<&str>,
) -> Result<(Principal, &'static str), (&'static str, Box<Response>)> {
    let cas = &actuator.cas;
    let Some(password) = password else {
        let says = "nobody of this name can sign in, or only a password tells; give it in a POST";
        let unknown = || {
            (
                "unknown_user",
                Box::new(refusal(StatusCode::NOT_FOUND, says)),
            )
        };
        return cas.authn.look_up(username.trim()).ok_or_else(unknown);
    };
    let credential = Credential::new(username, password)
        .map_err(|error| ("malformed", Box::new(bad(error.to_string()))))?;
    let attempt = cas.throttle.admit(credential.username(), actor.client);
    let attempt = attempt.map_err(|throttled| {
        let says = format!(
            "too many sign-ins have failed; try again in {} s, or DELETE throttles",
            throttled.seconds
        );
        ("throttled", Box::new(refusal(StatusCode::LOCKED, says)))
    })?;
    match cas.authn.authenticate(&credential).await {
        Decision::Accepted { principal, handler } => {
            attempt.accepted().await;
            Ok((principal, handler))
        }
        Decision::Rejected(rejection) => {
            attempt.failed().await;
            let says = "the user name and password are not accepted";
            Err((
                rejection.as_str(),
                Box::new(refusal(StatusCode::FORBIDDEN, says)),
            ))
        }
        Decision::NotNow => {
            let says = "it cannot be decided now; try again";
            let refusal = refusal(StatusCode::SERVICE_UNAVAILABLE, says);
            Err(("not_now", Box::new(refusal)))
        }
    }
}

fn described(
    actuator: &Actuator,
    registered: &Arc<RegisteredService>,
    url: &ServiceUrl,
    principal: &Principal,
) -> Value {
    let headers = HeaderMap::new();
    let asking = Asking {
        now: actuator.handle.now(),
        address: None,
        headers: &headers,
    };
    let access = registered.access(principal, &asking);
    let released = registered.release(principal, &url.matchable());
    let outcome = match &released {
        Some(released) if access == Access::Granted => success(released, asking.now),
        _ => Outcome::unauthorized(),
    };
    let attributes: Option<Map<String, Value>> = released.as_ref().map(|released| {
        let values = released.attributes.iter();
        values
            .map(|(name, values)| (name.clone(), json!(values)))
            .collect()
    });
    let shown = xml::write(&outcome);
    let single = Single::of(actuator.cas.config.load().validation.json_lists);
    json!({
        "uid": principal.id,
        "username": released.as_ref().map(|released| &released.user),
        "attributes": attributes,
        "service": url.as_str(),
        "registeredService": { "id": registered.id, "name": registered.name },
        "access": match access {
            Access::Granted => "granted",
            Access::Closed => "closed",
            Access::Refused => "refused",
        },
        "validationResponses": {
            "CAS1": plain::write(&outcome),
            "CAS2": shown,
            "CAS3": shown,
            "CAS3_JSON": json::write(&outcome, single),
        },
    })
}

/// What a validation right after a sign-in would say.
fn success(released: &Released, now: u64) -> Outcome {
    let date = format!("{:.3}", clock::timestamp(now));
    let facts = released.authentication.then(|| AuthenticationFacts {
        date: date.clone(),
        long_term: false,
        new_login: true,
    });
    Outcome::Success(Box::new(Success {
        user: released.user.clone(),
        attributes: released.attributes.clone(),
        facts,
        authenticated_at: date,
        pgt_iou: None,
        proxies: Vec::new(),
    }))
}
