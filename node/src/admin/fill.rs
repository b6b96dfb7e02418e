//! Synthetic sessions for demonstrations and measurements, through the ordinary create path.
//!
//! Promises: refused unless the configuration names a folder that `castor demo` made, and its mark is
//! there; sessions are like those of people (10 attributes, the configured lifetimes) but nobody
//! holds a cookie for them; the same numbers give the same principals.
//! Does not: go round the limit on sessions, nor round the acknowledgements of the peers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Form, Json};
use castor_proto::ticket::{Payload, Principal, Tgt};
use castor_replication::driver::Handle;
use castor_replication::engine::NewReusable;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::access::Actor;
use super::api::refusal;
use super::{Admin, DemoFill};
use crate::ops::audit::Action;

/// Sessions for each request.
const COUNT_MAX: u64 = 20_000;
/// Creations under way at the same moment: enough to fill the batches between nodes.
const AT_ONCE: u64 = 128;
/// Different people; further sessions are theirs again.
const PRINCIPALS: u64 = 100_000;
/// The file that `castor demo` marks its folders with.
const MARK: &str = "demo.json";

/// Which sessions to create.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fill {
    /// Number of the first.
    from: u64,
    /// How many.
    count: u64,
}

pub(super) async fn fill(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Form(fill): Form<Fill>,
) -> Response {
    let Some(demo) = admin.demo.clone().filter(|demo| is_demo(&demo.folder)) else {
        return refusal(
            StatusCode::FORBIDDEN,
            "synthetic sessions are made only on nodes that castor demo has set up",
        );
    };
    if fill.count > COUNT_MAX {
        return refusal(
            StatusCode::BAD_REQUEST,
            format!("at most {COUNT_MAX} sessions at a time"),
        );
    }
    let what = format!("{} synthetic sessions", fill.count);
    admin.record(&actor, Action::TicketGrantingTicketCreated, what);
    match create_all(&admin.handle, &demo, fill).await {
        Ok(()) => Json(json!({ "created": fill.count })).into_response(),
        Err(says) => refusal(StatusCode::SERVICE_UNAVAILABLE, says),
    }
}

fn is_demo(folder: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(folder.join(MARK)) else {
        return false;
    };
    serde_json::from_str::<serde_json::Value>(&text)
        .is_ok_and(|mark| mark["version"].is_u64() && mark["nodes"].is_array())
}

async fn create_all(handle: &Handle, demo: &Arc<DemoFill>, fill: Fill) -> Result<(), String> {
    let next = Arc::new(AtomicU64::new(fill.from));
    let end = fill.from.saturating_add(fill.count);
    let mut workers: JoinSet<Result<(), String>> = JoinSet::new();
    for _ in 0..AT_ONCE.min(fill.count) {
        let (handle, demo, next) = (handle.clone(), Arc::clone(demo), Arc::clone(&next));
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return Ok(());
                }
                let new = session(number, handle.now(), &demo);
                handle
                    .create(new)
                    .await
                    .map_err(|error| error.to_string())?;
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done.map_err(|error| error.to_string())??;
    }
    Ok(())
}

fn session(number: u64, now: u64, demo: &DemoFill) -> NewReusable {
    NewReusable {
        id: None,
        life_ms: demo.life_ms,
        idle_ms: demo.idle_ms,
        ancestors: Vec::new(),
        payload: Payload::Tgt(Tgt {
            principal: principal(number % PRINCIPALS),
            authenticated_at: now,
            handler: "demo".to_owned(),
            remember_me: false,
            client_address: format!(
                "10.{}.{}.{}",
                number / 65_536 % 256,
                number / 256 % 256,
                number % 256
            ),
        }),
        key_id: None,
    }
}

/// One of the invented people, with 10 attributes.
fn principal(number: u64) -> Principal {
    let id = format!("user{number:06}");
    let department = ["Library", "Physics", "History", "Design", "Music"];
    let department = department[usize::try_from(number % 5).unwrap_or(0)];
    let one = |name: &str, value: String| (name.to_owned(), vec![value]);
    let attributes = vec![
        one("displayName", format!("Person {number:06}")),
        one("givenName", "Person".to_owned()),
        one("sn", format!("{number:06}")),
        one("mail", format!("{id}@example.org")),
        one("eduPersonPrincipalName", format!("{id}@example.org")),
        (
            "eduPersonAffiliation".to_owned(),
            vec!["member".to_owned(), "student".to_owned()],
        ),
        (
            "memberOf".to_owned(),
            vec![format!("{department} students"), "library".to_owned()],
        ),
        one("department", department.to_owned()),
        one("employeeNumber", (100_000 + number).to_string()),
        one("preferredLanguage", "en".to_owned()),
    ];
    Principal { id, attributes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_repeat_after_a_hundred_thousand_and_have_ten_attributes() {
        assert_eq!(principal(7), principal(7));
        assert_ne!(principal(7), principal(8));
        assert_eq!(principal(99_999).attributes.len(), 10);
        let demo = DemoFill {
            folder: "/d".into(),
            life_ms: 5,
            idle_ms: 3,
        };
        let name = |number| match session(number, 1, &demo).payload {
            Payload::Tgt(tgt) => tgt.principal.id,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(3), name(100_003));
    }

    #[test]
    fn only_a_folder_of_the_demo_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_demo(dir.path()));
        std::fs::write(dir.path().join(MARK), "{}").unwrap();
        assert!(!is_demo(dir.path()));
        std::fs::write(dir.path().join(MARK), r#"{"version":1,"nodes":[]}"#).unwrap();
        assert!(is_demo(dir.path()));
    }
}
