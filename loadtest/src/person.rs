//! One simulated person: a browser with cookies that signs in and asks for service tickets, and
//! the application that validates them.
//!
//! Promises: does what a browser does and what a CAS client does, nothing the server could tell
//! apart. Does not: judge; every answer is handed back as it was understood.

use std::fmt;

use http::{HeaderName, HeaderValue, Uri, header};

use crate::cas::{self, TicketAnswer, form, validation, validation::Validation};
use crate::history::{History, Op, Out, Pending};
use crate::http::cookies::Jar;
use crate::http::{Answer, Call, CallError, Lease};
use crate::lab::Lab;

/// The answer to an attempt to sign in.
#[derive(Debug)]
pub enum SignIn {
    /// Acknowledged: the SSO cookie is there.
    Done,
    /// User name or password wrong: 401, or the form once more, as older servers say it.
    WrongPassword,
    /// 5xx: the server says it cannot answer now.
    Unavailable(u16),
    /// Anything else that answered.
    Odd(String),
    /// No answer.
    Failed(CallError),
}

impl fmt::Display for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("it was acknowledged"),
            Self::WrongPassword => {
                f.write_str("the server says that the user name or the password is wrong")
            }
            Self::Unavailable(status) => write!(f, "the server says {status}: it cannot serve now"),
            Self::Odd(what) => f.write_str(what),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

/// The answer to an attempt to sign out.
#[derive(Debug)]
pub enum SignOut {
    /// Acknowledged.
    Done,
    /// 5xx: the server says it cannot answer now.
    Unavailable(u16),
    /// Anything else that answered.
    Odd(String),
    /// No answer.
    Failed(CallError),
}

/// A browser of one person at one CAS server (seen through any of its doors).
#[derive(Clone)]
pub struct Person {
    lab: Lab,
    jar: Jar,
    /// Name of the session in the history.
    session: String,
}

impl Person {
    /// A person without cookies.
    pub fn new(lab: &Lab) -> Self {
        Self {
            lab: lab.clone(),
            jar: Jar::default(),
            session: String::new(),
        }
    }

    /// Fetches the form at `base` and posts it with this name and password.
    pub async fn sign_in(&mut self, base: &str, username: &str, password: &str) -> SignIn {
        let user = || Op::Login {
            user: username.to_owned(),
        };
        let pending = self.lab.history.begin(base, user);
        let answer = self.try_sign_in(base, username, password).await;
        pending.end(|history| match &answer {
            SignIn::Done => {
                self.session = history.new_session();
                Out::Ok(self.session.clone())
            }
            SignIn::WrongPassword => Out::Fail("401".to_owned()),
            _ => Out::Unknown,
        });
        answer
    }

    async fn try_sign_in(&mut self, base: &str, username: &str, password: &str) -> SignIn {
        let page_url = format!("{base}/login");
        let page = match self.call(Call::get(&page_url)).await {
            Ok(page) => page,
            Err(error) => return SignIn::Failed(error),
        };
        match page.status.as_u16() {
            200 => {}
            status @ 500..=599 => return SignIn::Unavailable(status),
            status => return SignIn::Odd(format!("the form came with status {status}")),
        }
        let Some(form) = form::find(&page.text()) else {
            return SignIn::Odd("the login page has no form with a password".to_owned());
        };
        let url = match form::destination(&page_url, &form.action) {
            Ok(url) => url,
            Err(what) => return SignIn::Odd(what),
        };
        let mut fields = form.hidden;
        fields.push((form.username_field, username.to_owned()));
        fields.push((form.password_field, password.to_owned()));
        let call = Call::post_form(url, &fields);
        match self.call(call).await {
            Ok(answer) => self.read_sign_in(&answer),
            Err(error) => SignIn::Failed(error),
        }
    }

    fn read_sign_in(&self, answer: &Answer) -> SignIn {
        match answer.status.as_u16() {
            200 | 301..=303 if self.jar.has("TGC") => SignIn::Done,
            401 => SignIn::WrongPassword,
            200 if form::find(&answer.text()).is_some() => SignIn::WrongPassword,
            423 => SignIn::Odd(
                "status 423: sign-ins are throttled after wrong passwords; switch that off for a load \
                 test, in Castor with authn.throttle.enabled = false"
                    .to_owned(),
            ),
            status @ 500..=599 => SignIn::Unavailable(status),
            status => SignIn::Odd(format!("status {status} without an SSO cookie")),
        }
    }

