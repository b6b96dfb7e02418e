//! Two small web applications that sign people in by CAS, as any application would.
//!
//! Promises: they use the front door only, over HTTPS verified against the demo's authority;
//! every page works without JavaScript; sessions are bounded.
//! Does not: keep anything longer than the process lives.

mod client;
mod pages;
mod sessions;
mod tags;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::fetch::Fetch;
use crate::clock::{Clock, Rng};
use crate::config::Listen;
use crate::server::{self, Limits, Options, Running, ServerMetrics};
use pages::Pages;
use sessions::Sessions;

pub(super) use tags::learn as learn_tags;

/// Bounds of the applications' listeners.
const LIMITS: Limits = Limits {
    connections: 256,
    head: Duration::from_secs(5),
    request: Duration::from_secs(15),
    idle: Duration::from_secs(75),
};

/// Who an application is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(super) struct Identity {
    name: &'static str,
    title: &'static str,
    tagline: &'static str,
}

const IDENTITIES: [Identity; 2] = [
    Identity {
        name: "library",
        title: "Library",
        tagline: "the first application",
    },
    Identity {
        name: "timetable",
        title: "Timetable",
        tagline: "the second application",
    },
];

/// What both applications need to know.
#[derive(Clone)]
pub(super) struct Setup {
    /// Front door, with the context path.
    pub(super) front: String,
    pub(super) fetch: Fetch,
    /// Nodes by the port of their listener, to name the one that answered.
    pub(super) nodes_by_port: BTreeMap<u16, String>,
    /// Nodes by their tag in ticket ids.
    pub(super) nodes_by_tag: BTreeMap<String, String>,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
}

/// One application.
struct Application {
    identity: Identity,
    other: Link,
    /// This application's own address, which is also the service it asks tickets for.
    url: String,
    setup: Setup,
    sessions: Sessions,
    pages: Arc<Pages>,
}

#[derive(Debug, Clone, serde::Serialize)]
struct Link {
    title: &'static str,
    url: String,
}

type App = State<Arc<Application>>;

/// The address of the application on `port`.
pub(super) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/")
}

/// Serves both applications on loopback.
///
/// # Errors
/// When a port is taken.
pub(super) fn serve(ports: [u16; 2], setup: &Setup) -> anyhow::Result<Vec<Running>> {
    let pages = Arc::new(Pages::new()?);
    let metrics = ServerMetrics::register(&prometheus::Registry::new())?;
    let mut running = Vec::new();
    for (at, identity) in IDENTITIES.into_iter().enumerate() {
        let (own, other) = (ports[at], 1 - at);
        let application = Arc::new(Application {
            identity,
            other: Link {
                title: IDENTITIES[other].title,
                url: url(ports[other]),
            },
            url: url(own),
            setup: setup.clone(),
            sessions: Sessions::new(identity.name, setup.rng.clone()),
            pages: Arc::clone(&pages),
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, own));
        let listener = server::bind(&Listen::Tcp(address), None)
            .with_context(|| format!("the application {}", identity.title))?;
        let options = Options {
            name: identity.name,
            limits: LIMITS,
            tls: None,
            closing: Arc::new(|| false),
            metrics: metrics.clone(),
        };
        running.push(server::run(listener, router(application), options));
    }
    Ok(running)
}

fn router(application: Arc<Application>) -> Router {
    Router::new()
        .route("/", get(home).post(logout_request))
        .route("/again", get(again))
        .route("/signout", get(sign_out))
        .route("/app.css", get(style))
        .route("/icon.svg", get(icon))
        .layer(axum::middleware::map_response(secure))
        .with_state(application)
}

/// Headers of every answer: nothing from elsewhere, never in a frame, never kept.
async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[derive(Debug, Deserialize)]
struct HomeQuery {
    ticket: Option<String>,
}

async fn home(State(app): App, Query(query): Query<HomeQuery>, headers: HeaderMap) -> Response {
    if let Some(ticket) = query.ticket {
        return accept_ticket(&app, &ticket).await;
    }
    match app.sessions.find(&headers) {
        Some(visit) => app.pages.home(&app.identity, &app.other, &visit),
        None => to_login(&app),
    }
}

async fn again(State(app): App) -> Response {
    to_login(&app)
}

fn to_login(app: &Application) -> Response {
    found(&format!(
        "{}/login?service={}",
        app.setup.front,
        client::encode(&app.url)
    ))
}

fn found(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn accept_ticket(app: &Application, ticket: &str) -> Response {
    let outcome = client::validate(&app.setup, &app.url, ticket).await;
    match outcome {
        Ok(visit) => {
            let cookie = app.sessions.create(ticket, visit);
            // The ticket leaves the address bar; it is used up anyway.
            let mut response = found(&app.url);
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response
        }
        Err(refused) => app.pages.problem(&app.identity, &app.other, &refused),
    }
}

async fn sign_out(State(app): App, headers: HeaderMap) -> Response {
    app.sessions.remove(&headers);
    let mut response = found(&format!("{}/logout", app.setup.front));
    response
        .headers_mut()
        .insert(header::SET_COOKIE, app.sessions.removal());
    response
}

#[derive(Debug, Deserialize)]
struct LogoutForm {
    #[serde(rename = "logoutRequest")]
    logout_request: Option<String>,
}

/// Back-channel logout, as CAS servers send it: names the ticket of the session that ended. Castor
/// does not send it yet.
async fn logout_request(State(app): App, Form(form): Form<LogoutForm>) -> Response {
    let ended = form
        .logout_request
        .as_deref()
        .and_then(client::session_index);
    match ended {
        Some(ticket) => {
            app.sessions.remove_by_ticket(ticket);
            StatusCode::OK.into_response()
        }
        None => (StatusCode::BAD_REQUEST, "no SessionIndex\n").into_response(),
    }
}

async fn style() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("../../../../demo/app/app.css")).into_response()
}

async fn icon(State(app): App) -> Response {
    let kind = [(header::CONTENT_TYPE, "image/svg+xml")];
    let picture = match app.identity.name {
        "library" => include_str!("../../../../demo/app/library.svg"),
        _ => include_str!("../../../../demo/app/timetable.svg"),
    };
    (kind, picture).into_response()
}

#[cfg(test)]
mod tests;
