//! A person with a browser, and an application that validates: HTTP without redirects followed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::answer::Answer;
use super::demo::Cluster;

const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// Speaks HTTP and keeps cookies; one per person.
#[derive(Clone)]
pub(crate) struct Person {
    agent: Agent,
    pub(crate) cookies: BTreeMap<String, String>,
    /// Where a node that is asked directly, as by a proxy, takes the person to be.
    address: Option<String>,
}

/// Percent-encodes a query value.
pub(crate) fn encode(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

impl Person {
    /// Somebody new, who trusts the authority in `ca_file`.
    pub(crate) fn new(ca_file: &Path) -> Self {
        let pem = std::fs::read(ca_file).expect("the demo's authority is readable");
        let items = parse_pem(&pem).map(|item| item.expect("the authority is PEM"));
        let trusted: Vec<Certificate<'static>> = items
            .filter_map(|item| match item {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            })
            .collect();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::from(trusted))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_LIMIT))
            .build()
            .into();
        Self {
            agent,
            cookies: BTreeMap::new(),
            address: None,
        }
    }

    /// The same person at this address.
    pub(crate) fn at(mut self, address: &str) -> Self {
        self.address = Some(address.to_owned());
        self
    }

    /// GET; an error is that no answer came.
    pub(crate) fn try_get(&mut self, url: &str) -> Result<Answer, ureq::Error> {
        self.get_with(url, &[])
    }

    /// GET with further headers.
    pub(crate) fn get_with(
        &mut self,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, ureq::Error> {
        let mut request = self.agent.get(url);
        if let Some(cookie) = self.cookie_header() {
            request = request.header("cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.call()?;
        self.take(response)
    }

    /// GET that must be answered.
    pub(crate) fn get(&mut self, url: &str) -> Answer {
        self.try_get(url)
            .unwrap_or_else(|error| panic!("GET {url}: {error}"))
    }

    /// POST of a form that must be answered.
    pub(crate) fn post(&mut self, url: &str, fields: &[(String, String)]) -> Answer {
        let mut request = self.agent.post(url);
        if let Some(cookie) = self.cookie_header() {
            request = request.header("cookie", cookie);
        }
        if let Some(address) = &self.address {
            request = request.header("x-forwarded-for", address);
        }
        let pairs = fields.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let response = request.send_form(pairs);
        let response = response.unwrap_or_else(|error| panic!("POST {url}: {error}"));
        self.take(response)
            .unwrap_or_else(|error| panic!("POST {url}: {error}"))
    }

    /// Signs in at `base` (the front or a node, with /cas) for `service` with these credentials.
    pub(crate) fn sign_in_as(
        &mut self,
        base: &str,
        service: &str,
        name: &str,
        password: &str,
    ) -> Answer {
        let page = self.get(&login_url(base, service));
        assert!(
            page.asks_for_password(),
            "no sign-in page: {} {}",
            page.status,
            page.body
        );
        let mut fields = page.hidden_fields();
        fields.push(("username".to_owned(), name.to_owned()));
        fields.push(("password".to_owned(), password.to_owned()));
        self.post(&login_url(base, service), &fields)
    }

    /// Signs in as the demo's user; gives the service ticket.
    pub(crate) fn sign_in(&mut self, cluster: &Cluster, base: &str, service: &str) -> String {
        self.sign_in_as(base, service, &cluster.username, &cluster.password)
            .ticket()
    }

    /// Asks for a further service ticket with the session there is.
    pub(crate) fn next_ticket(&mut self, base: &str, service: &str) -> String {
        self.get(&login_url(base, service)).ticket()
    }

    fn cookie_header(&self) -> Option<String> {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn take(&mut self, mut response: http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().expect("a cookie is ASCII");
            let mut parts = cookie.split(';');
            let (name, value) = parts
                .next()
                .and_then(|p| p.split_once('='))
                .expect("name=value");
            let gone = parts.any(|part| part.trim().eq_ignore_ascii_case("max-age=0"));
            if gone || value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let body = response.body_mut().read_to_string()?;
        let (head, _) = response.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }
}

/// The sign-in address for a service.
pub(crate) fn login_url(base: &str, service: &str) -> String {
    format!("{base}/login?service={}", encode(service))
}

/// The CAS 3 validation address, JSON.
pub(crate) fn validate_url(base: &str, service: &str, ticket: &str) -> String {
    let service = encode(service);
    format!("{base}/p3/serviceValidate?format=JSON&service={service}&ticket={ticket}")
}