    /// The `Cookie` header that this browser sends to `path` over HTTPS or loopback.
    pub fn cookies(&self, path: &str) -> Option<HeaderValue> {
        self.jar.header(path, true)
    }

    /// Asks for a ticket for `service` at `base`.
    pub async fn ticket(&mut self, base: &str, service: &str) -> TicketAnswer {
        let pending = self.lab.history.begin(base, || Op::Issue {
            session: self.session.clone(),
            service: service.to_owned(),
        });
        let answer = self.call(Call::get(cas::login_url(base, service))).await;
        let answer = cas::read_ticket_answer(answer, service);
        pending.end(|history| issued(history, &answer));
        answer
    }

    /// Name of the session in the history.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Signs out at `base` and keeps the cookie, as somebody would who had copied it.
    pub async fn sign_out(&self, base: &str) -> SignOut {
        let pending = self.lab.history.begin(base, || Op::Logout {
            session: self.session.clone(),
        });
        let answer = match self.clone().call(Call::get(format!("{base}/logout"))).await {
            Ok(answer) => match answer.status.as_u16() {
                200 | 301..=303 => SignOut::Done,
                status @ 500..=599 => SignOut::Unavailable(status),
                status => SignOut::Odd(format!("status {status}")),
            },
            Err(error) => SignOut::Failed(error),
        };
        pending.end(|_| match &answer {
            SignOut::Done => Out::Ok(String::new()),
            _ => Out::Unknown,
        });
        answer
    }

    async fn call(&mut self, mut call: Call) -> Result<Answer, CallError> {
        let url: Uri = call
            .url
            .parse()
            .map_err(|error| CallError::Url(format!("{}: {error}", call.url)))?;
        let trusted = url.scheme_str() == Some("https") || is_loopback(url.host());
        if let Some(cookies) = self.jar.header(url.path(), trusted) {
            call.headers.insert(header::COOKIE, cookies);
        }
        let answer = self.lab.client.call(call).await?;
        self.jar.store(&answer.headers, url.path());
        Ok(answer)
    }
}

fn is_loopback(host: Option<&str>) -> bool {
    let host = host
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// Validates `ticket` at `base`, as an application does.
pub async fn validate(lab: &Lab, base: &str, service: &str, ticket: &str) -> Validation {
    let pending = begin(&lab.history, base, service, ticket);
    let call = Call::get(cas::validate_url(base, service, ticket));
    let answer = validation::read(lab.client.call(call).await);
    pending.end_with(|history| outcome(history, &answer));
    answer
}

/// As [`validate`], by the protocol's third version, where every server releases attributes.
pub async fn validate_p3(lab: &Lab, base: &str, service: &str, ticket: &str) -> Validation {
    let pending = begin(&lab.history, base, service, ticket);
    let endpoint = format!("{base}/p3/serviceValidate");
    let call = Call::get(cas::validate_at(&endpoint, service, ticket));
    let answer = validation::read(lab.client.call(call).await);
    pending.end_with(|history| outcome(history, &answer));
    answer
}

/// Validates `ticket` at `base` on a connection leased before, with a header of the caller's choice.
pub async fn validate_on(
    lab: &Lab,
    lease: Lease,
    [base, service, ticket]: [&str; 3],
    extra: Option<(HeaderName, HeaderValue)>,
) -> Validation {
    let mut call = Call::get(cas::validate_url(base, service, ticket));
    if let Some((name, value)) = extra {
        call.headers.insert(name, value);
    }
    let pending = begin(&lab.history, base, service, ticket);
    let answer = validation::read(lab.client.send(lease, call).await);
    pending.end_with(|history| outcome(history, &answer));
    answer
}

/// A ticket request in a history.
pub(crate) fn issued(history: &History, answer: &TicketAnswer) -> Out {
    match answer {
        TicketAnswer::Ticket(ticket) => Out::Ok(history.ticket(ticket)),
        TicketAnswer::Form => Out::Fail("form".to_owned()),
        _ => Out::Unknown,
    }
}

/// A validation begins in a history.
pub(crate) fn begin(history: &History, base: &str, service: &str, ticket: &str) -> Pending {
    history.begin(base, || Op::Validate {
        ticket: history.ticket(ticket),
        service: service.to_owned(),
    })
}

/// A validation in a history.
pub(crate) fn outcome(history: &History, answer: &Validation) -> (Out, Option<String>) {
    match answer {
        Validation::Success { user, attributes } => {
            (Out::Ok(user.clone()), history.attributes(attributes))
        }
        Validation::Refused { code } => (Out::Fail(code.clone()), None),
        _ => (Out::Unknown, None),
    }
}
