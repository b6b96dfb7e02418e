//! `/auditLog`: the newest audit events of this node, by age and by what Java patterns match.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use jiff::{SpanRelativeTo, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Actuator;
use super::input::{Said, bad, given};
use crate::admin::Actor;
use crate::ops::audit::Action;
use crate::services::pattern::{Extent, Pattern, TooHard};

/// Longest interval, in days: nothing that is kept is older.
const INTERVAL_MAX_DAYS: i64 = 366;
/// Bytes of an interval's text.
const INTERVAL_TEXT_MAX: usize = 64;

/// What an event must match; all that is given must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Search {
    interval: Option<String>,
    action_performed: Option<String>,
    client_ip_address: Option<String>,
    principal: Option<String>,
    resource_operated_upon: Option<String>,
}

/// `GET /auditLog`: all that is kept.
pub(super) async fn all(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
) -> Response {
    find(&actuator, &actor, &Search::default()).await
}

/// `GET /auditLog/{interval}`.
pub(super) async fn within(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Path(interval): Path<String>,
) -> Response {
    let search = Search {
        interval: Some(interval),
        ..Search::default()
    };
    find(&actuator, &actor, &search).await
}

/// `POST /auditLog`.
pub(super) async fn search(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Said(search): Said<Search>,
) -> Response {
    find(&actuator, &actor, &search).await
}

async fn find(actuator: &Actuator, actor: &Actor, search: &Search) -> Response {
    let filter = match Filter::of(search, actuator.handle.now()) {
        Ok(filter) => filter,
        Err(says) => return bad(says),
    };
    let kept = actuator.cas.audit.recent();
    let words = search.words();
    actuator.admin.record(actor, Action::AuditListed, words);
    // Patterns of strangers may take their time: not on a thread that serves.
    let look = move |_: &_| {
        let recent = kept
            .iter()
            .filter(|kept| filter.since.is_none_or(|since| kept.when > since));
        let read = recent.filter_map(|kept| serde_json::from_str::<Value>(&kept.json).ok());
        let mut found = Vec::new();
        for event in read {
            if filter.has(&event)? {
                found.push(shown(&event));
            }
        }
        Ok::<_, TooHard>(found)
    };
    match actuator.admin.look(look).await {
        Ok(Ok(events)) => Json(events).into_response(),
        Ok(Err(too_hard)) => bad(format!("{too_hard}; give a simpler pattern")),
        Err(refusal) => *refusal,
    }
}

impl Search {
    /// What the audit record says was asked for.
    fn words(&self) -> String {
        let fields = [
            ("interval", &self.interval),
            ("actionPerformed", &self.action_performed),
            ("clientIpAddress", &self.client_ip_address),
            ("principal", &self.principal),
            ("resourceOperatedUpon", &self.resource_operated_upon),
        ];
        let words: Vec<String> = (fields.into_iter())
            .filter_map(|(name, text)| Some(format!("{name}={}", given(text.as_ref())?)))
            .collect();
        if words.is_empty() {
            "all events".to_owned()
        } else {
            words.join(" ")
        }
    }
}

/// A search that was read.
struct Filter {
    since: Option<Timestamp>,
    /// Keys of the record, and what their values must match as a whole.
    patterns: Vec<(&'static str, Pattern)>,
}

impl Filter {
    fn of(search: &Search, now_ms: u64) -> Result<Self, String> {
        let since = match given(search.interval.as_ref()) {
            None => None,
            Some(text) => Some(begin(text, crate::clock::timestamp(now_ms))?),
        };
        let fields = [
            ("actionPerformed", "action", &search.action_performed),
            (
                "clientIpAddress",
                "clientIpAddress",
                &search.client_ip_address,
            ),
            ("principal", "who", &search.principal),
            (
                "resourceOperatedUpon",
                "what",
                &search.resource_operated_upon,
            ),
        ];
        let mut patterns = Vec::new();
        for (name, key, text) in fields {
            if let Some(text) = given(text.as_ref()) {
                let pattern = Pattern::compile(text, Extent::Full, false)
                    .map_err(|error| format!("{name}: {}", error.0))?;
                patterns.push((key, pattern));
            }
        }
        Ok(Self { since, patterns })
    }

    /// Whether an event is one of those. The first pattern that cannot be decided ends the search: each
    /// further event could take as long.
    fn has(&self, event: &Value) -> Result<bool, TooHard> {
        for (key, pattern) in &self.patterns {
            if !pattern.matches(event[*key].as_str().unwrap_or_default())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The moment an interval such as `PT1H` or `P1D` before `now`.
fn begin(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let unfit = || {
        format!(
            "the interval must be a duration such as PT1H or P1D, above zero and at most \
             {INTERVAL_MAX_DAYS} days"
        )
    };
    // Numbers without a unit are durations for nobody; a long text is none.
    if text.len() > INTERVAL_TEXT_MAX || !text.starts_with(['P', 'p']) {
        return Err(unfit());
    }
    let span: jiff::Span = text.parse().map_err(|_| unfit())?;
    let length = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| unfit())?;
    if !length.is_positive() || length.as_secs() > INTERVAL_MAX_DAYS * 86_400 {
        return Err(unfit());
    }
    now.checked_sub(length).map_err(|_| unfit())
}

/// An event as Apereo writes it; of its older and newer ways to tell addresses both.
fn shown(event: &Value) -> Value {
    json!({
        "principal": event["who"],
        "resourceOperatedUpon": event["what"],
        "actionPerformed": event["action"],
        "applicationCode": event["application"],
        "whenActionWasPerformed": event["when"],
        "clientIpAddress": event["clientIpAddress"],
        "serverIpAddress": event["serverIpAddress"],
        "clientInfo": {
            "clientIpAddress": event["clientIpAddress"],
            "serverIpAddress": event["serverIpAddress"],
        },
        "node": event["node"],
        "requestId": event["requestId"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_bounded_duration() {
        let now: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("PT1H", "2026-07-01T11:00:00Z"),
            ("P1D", "2026-06-30T12:00:00Z"),
            ("P1DT1H", "2026-06-30T11:00:00Z"),
            ("PT90S", "2026-07-01T11:58:30Z"),
        ] {
            assert_eq!(begin(text, now).unwrap().to_string(), expected, "{text}");
        }
        let long = format!("PT{}S", "1".repeat(100));
        for text in [
            "",
            "1",
            "1h",
            "PT",
            "PT0S",
            "-PT1H",
            "PT-1H",
            "P400D",
            "P99999999D",
            "P1Y",
            "yesterday",
            &long,
        ] {
            assert!(begin(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_match_whole_values() {
        let event = json!({"who": "jane", "action": "AUTHENTICATION_SUCCESS", "what": "x"});
        let filter = |principal: &str, action: &str| {
            let search = Search {
                principal: Some(principal.to_owned()),
                action_performed: Some(action.to_owned()),
                ..Search::default()
            };
            Filter::of(&search, 0).map(|filter| filter.has(&event).unwrap())
        };
        assert_eq!(filter("jane", ""), Ok(true));
        assert_eq!(filter("ja.*", "AUTHENTICATION_.+"), Ok(true));
        assert_eq!(filter("jan", ""), Ok(false));
        assert_eq!(filter("JANE", ""), Ok(false));
        assert_eq!(filter("jane", "AUTHENTICATION"), Ok(false));
        assert!(filter("(", "").unwrap_err().starts_with("principal: "));
    }
}
