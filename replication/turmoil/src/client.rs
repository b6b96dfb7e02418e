//! An HTTP client on the simulated network: one request at a time, a kept connection to each node.

use std::time::Duration;

use bytes::Bytes;
use castor_loadtest::http::{Answer, Call, CallError};
use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use turmoil::net::TcpStream;

use crate::node::{HTTP_PORT, NODES, name};

/// Longer than any answer of a node that lives may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// Connections of one caller.
#[derive(Default)]
pub struct Client {
    kept: [Option<SendRequest<Full<Bytes>>>; NODES],
}

/// Base of a node's URLs.
pub fn base(node: usize) -> String {
    format!("http://{}/cas", name(node))
}

impl Client {
    /// Sends a request to a node. Nothing is sent twice: what broke half-way may have happened.
    pub async fn call(&mut self, node: usize, call: Call) -> Result<Answer, CallError> {
        let answer = tokio::time::timeout(PATIENCE, self.try_call(node, call)).await;
        let answer = answer.unwrap_or(Err(CallError::Timeout));
        if answer.is_err() {
            self.kept[node] = None;
        }
        answer
    }

    async fn try_call(&mut self, node: usize, call: Call) -> Result<Answer, CallError> {
        let broken = |error: hyper::Error| CallError::Broken(error.to_string());
        let mut sender = self.sender(node).await?;
        let answer = sender.send_request(request(call)?).await.map_err(broken)?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(broken)?.to_bytes();
        self.kept[node] = Some(sender);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// The kept connection, when it is still good for a request, or a new one.
    async fn sender(&mut self, node: usize) -> Result<SendRequest<Full<Bytes>>, CallError> {
        if let Some(mut kept) = self.kept[node].take()
            && kept.ready().await.is_ok()
        {
            return Ok(kept);
        }
        let stream = TcpStream::connect((name(node), HTTP_PORT))
            .await
            .map_err(|error| CallError::Connect(error.to_string()))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| CallError::Connect(error.to_string()))?;
        // An error of the connection reaches whoever waits for the answer on it.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}

/// The request on the wire: a path, and what a browser sends besides.
fn request(call: Call) -> Result<Request<Full<Bytes>>, CallError> {
    let odd = |error: &dyn std::fmt::Display| CallError::Url(format!("{}: {error}", call.url));
    let url: Uri = call.url.parse().map_err(|error| odd(&error))?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(&call.method)
        .uri(path)
        .header(header::HOST, url.host().unwrap_or_default());
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    request
        .body(Full::new(call.body.clone()))
        .map_err(|error| odd(&error))
}
