//! `GET /actuator`: what there is, as links in HAL.

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

use super::Actuator;

/// Each endpoint with its path; in braces what a client fills in.
const ENDPOINTS: [(&str, &str); 19] = [
    ("self", ""),
    ("health", "/health"),
    ("health-path", "/health/{*path}"),
    ("info", "/info"),
    ("prometheus", "/prometheus"),
    ("statistics", "/statistics"),
    ("ssoSessions", "/ssoSessions"),
    ("ssoSessions-ticket", "/ssoSessions/{ticket}"),
    (
        "ssoSessions-users-username",
        "/ssoSessions/users/{username}",
    ),
    ("ticketRegistry-query", "/ticketRegistry/query"),
    ("registeredServices", "/registeredServices"),
    ("registeredServices-id", "/registeredServices/{id}"),
    ("auditLog", "/auditLog"),
    ("auditLog-interval", "/auditLog/{interval}"),
    ("auditevents", "/auditevents"),
    ("throttles", "/throttles"),
    ("releaseAttributes", "/releaseAttributes"),
    ("loggers", "/loggers"),
    ("loggers-name", "/loggers/{name}"),
];

pub(super) async fn links(State(actuator): State<Actuator>, headers: HeaderMap) -> Json<Value> {
    let base = base(&headers, actuator.cas.prefix());
    let links: Map<String, Value> = ENDPOINTS
        .into_iter()
        .map(|(name, path)| {
            let link = json!({ "href": format!("{base}{path}"), "templated": path.contains('{') });
            (name.to_owned(), link)
        })
        .collect();
    Json(json!({ "_links": links }))
}

/// The address as the client knows it; only a path when it does not say a plain one.
fn base(headers: &HeaderMap, prefix: &str) -> String {
    let host = headers.get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).filter(|host| {
        let plain =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        (1..=255).contains(&host.len()) && host.bytes().all(plain)
    });
    match host {
        Some(host) => format!("http://{host}{prefix}/actuator"),
        None => format!("{prefix}/actuator"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_host_is_repeated() {
        for (host, expected) in [
            ("127.0.0.1:8444", "http://127.0.0.1:8444/cas/actuator"),
            ("[::1]:8444", "http://[::1]:8444/cas/actuator"),
            ("a/b", "/cas/actuator"),
            ("a@b", "/cas/actuator"),
            ("", "/cas/actuator"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(base(&headers, "/cas"), expected);
        }
    }
}
