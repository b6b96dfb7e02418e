//! `bench constant`: a bare axum server that gives the same two answers to everybody. What is lost
//! between it and a real server, measured by the same load through the same proxy, is the cost of
//! doing the work.
//!
//! Promises: status, headers and body are those of a real answer, byte for byte; dates and lengths
//! are hyper's own, as they are there. Does not: check, count or remember anything.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::load::target::{Target, path_of};
use crate::cas;
use crate::http::encode;
use crate::http::lean::Reply;
use crate::stop::Stop;

/// The answers to give.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answers {
    /// Path of the server, such as `/cas`.
    pub path: String,
    /// To a ticket request.
    pub issue: Answer,
    /// To a validation.
    pub validate: Answer,
}

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers in their order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

/// What hyper writes itself.
const OF_HYPER: [&str; 4] = ["date", "content-length", "connection", "transfer-encoding"];

impl Answers {
    /// Takes a ticket at the first node of `target` and validates it, and keeps both answers.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub async fn of(target: &Target) -> anyhow::Result<Self> {
        let base = &target.lab.cluster.node(0).url;
        let service = target.services.first().context("no service")?;
        let mut lean = target.client.lean(base)?;
        let path = path_of(base).to_owned();
        let host = lean.authority();
        let encoded = encode(service);
        let cookie = target.cookies.first().context("nobody is signed in")?;
        let mut validated = None;
        // The first validation of a session says that it is new, and no later one.
        for _ in 0..2 {
            let request = format!(
                "GET {path}/login?service={encoded} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n"
            );
            let issue = Answer::of(&lean.exchange(request.as_bytes()).await?);
            let ticket = issue
                .header("location")
                .and_then(|location| cas::ticket_in(location, service))
                .context("no ticket to take as an example")?;
            let request = format!(
                "GET {path}/serviceValidate?service={encoded}&ticket={ticket} HTTP/1.1\r\nHost: {host}\r\n\r\n"
            );
            let validate = Answer::of(&lean.exchange(request.as_bytes()).await?);
            validated = Some((issue, validate));
        }
        let (issue, validate) = validated.context("no answers")?;
        Ok(Self {
            path,
            issue,
            validate,
        })
    }
}

impl Answer {
    fn of(reply: &Reply<'_>) -> Self {
        let head = String::from_utf8_lossy(reply.head);
        let headers = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .filter(|(name, _)| !OF_HYPER.contains(&name.as_str()))
            .collect();
        Self {
            status: reply.status,
            headers,
            body: String::from_utf8_lossy(reply.body).into_owned(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    fn ready(&self) -> anyhow::Result<Ready> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name.parse::<HeaderName>()?, HeaderValue::from_str(value)?);
        }
        Ok(Ready {
            status: StatusCode::from_u16(self.status)?,
            headers,
            body: Bytes::from(self.body.clone()),
        })
    }
}

#[derive(Clone)]
struct Ready {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Ready {
    fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        response
    }
}

/// Serves the answers in `file` at `listen` until `stop`.
///
/// # Errors
/// When the file cannot be used or the address is taken.
pub async fn serve(file: &Path, listen: SocketAddr, stop: &Stop) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let answers: Answers =
        serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    let (issue, validate) = (answers.issue.ready()?, answers.validate.ready()?);
    let router = Router::new()
        .route(
            &format!("{}/login", answers.path),
            get(async move || issue.response()),
        )
        .route(
            &format!("{}/serviceValidate", answers.path),
            get(async move || validate.response()),
        );
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| listen.to_string())?;
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let stop = stop.clone();
    tokio::select! {
        result = async { axum::serve(listener, router).await } => result.context("the server ended"),
        () = stop.wait() => Ok(()),
    }
}
