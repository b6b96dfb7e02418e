//! A small CAS server over real sockets, whose sins can be switched on.
//!
//! Promises: without sins it keeps every rule that the judge checks; several of these over one
//! state folder behave like one cluster, also when they are separate processes.
//! Does not: replicate; the folder is its shared memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use castor_loadtest::http::{Call, Client};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

pub const USER: &str = "casuser";
pub const PASSWORD: &str = "right";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sin {
    /// Checks and consumes in two steps, without any agreement.
    ValidatesTwice,
    /// Every fifth validation names somebody else.
    WrongUser,
    /// Every fifth validation of a live ticket is refused.
    RefusesLiveTickets,
    /// Every seventh ticket request is answered with the form.
    LosesSessions,
    /// Issues the same ticket again and again.
    IssuesTwice,
    /// A failure without a text.
    SilentFailure,
    /// Success elements without the CAS namespace.
    NoNamespace,
    /// The front believes a request id that the client made up.
    BelievesClients,
    /// Knows nothing that is older than its process.
    ForgetsOnRestart,
    /// 503 to every fifth validation.
    Unavailable,
    /// 503 to every validation.
    NeverValidates,
    /// Gives a ticket of one service to another.
    WrongService,
    /// Every fifth validation tells other attributes.
    WrongAttributes,
    /// Tickets work for ever.
    TicketsNeverDie,
    /// Every third session is gone after its first ticket.
    ForgetsSessions,
    /// A session is known only a while after the sign-in.
    SlowToSee,
    /// A signed-out session is refused once, and works again.
    Resurrects,
    /// Says that it signed out, and did not.
    IgnoresLogout,
    /// 500 to everything.
    Broken,
    /// 500 to everything after a hundred requests.
    BreaksLater,
    /// A login page without a form.
    NoForm,
    /// Knows no application but those whose URL ends with `refused`.
    NoServices,
    /// Refuses nobody anything.
    RefusesNobody,
    /// No sin: has no REST protocol.
    NoRest,
    /// Every password is right.
    AcceptsAnything,
    /// The form is sent to another server.
    PostsElsewhere,
    /// Validations are never answered.
    Hangs,
    /// A validation takes at least [`SLOW`].
    SlowValidations,
    /// No sin: wrong passwords are answered with 200 and the form, as older servers do.
    RefusesWithForm,
    /// No sin: a sign-in is answered with 303 and no page.
    RedirectsSignIns,
}

/// How long a ticket lives here.
pub const TICKET_LIFE: Duration = Duration::from_secs(60);
/// For those who wait until a ticket has ended.
pub const SHORT_LIFE: Duration = Duration::from_secs(2);
const SLOW: Duration = Duration::from_millis(150);

/// What a server needs to start; the nodes of fault tests read it from their configuration file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    pub tag: String,
    pub address: SocketAddr,
    pub state: PathBuf,
    pub sins: Vec<Sin>,
    /// Whether the request id header is believed.
    pub trusts_proxy: bool,
    /// `/ready` is 200 only while these answer.
    pub ready_needs: Vec<String>,
    /// How long a ticket may be used.
    pub ticket_life: Duration,
}

pub struct FakeCas {
    settings: Settings,
    counter: AtomicU64,
    /// Looks at the metrics.
    looks: AtomicU64,
    client: Client,
}

