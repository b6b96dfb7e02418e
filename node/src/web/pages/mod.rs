//! What each page shows. How it looks is the template's business, in which words the catalogue's.
//!
//! The hidden inputs of the login form are written here and not in the template, byte for byte as
//! scripts look for them; a template only places them.

mod rehearsal;
mod signed_out;

use http::StatusCode;
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde::Serialize;

use super::language::Wanted;
use super::messages::{self, Texts};
use super::{Look, templates};

pub(super) use rehearsal::rehearse;
pub use signed_out::{SignedOutPage, ToldByBrowser};

/// Why the login form is shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Wrong password, unknown user or disabled account: one text.
    Credentials,
    /// User name or password empty or too long.
    Missing,
    /// Fields missing, repeated or damaged.
    Form,
    /// The form is older than it may be, or was never ours.
    Expired,
    /// The form came from another site.
    Origin,
    /// Too many sign-ins have failed for this user or from this address: one text for both.
    Throttled {
        /// For how long, at most and if nothing else fails.
        seconds: u64,
    },
}

impl Failure {
    fn key(self) -> &'static str {
        match self {
            Self::Credentials => "failed_credentials",
            Self::Missing => "failed_missing",
            Self::Form => "failed_form",
            Self::Expired => "failed_expired",
            Self::Origin => "failed_origin",
            Self::Throttled { .. } => "failed_throttled",
        }
    }

    fn text(self, texts: &Texts) -> String {
        let text = messages::text(texts, self.key());
        match self {
            Self::Throttled { seconds } => text.replace("{wait}", &wait(seconds)),
            _ => text.to_owned(),
        }
    }

    /// The status of the page that asks again.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Credentials => StatusCode::UNAUTHORIZED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Throttled { .. } => StatusCode::LOCKED,
            Self::Missing | Self::Form | Self::Expired => StatusCode::BAD_REQUEST,
        }
    }

    fn marks_fields(self) -> bool {
        matches!(self, Self::Credentials | Self::Missing)
    }
}

/// What the login page tells about the application.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServiceInfo {
    /// Its name.
    pub name: String,
    /// A sentence about it.
    pub description: Option<String>,
    /// URL of its picture.
    pub logo: Option<String>,
    /// Link to more.
    pub information_url: Option<String>,
    /// Link to its privacy statement.
    pub privacy_url: Option<String>,
}

/// The login form.
#[derive(Debug, Clone, Default)]
pub struct LoginPage {
    /// Value of the hidden input `execution`.
    pub execution: String,
    /// Where the form goes: `login` with the query it came with.
    pub action: String,
    /// The application, when there is one.
    pub service: Option<ServiceInfo>,
    /// Why it is shown again.
    pub failure: Option<Failure>,
    /// User name to begin with.
    pub username: String,
    /// Whether the application asks for fresh credentials.
    pub renew: bool,
    /// Whether to offer to be remembered.
    pub remember_me: bool,
    /// Whether to offer to be asked before going on to further applications.
    pub warn: bool,
    /// Whether that wish is there already.
    pub warn_checked: bool,
}

/// Asks before going on to an application.
#[derive(Debug, Clone, Default)]
pub struct WarnPage {
    /// Value of the hidden input `execution`.
    pub execution: String,
    /// Where the form goes: `login` with the query it came with.
    pub action: String,
    /// The application.
    pub service: ServiceInfo,
    /// Scheme and host of the application.
    pub address: String,
    /// Who is signed in.
    pub username: String,
}

/// Which error page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The application is not registered.
    Service,
    /// This person may not use the application.
    Access,
    /// The request is malformed.
    Request,
    /// Too many sign-ins.
    Busy,
    /// As many sessions or tickets as there may be.
    Full,
    /// As many sessions as this person may have.
    Sessions,
    /// The node takes no requests.
    Unready,
    /// Something failed inside.
    Failed,
    /// No such page.
    Missing,
}

