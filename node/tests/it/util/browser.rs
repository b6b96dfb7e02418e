//! A browser: keeps cookies, does not follow redirects, sends what browsers send.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use castor_node::server::{Peer, PeerAddress};
use tower::ServiceExt as _;

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// A header, empty when absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The ticket in `Location`.
    pub(crate) fn ticket(&self) -> Option<String> {
        let location = self.header("location");
        let (_, rest) = location.split_once("ticket=")?;
        Some(rest.split(['&', '#']).next().unwrap().to_owned())
    }

    /// The value of the hidden input `execution`.
    pub(crate) fn execution(&self) -> String {
        let marker = "<input type=\"hidden\" name=\"execution\" value=\"";
        let Some((_, rest)) = self.body.split_once(marker) else {
            panic!("no login form: {self:?}");
        };
        rest.split('"').next().unwrap().to_owned()
    }

    /// The `Set-Cookie` of the session cookie.
    pub(crate) fn tgc(&self) -> Option<&str> {
        let mut cookies = self.headers.get_all(header::SET_COOKIE).iter();
        cookies.find_map(|v| v.to_str().ok().filter(|v| v.starts_with("TGC=")))
    }
}

/// A browser, or with [`Browser::from`] a client of another address.
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) headers: Vec<(String, String)>,
    peer: Peer,
}

impl Browser {
    /// A browser behind the trusted proxy.
    pub(crate) fn new() -> Self {
        Self::from("127.0.0.1:50000")
    }

    /// A browser whose connection comes from an address.
    pub(crate) fn from(address: &str) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        Self {
            cookies: BTreeMap::new(),
            headers: Vec::new(),
            peer: Peer {
                address: PeerAddress::Tcp(address),
                tls: false,
            },
        }
    }

    /// The same with one more header on every request.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) async fn get(&mut self, router: &Router, path: &str) -> Answer {
        self.send(router, Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn post(
        &mut self,
        router: &Router,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", castor_node::web::form::encode(value)))
            .collect();
        let body = Body::from(pairs.join("&"));
        self.send(router, Method::POST, path, body).await
    }

    pub(crate) async fn send(
        &mut self,
        router: &Router,
        method: Method,
        path: &str,
        body: Body,
    ) -> Answer {
        let mut request = Request::builder()
            .method(&method)
            .uri(path)
            .header(header::HOST, "sso.example.edu");
        if method == Method::POST {
            let form = "application/x-www-form-urlencoded";
            request = request.header(header::CONTENT_TYPE, form);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self
                .cookies
                .iter()
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(self.peer);
        let response = router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let answer = Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        self.keep_cookies(&answer);
        answer
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if text.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Signs in through the form at `path` as `casuser`.
    pub(crate) async fn sign_in(&mut self, router: &Router, path: &str) -> Answer {
        let form = self.get(router, path).await;
        assert_eq!(form.status, StatusCode::OK, "{form:?}");
        let execution = form.execution();
        self.post(
            router,
            path,
            &[
                ("username", "casuser"),
                ("password", "Mellon"),
                ("execution", &execution),
                ("_eventId", "submit"),
                ("geolocation", ""),
            ],
        )
        .await
    }
}
