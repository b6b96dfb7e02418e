//! Asks a running node over its administration socket.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use super::Failure;
use crate::config::{self, Sources};

/// Largest answer that is read: the longest list of sessions fits.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Time for one answer; ending many sessions takes a while.
const ANSWER_TIME: Duration = Duration::from_secs(120);
/// Where the socket is by default, as in the configuration.
const SOCKET_VARIABLE: &str = "CASTOR_OPS__ADMIN_SOCKET";

/// Which node is asked.
#[derive(Clone, Debug, Args)]
pub(super) struct NodeArgs {
    /// Administration socket of the node; by default /run/castor/admin.sock.
    #[arg(long, value_name = "PATH", env = SOCKET_VARIABLE)]
    socket: Option<PathBuf>,
    /// Configuration file of the node, to take the socket from.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
}

/// A node that answers.
pub(super) struct Client {
    socket: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    pub(super) fn new(node: &NodeArgs) -> Result<Self, Failure> {
        let socket = match (&node.socket, &node.config) {
            (Some(socket), _) => socket.clone(),
            (None, file) => {
                let sources = Sources {
                    file: file.clone(),
                    ..Sources::default()
                };
                let loaded = config::load(&sources);
                let loaded = loaded.map_err(|error| Failure::Usage(error.to_string()))?;
                loaded.config.ops.admin_socket
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self { socket, runtime })
    }

    /// Asks for something.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, String::new())
    }

    /// Changes something; `form` is what a form would send.
    pub(super) fn post(&self, path: &str, form: String) -> anyhow::Result<Value> {
        self.ask(Method::POST, path, form)
    }

    fn ask(&self, method: Method, path: &str, form: String) -> anyhow::Result<Value> {
        let answer = self.exchange(method, path, form);
        self.runtime
            .block_on(async { tokio::time::timeout(ANSWER_TIME, answer).await })
            .with_context(|| format!("{} does not answer", self.socket.display()))?
    }

    async fn exchange(&self, method: Method, path: &str, form: String) -> anyhow::Result<Value> {
        let stream = UnixStream::connect(&self.socket).await.with_context(|| {
            format!(
                "cannot reach a node at {}; is it running, and may you use the socket? \
                 --socket or --config names another",
                self.socket.display()
            )
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "castor")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form)))?;
        let response = sender.send_request(request).await?;
        let code = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("{error}"))?
            .to_bytes();
        connection.abort();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if code != StatusCode::OK {
            match answer["error"].as_str() {
                Some(says) => bail!("{says}"),
                None => bail!("{code}: {}", String::from_utf8_lossy(&body).trim()),
            }
        }
        Ok(answer)
    }
}

/// Name and value pairs as a query or form.
pub(super) fn encode(pairs: &[(&str, Option<String>)]) -> String {
    let set = percent_encoding::NON_ALPHANUMERIC;
    let pairs = pairs.iter().filter_map(|(name, value)| {
        let value = percent_encoding::utf8_percent_encode(value.as_deref()?, set);
        Some(format!("{name}={value}"))
    });
    pairs.collect::<Vec<_>>().join("&")
}