/// Binds and serves for as long as the runtime lives; the address bound.
pub async fn start(mut settings: Settings) -> SocketAddr {
    for folder in ["sessions", "ended", "tickets", "used"] {
        std::fs::create_dir_all(settings.state.join(folder)).unwrap();
    }
    std::fs::write(settings.state.join(format!("started-{}", settings.tag)), "").unwrap();
    let listener = TcpListener::bind(settings.address).await.unwrap();
    settings.address = listener.local_addr().unwrap();
    let address = settings.address;
    let server = Arc::new(FakeCas {
        settings,
        counter: AtomicU64::new(0),
        looks: AtomicU64::new(0),
        client: Client::new(None, Duration::from_millis(300)).unwrap(),
    });
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let server = Arc::clone(&server);
                    async move { Ok::<_, std::convert::Infallible>(server.answer(request).await) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

fn page(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

fn session_of(headers: &HeaderMap) -> Option<&str> {
    let cookie = headers.get(header::COOKIE)?.to_str().ok()?;
    cookie.strip_prefix("TGC=")
}

fn parse(query: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into()
    };
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

impl FakeCas {
    fn sins(&self, sin: Sin) -> bool {
        self.settings.sins.contains(&sin)
    }

    fn every(&self, nth: u64) -> bool {
        self.counter
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(nth)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        let query = parse(parts.uri.query().unwrap_or_default());
        let late =
            self.sins(Sin::BreaksLater) && self.counter.fetch_add(1, Ordering::Relaxed) > 100;
        if late || self.sins(Sin::Broken) {
            return page(StatusCode::INTERNAL_SERVER_ERROR, "");
        }
        match (parts.method, parts.uri.path()) {
            (Method::GET, "/ready") => self.ready().await,
            (Method::GET, "/metrics") => page(StatusCode::OK, self.metrics()),
            (Method::GET, "/cas/login") => self.requestor(&query, &parts.headers),
            (Method::POST, "/cas/login") => self.acceptor(&String::from_utf8_lossy(&body)),
            (Method::POST, "/cas/v1/users") if !self.sins(Sin::NoRest) => {
                Self::check(&String::from_utf8_lossy(&body))
            }
            (Method::GET, "/cas/logout") => self.logout(&parts.headers),
            (Method::GET, "/cas/serviceValidate" | "/cas/p3/serviceValidate") => {
                if self.sins(Sin::Hangs) {
                    std::future::pending::<()>().await;
                }
                if self.sins(Sin::SlowValidations) {
                    castor_loadtest::clock::pause(SLOW).await;
                }
                self.validate(&query, &parts.headers)
            }
            _ => page(StatusCode::NOT_FOUND, ""),
        }
    }

    /// The REST protocol's check of a password.
    fn check(body: &str) -> Response<Full<Bytes>> {
        let fields = parse(body);
        let is = |name: &str, value: &str| fields.get(name).is_some_and(|got| got == value);
        if is("username", USER) && is("password", PASSWORD) {
            return page(StatusCode::OK, "{}");
        }
        page(StatusCode::UNAUTHORIZED, "")
    }

    /// Every look costs four seconds of processor, a quarter of them for hashes.
    fn metrics(&self) -> String {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        format!(
            "castor_replication_lag_seconds{{peer=\"other\"}} 0.25\nprocess_cpu_seconds_total {}\n\
             castor_authn_hash_cpu_seconds_total {looks}\n",
            looks * 4
        )
    }

    async fn ready(&self) -> Response<Full<Bytes>> {
        for url in &self.settings.ready_needs {
            if self.client.call(Call::get(url)).await.is_err() {
                return page(StatusCode::SERVICE_UNAVAILABLE, "peer gone");
            }
        }
        page(StatusCode::OK, "ready")
    }

    fn form(&self) -> Response<Full<Bytes>> {
        let action = if self.sins(Sin::PostsElsewhere) {
            "http://127.0.0.1:9/cas/login"
        } else {
            "login"
        };
        page(
            StatusCode::OK,
            format!(
                "<form method=post id=fm1 action='{action}'><input value='e&#49;s1' type=hidden \
                 name=execution><input name='username'><input type=password name='password'>\
                 <input name='_eventId' value='submit' type='hidden'/></form>"
            ),
        )
    }

    fn requestor(
        &self,
        query: &BTreeMap<String, String>,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        let session = session_of(headers);
        let known = session.is_some_and(|session| self.knows(session));
        let lost = self.sins(Sin::LosesSessions) && known && self.every(7);
        if self.sins(Sin::NoForm) {
            return page(
                StatusCode::OK,
                "<h1>Welcome</h1><form><input name=q></form>",
            );
        }
        if self.sins(Sin::NoServices)
            && query
                .get("service")
                .is_some_and(|service| !service.ends_with("refused"))
        {
            return page(StatusCode::FORBIDDEN, "no such application");
        }
        let (Some(service), true, false) = (query.get("service"), known, lost) else {
            return self.form();
        };
        if service.ends_with("refused") && !self.sins(Sin::RefusesNobody) {
            return page(StatusCode::FORBIDDEN, "not for you");
        }
        let sequence = self.counter.fetch_add(1, Ordering::Relaxed);
        let sequence = if self.sins(Sin::IssuesTwice) {
            0
        } else {
            sequence
        };
        let process = std::process::id();
        let tag = &self.settings.tag;
        let ticket = format!(
            "ST-{sequence}-p{process}x{}-{tag}",
            self.settings.address.port()
        );
        let state = &self.settings.state;
        std::fs::write(state.join("tickets").join(&ticket), service).unwrap();
        let _ = std::fs::remove_file(state.join("used").join(&ticket));
        let separator = if service.contains('?') { '&' } else { '?' };
        let mut response = page(StatusCode::FOUND, "");
        response.headers_mut().insert(
            header::LOCATION,
            format!("{service}{separator}ticket={ticket}")
                .parse()
                .unwrap(),
        );
        response
    }

    fn logout(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if let Some(session) = session_of(headers).filter(|_| !self.sins(Sin::IgnoresLogout)) {
            std::fs::write(self.settings.state.join("ended").join(session), "").unwrap();
        }
        page(StatusCode::OK, "signed out")
    }

    fn knows(&self, session: &str) -> bool {
        let ended = self.settings.state.join("ended").join(session);
        if ended.exists() {
            if self.sins(Sin::Resurrects) {
                let _ = std::fs::remove_file(ended);
            }
            return false;
        }
        let made = |path: PathBuf| {
            std::fs::metadata(path)
                .and_then(|data| data.modified())
                .ok()
        };
        let state = &self.settings.state;
        let Some(signed_in) = made(state.join("sessions").join(session)) else {
            return false;
        };
        if self.sins(Sin::SlowToSee) && signed_in.elapsed().unwrap_or_default() < SLOW {
            return false;
        }
        if self.sins(Sin::ForgetsSessions) && self.every(3) {
            std::fs::remove_file(state.join("sessions").join(session)).unwrap();
        }
        let started = made(state.join(format!("started-{}", self.settings.tag)));
        !self.sins(Sin::ForgetsOnRestart) || started.is_some_and(|started| started < signed_in)
    }

    fn acceptor(&self, body: &str) -> Response<Full<Bytes>> {
        let fields = parse(body);
        let is = |name: &str, value: &str| fields.get(name).is_some_and(|got| got == value);
        if !is("execution", "e1s1") || !is("_eventId", "submit") {
            return self.form();
        }
        let right = is("username", USER) && is("password", PASSWORD);
        if !right && !self.sins(Sin::AcceptsAnything) {
            let mut answer = self.form();
            if !self.sins(Sin::RefusesWithForm) {
                *answer.status_mut() = StatusCode::UNAUTHORIZED;
            }
            return answer;
        }
        let session = format!(
            "TGT-{}-{}-{}",
            self.counter.fetch_add(1, Ordering::Relaxed),
            std::process::id(),
            self.settings.address.port()
        );
        std::fs::write(self.settings.state.join("sessions").join(&session), USER).unwrap();
        let mut answer = page(StatusCode::OK, "signed in");
        if self.sins(Sin::RedirectsSignIns) {
            *answer.status_mut() = StatusCode::SEE_OTHER;
        }
        answer.headers_mut().insert(
            header::SET_COOKIE,
            format!("TGC={session}; Path=/cas; Secure; HttpOnly")
                .parse()
                .unwrap(),
        );
        answer
    }

    fn validate(
        &self,
        query: &BTreeMap<String, String>,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        if self.sins(Sin::NeverValidates) || (self.sins(Sin::Unavailable) && self.every(5)) {
            return page(StatusCode::SERVICE_UNAVAILABLE, "");
        }
        let empty = String::new();
        let ticket = query.get("ticket").unwrap_or(&empty);
        let service = query.get("service").unwrap_or(&empty);
        let believed = self.settings.trusts_proxy || self.sins(Sin::BelievesClients);
        let claim = headers
            .get("castor-request-id")
            .filter(|_| believed)
            .and_then(|value| value.to_str().ok());
        if !self.consume(ticket, service, claim)
            || (self.sins(Sin::RefusesLiveTickets) && self.every(5))
        {
            let text = if self.sins(Sin::SilentFailure) {
                ""
            } else {
                "not recognized"
            };
            return xml(&format!(
                "<cas:authenticationFailure code=\"INVALID_TICKET\">{text}</cas:authenticationFailure>"
            ));
        }
        let user = if self.sins(Sin::WrongUser) && self.every(5) {
            "mallory"
        } else {
            USER
        };
        let mail = if self.sins(Sin::WrongAttributes) && self.every(5) {
            "m@example.org"
        } else {
            "c@example.org"
        };
        let success = xml(&format!(
            "<cas:authenticationSuccess><cas:user>{user}</cas:user><cas:attributes>\
             <cas:isFromNewLogin>{}</cas:isFromNewLogin><cas:mail>{mail}</cas:mail>\
             </cas:attributes></cas:authenticationSuccess>",
            self.every(2)
        ));
        if self.sins(Sin::NoNamespace) {
            return page(
                StatusCode::OK,
                "<serviceResponse><authenticationSuccess><user>casuser</user>\
                 </authenticationSuccess></serviceResponse>",
            );
        }
        success
    }

    /// True once per ticket, and again for the claim that won.
    fn consume(&self, ticket: &str, service: &str, claim: Option<&str>) -> bool {
        let live = self.settings.state.join("tickets").join(ticket);
        let other = |issued_for| issued_for != service && !self.sins(Sin::WrongService);
        if std::fs::read_to_string(&live).is_ok_and(other) {
            return false;
        }
        let made = std::fs::metadata(&live).and_then(|data| data.modified());
        let age = made.map(|made| made.elapsed().unwrap_or_default());
        let is_alive = |age| age < self.settings.ticket_life || self.sins(Sin::TicketsNeverDie);
        let alive = age.is_ok_and(is_alive);
        if self.sins(Sin::ValidatesTwice) {
            return alive;
        }
        let used = self.settings.state.join("used").join(ticket);
        let mut winner = std::fs::File::options();
        match winner.write(true).create_new(true).open(&used) {
            Ok(mut file) if alive => {
                use std::io::Write as _;
                file.write_all(claim.unwrap_or_default().as_bytes())
                    .unwrap();
                true
            }
            Ok(_) => false,
            Err(_) => claim.is_some_and(|claim| self.was_won_by(&used, claim)),
        }
    }

    /// Waits shortly for the winner's name, which is written after the file is made.
    fn was_won_by(&self, used: &std::path::Path, claim: &str) -> bool {
        (0..1000).any(|_| {
            std::thread::yield_now();
            std::fs::read_to_string(used).is_ok_and(|winner| winner == claim)
        })
    }
}

fn xml(inner: &str) -> Response<Full<Bytes>> {
    page(
        StatusCode::OK,
        format!(
            "<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'>\n{inner}\n</cas:serviceResponse>\n"
        ),
    )
}
