//! Asks a running node over its administration socket.

use std::ffi::OsString;
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
use crate::config::{self, DEFAULT_ADMIN_SOCKET, Sources};

/// Largest answer that is read: the longest list of sessions fits.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Time for one answer; ending many sessions takes a while.
const ANSWER_TIME: Duration = Duration::from_secs(120);
/// Names the socket as it does for the node itself.
const SOCKET_VARIABLE: &str = "CASTOR_OPS__ADMIN_SOCKET";

/// Which node is asked.
#[derive(Clone, Debug, Args)]
pub(super) struct NodeArgs {
    /// Administration socket of the node; by default what CASTOR_OPS__ADMIN_SOCKET says, and
    /// /run/castor/admin.sock.
    #[arg(long, value_name = "PATH")]
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

/// The socket that was named, or that of the configuration that was named; else the one of the
/// environment, and at last the default, without reading any configuration.
fn socket(node: &NodeArgs, variable: Option<OsString>) -> Result<PathBuf, Failure> {
    if let Some(socket) = &node.socket {
        return Ok(socket.clone());
    }
    let Some(file) = &node.config else {
        let variable = variable.filter(|path| !path.is_empty());
        return Ok(variable.map_or_else(|| DEFAULT_ADMIN_SOCKET.into(), PathBuf::from));
    };
    let sources = Sources {
        file: Some(file.clone()),
        // Whoever asks may sit on a machine whose name is no node's.
        set: vec!["node.name=any".to_owned()],
        ..Sources::default()
    };
    let loaded = config::load(&sources).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(loaded.config.ops.admin_socket)
}

impl Client {
    pub(super) fn new(node: &NodeArgs) -> Result<Self, Failure> {
        let socket = socket(node, std::env::var_os(SOCKET_VARIABLE))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_found_without_a_configuration_and_the_environment_gives_way() {
        let none = NodeArgs {
            socket: None,
            config: None,
        };
        let variable = || Some(OsString::from("/env.sock"));
        let found = |node: &NodeArgs, variable| socket(node, variable).unwrap();
        assert_eq!(found(&none, None), PathBuf::from("/run/castor/admin.sock"));
        assert_eq!(found(&none, Some(OsString::new())), found(&none, None));
        assert_eq!(found(&none, variable()), PathBuf::from("/env.sock"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("castor.toml");
        // A name that no node may have, as a host can.
        std::fs::write(
            &file,
            "[node]\nname = \"A.B\"\n[ops]\nadmin_socket = \"/file.sock\"\n",
        )
        .unwrap();
        let config = NodeArgs {
            config: Some(file),
            ..none.clone()
        };
        assert_eq!(found(&config, variable()), PathBuf::from("/file.sock"));
        let option = NodeArgs {
            socket: Some("/option.sock".into()),
            ..none
        };
        assert_eq!(found(&option, variable()), PathBuf::from("/option.sock"));
    }

    #[test]
    fn the_default_socket_is_the_configurations() {
        let config = config::Config::defaults().unwrap();
        assert_eq!(config.ops.admin_socket, PathBuf::from(DEFAULT_ADMIN_SOCKET));
    }
}