impl ErrorKind {
    const ALL: [Self; 9] = [
        Self::Service,
        Self::Access,
        Self::Request,
        Self::Busy,
        Self::Full,
        Self::Sessions,
        Self::Unready,
        Self::Failed,
        Self::Missing,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Access => "access",
            Self::Request => "request",
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Sessions => "sessions",
            Self::Unready => "unready",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

/// A page to render.
#[derive(Debug, Clone)]
pub enum Page {
    /// The login form.
    Login(Box<LoginPage>),
    /// Asks before going on to an application.
    Warn(Box<WarnPage>),
    /// Signed in, and no application to go to.
    SignedIn {
        /// The user name.
        username: String,
    },
    /// After signing out.
    SignedOut(Box<SignedOutPage>),
    /// Before signing out, when people are asked.
    SignOut {
        /// Where the form goes: `logout` with the query it came with.
        action: String,
    },
    /// A form that carries the ticket to the application.
    Post {
        /// The service URL.
        action: String,
        /// Shown name of the application.
        service: String,
        /// Hidden inputs.
        fields: Vec<(String, String)>,
    },
    /// An error.
    Error {
        /// Which.
        kind: ErrorKind,
        /// What the help desk can search the log for.
        reference: Option<String>,
    },
}

impl Look {
    /// The page as HTML, in the language that is wanted.
    pub fn render(&self, page: &Page, wanted: &Wanted<'_>) -> String {
        let (name, context) = self.context_of(page, wanted);
        self.templates.render(name, &context)
    }

    fn context_of(&self, page: &Page, wanted: &Wanted<'_>) -> (&'static str, Value) {
        let texts = self.messages.pick(wanted);
        // A language that was chosen by hand goes along to our other pages.
        let own_url = |path: &str| match wanted.locale {
            Some(tag) => format!("{}/{path}?locale={}", self.prefix, tag.as_str()),
            None => format!("{}/{path}", self.prefix),
        };
        let (name, own) = match page {
            Page::Login(login) => ("login.html", login_context(login, texts)),
            Page::Warn(warn) => ("warn.html", warn_context(warn, &own_url("login"), texts)),
            Page::SignedIn { username } => {
                let logout_url = own_url("logout");
                ("signed_in.html", context! { username, logout_url })
            }
            Page::SignedOut(page) => ("signed_out.html", page.context(&own_url("login"))),
            Page::SignOut { action } => ("sign_out.html", context! { action }),
            Page::Post {
                action,
                service,
                fields,
            } => ("post.html", post_context(action, service, fields, texts)),
            Page::Error { kind, reference } => {
                let login_url = own_url("login");
                let own = error_context(*kind, reference.as_deref(), &login_url, texts);
                ("error.html", own)
            }
        };
        let asset = |name: &str| self.assets.url(name).unwrap_or_default();
        let shared = context! {
            t => Value::from(Serde(texts)),
            brand => context! { title => self.title.as_str() },
            asset => context! {
                style => asset("castor.css"),
                theme => asset("theme.css"),
                favicon => asset("favicon.svg"),
                submit => asset("submit.js"),
                logout => asset("logout.js"),
                logo => self.logo.as_str(),
            },
        };
        (name, context! { ..own, ..shared })
    }
}

fn error_context(
    kind: ErrorKind,
    reference: Option<&str>,
    login_url: &str,
    texts: &Texts,
) -> Value {
    let part = |part: &str| {
        let key = format!("error_{}_{part}", kind.word());
        messages::text(texts, &key).to_owned()
    };
    let helps = matches!(
        kind,
        ErrorKind::Missing | ErrorKind::Busy | ErrorKind::Full | ErrorKind::Sessions
    );
    context! {
        kind => kind.word(),
        title => part("title"),
        text => part("text"),
        hint => part("hint"),
        login_url => helps.then_some(login_url),
        reference,
    }
}

fn login_context(login: &LoginPage, texts: &Texts) -> Value {
    let name = login.service.as_ref().map_or("", |s| s.name.as_str());
    context! {
        action => login.action.as_str(),
        service => Value::from(Serde(login.service.as_ref())),
        continue_text => emphasised(texts, "login_continue", name),
        failure => login.failure.map(|failure| failure.text(texts)),
        failure_marks_fields => login.failure.is_some_and(Failure::marks_fields),
        username => login.username.as_str(),
        renew => login.renew,
        remember_me => login.remember_me,
        warn => login.warn,
        warn_checked => login.warn_checked,
        flow_fields => Value::from_safe_string(flow_fields(&login.execution, "submit")),
    }
}

fn warn_context(warn: &WarnPage, stay_url: &str, texts: &Texts) -> Value {
    context! {
        action => warn.action.as_str(),
        service => Value::from(Serde(&warn.service)),
        address => warn.address.as_str(),
        warn_text => emphasised(texts, "warn_text", &warn.service.name),
        username => warn.username.as_str(),
        stay_url,
        flow_fields => Value::from_safe_string(flow_fields(&warn.execution, "proceed")),
    }
}

/// A length of time in units that need no translation, rounded up.
fn wait(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        _ => format!("{} min", seconds.div_ceil(60)),
    }
}

/// A text with the application's name in it, as HTML that sets the name off.
fn emphasised(texts: &Texts, key: &str, service: &str) -> Value {
    let text = messages::text(texts, key);
    let (before, after) = text.split_once("{service}").unwrap_or((text, ""));
    let [before, name, after] = [before, service, after].map(templates::escaped);
    Value::from_safe_string(format!("{before}<strong>{name}</strong>{after}"))
}

/// The two hidden inputs, exactly as load scripts and clients look for them.
fn flow_fields(execution: &str, event: &'static str) -> String {
    debug_assert!(
        execution
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
        "base64url needs no escapes"
    );
    format!(
        "<input type=\"hidden\" name=\"execution\" value=\"{execution}\"/>\n\
         <input type=\"hidden\" name=\"_eventId\" value=\"{event}\"/>"
    )
}

fn post_context(action: &str, service: &str, fields: &[(String, String)], texts: &Texts) -> Value {
    let fields: Vec<Value> = fields
        .iter()
        .map(|(name, value)| context! { name => name.as_str(), value => value.as_str() })
        .collect();
    context! {
        action,
        post_text => emphasised(texts, "post_text", service),
        fields,
    }
}

#[cfg(test)]
mod tests;
