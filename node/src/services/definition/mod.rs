//! One registered service, read from a JSON definition as Apereo CAS writes it.
//!
//! Existing definitions work unchanged or are refused loudly: a setting that would change who gets
//! in or what is released, and that Castor does not support, is an error with line and key; a
//! setting that only changes how something looks, or that no longer has a meaning, is a warning.
//! Nothing here touches files.

mod access;
mod demands;
mod document;
mod lifetimes;
mod moment;
mod participation;
mod proxy;
mod reader;
mod release;
mod username;

use std::fmt;

use castor_proto::ids::WallMs;
use castor_proto::ticket::Principal;

use super::access::{Access, AccessStrategy, Asking};
use super::json;
use super::key::EncryptingKey;
use super::participation::{Participation, SessionFacts};
use super::pattern::{Extent, Pattern, TooHard};
use super::proxy::ProxyPolicy;
use super::release::{AttributeRelease, Choice, UsernameProvider};
use reader::{Fields, Unknown};

pub use document::Outline;
pub use lifetimes::Lifetimes;
pub use reader::{Finding, Report};

/// How the ticket goes back to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseType {
    /// 302 with `ticket` in the query.
    Redirect,
    /// A page with a form that is posted.
    Post,
    /// Response headers.
    Header,
}

impl ResponseType {
    /// Reads the protocol's `method` and the definition's `responseType`, whatever the case.
    pub fn parse(text: &str) -> Option<Self> {
        [
            ("get", Self::Redirect),
            ("redirect", Self::Redirect),
            ("post", Self::Post),
            ("header", Self::Header),
        ]
        .into_iter()
        .find_map(|(name, kind)| text.eq_ignore_ascii_case(name).then_some(kind))
    }
}

/// How the application hears of a logout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutType {
    /// A POST from the server.
    BackChannel,
    /// Through the browser.
    FrontChannel,
    /// Not at all.
    None,
}

/// What `serviceId` is compared with, and how.
#[derive(Debug, Clone)]
enum Matcher {
    Pattern(Pattern),
    Literal { ignore_case: bool },
    Prefix { begins: String },
}

/// A registered service.
#[derive(Clone)]
pub struct RegisteredService {
    /// Unique number.
    pub id: i64,
    /// Unique enough for people; at most 255 characters.
    pub name: String,
    /// The pattern as written.
    pub service_id: String,
    /// Lower is asked first.
    pub evaluation_order: i32,
    /// Shown on the login page.
    pub description: Option<String>,
    /// Picture shown on the login page: an https URL or a path below `/cas`.
    pub logo: Option<String>,
    /// Link for people who want to know more.
    pub information_url: Option<String>,
    /// Link to a privacy statement.
    pub privacy_url: Option<String>,
    /// Default way of the ticket; a request's `method` goes first.
    pub response_type: Option<ResponseType>,
    /// Replaces the service URL as the target of the redirect.
    pub redirect_url: Option<String>,
    /// How a logout is told.
    pub logout_type: LogoutType,
    /// Where a logout is told, when not at the service URL.
    pub logout_urls: Vec<String>,
    /// Lifetimes of its own.
    pub lifetimes: Lifetimes,
    /// What is released.
    pub release: AttributeRelease,
    /// Who gets in.
    pub access: AccessStrategy,
    /// The user name it is told.
    pub username: UsernameProvider,
    /// Whether a session is good enough.
    pub participation: Participation,
    /// Whether it may proxy.
    pub proxy: ProxyPolicy,
    /// From when on it is refused.
    pub expires: Option<WallMs>,
    /// As it was written, with what has no effect here and without secrets.
    pub document: serde_json::Value,
    public_key: Option<KeyPlace>,
    key: Option<EncryptingKey>,
    matcher: Matcher,
}

impl fmt::Debug for RegisteredService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegisteredService({}, {:?})", self.id, self.name)
    }
}

/// Where an application's public key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPlace {
    /// Absolute path of the file.
    pub path: String,
    /// Line of the definition that says so.
    pub line: u32,
}

const CLASSES: [&str; 4] = [
    "org.apereo.cas.services.CasRegisteredService",
    "org.apereo.cas.services.RegexRegisteredService",
    "org.jasig.cas.services.RegexRegisteredService",
    "org.jasig.cas.services.RegisteredServiceImpl",
];

/// Whether a text would be run as a script by Apereo CAS.
fn scripted(text: &str) -> bool {
    let text = text.trim();
    let inline = text
        .strip_prefix("groovy")
        .is_some_and(|rest| rest.trim_start().starts_with('{'));
    let is_file = ["file:", "classpath:", "http:", "https:"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    inline
        || (is_file
            && [".groovy", ".js", ".py", ".rb"]
                .iter()
                .any(|end| text.ends_with(end)))
}

impl RegisteredService {
    /// Reads a definition; what is worth a word goes to `report`.
    ///
    /// Returns `None` when the report has errors.
    pub fn read(text: &str, report: &mut Report) -> Option<Self> {
        let node = match json::parse(text) {
            Ok(node) => node,
            Err(e) => {
                report.error(e.line, "", &e.says);
                return None;
            }
        };
        let mut fields = Fields::of_document(&node, report)?;
        let class = fields.class().unwrap_or_default();
        if !CLASSES.contains(&class.as_str()) {
            fields.error_at("@class", &unsupported(&class));
            fields.abandon();
            return None;
        }
        if class.starts_with("org.jasig.") {
            let says = "is the name that CAS 4 used; write org.apereo.cas.services.\
                        CasRegisteredService";
            fields.warn_at("@class", says);
        }
        let service = Self::from_fields(&mut fields, document::of(&node));
        fields.finish(Unknown::Warn);
        report.sort();
        service.filter(|_| report.errors.is_empty())
    }

    fn from_fields(fields: &mut Fields<'_, '_>, document: serde_json::Value) -> Option<Self> {
        demands::read(fields);
        let id = fields.required_number("id");
        let name = fields.required_text("name", 255);
        let service_id = fields.required_text("serviceId", super::pattern::PATTERN_MAX);
        let matcher = matcher(fields, service_id.as_deref());
        let service_id = service_id.unwrap_or_default();
        let service = Self {
            id: id.unwrap_or_default(),
            name: name.unwrap_or_default(),
            evaluation_order: fields.order(),
            description: fields.text("description"),
            logo: fields.text("logo"),
            information_url: fields.web_url("informationUrl"),
            privacy_url: fields.web_url("privacyUrl"),
            response_type: response_type(fields),
            redirect_url: fields.web_url("redirectUrl"),
            logout_type: logout_type(fields),
            logout_urls: logout_urls(fields),
            lifetimes: lifetimes::read(fields),
            release: release::read(fields),
            access: access::read(fields),
            username: username::read(fields),
            participation: participation::read(fields),
            proxy: proxy::read(fields, &service_id),
            expires: lifetimes::expiry(fields),
            document,
            public_key: public_key(fields),
            key: None,
            service_id,
            matcher: matcher?,
        };
        if id.is_some_and(|id| id < 0) {
            fields.error_at("id", "must be a number from 0 upwards");
        }
        if service.logout_type == LogoutType::None && !service.logout_urls.is_empty() {
            fields.warn_at("logoutUrl", "has no effect with logoutType NONE");
        }
        if service.encrypts() && service.public_key.is_none() {
            let key = if service.username.encrypt {
                "usernameAttributeProvider"
            } else {
                "attributeReleasePolicy"
            };
            let says = "encrypts for the application, and its publicKey is missing";
            fields.error_at(key, says);
        }
        Some(service)
    }

    /// Whether something is told encrypted.
    fn encrypts(&self) -> bool {
        let encrypted =
            |policy: &super::release::ReleasePolicy| matches!(policy.choice, Choice::Encrypted(_));
        self.username.encrypt || self.release.policies.iter().any(encrypted)
    }

    /// Where its public key is, when something is told encrypted; whoever reads files must hand the
    /// key over with [`Self::set_key`].
    pub fn wants_key(&self) -> Option<&KeyPlace> {
        self.public_key.as_ref().filter(|_| self.encrypts())
    }

    /// Takes its public key.
    pub fn set_key(&mut self, key: EncryptingKey) {
        self.key = Some(key);
    }

    pub(super) fn key(&self) -> Option<&EncryptingKey> {
        self.key.as_ref()
    }

    /// Whether anybody may use this service with such a request.
    pub fn is_open(&self, asking: &Asking<'_>) -> bool {
        self.expires.is_none_or(|expires| asking.now < expires) && self.access.is_open(asking)
    }

    /// Whether a principal may use this service with such a request.
    pub fn access(&self, principal: &Principal, asking: &Asking<'_>) -> Access {
        if !self.is_open(asking) {
            Access::Closed
        } else if self.access.admits(principal, asking) {
            Access::Granted
        } else {
            Access::Refused
        }
    }

    /// Whether a session is enough, or fresh credentials are wanted.
    pub fn takes_session(&self, session: &SessionFacts<'_>) -> bool {
        self.access.sso_enabled() && self.participation.accepts(session)
    }

    /// Whether matching a URL may need many steps.
    pub fn backtracks(&self) -> bool {
        matches!(&self.matcher, Matcher::Pattern(pattern) if pattern.backtracks())
    }

    /// Whether `serviceId` decides by itself what is covered, as a pattern.
    pub(super) fn is_pattern(&self) -> bool {
        matches!(&self.matcher, Matcher::Pattern(_))
    }

    /// Sets of literals of which each has one in every URL that is covered, in small letters.
    pub(super) fn needles(&self) -> Vec<Vec<Vec<u8>>> {
        let text = match &self.matcher {
            Matcher::Pattern(pattern) => return pattern.needles(),
            Matcher::Literal { .. } => &self.service_id,
            Matcher::Prefix { begins } => begins,
        };
        let ascii = text.bytes().take_while(u8::is_ascii);
        let literal: Vec<u8> = ascii.map(|byte| byte.to_ascii_lowercase()).collect();
        if literal.len() < 2 {
            return Vec::new();
        }
        vec![vec![literal]]
    }

    /// Whether this definition covers a service URL.
    ///
    /// # Errors
    /// [`TooHard`] when the pattern cannot be decided within its bounds; treat it as a refusal.
    pub fn covers(&self, url: &str) -> Result<bool, TooHard> {
        match &self.matcher {
            Matcher::Pattern(pattern) => pattern.matches(url),
            Matcher::Literal { ignore_case: true } => Ok(self.service_id.eq_ignore_ascii_case(url)),
            Matcher::Literal { ignore_case: false } => Ok(self.service_id == url),
            Matcher::Prefix { begins } => Ok(url
                .get(..begins.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(begins))),
        }
    }

    /// Whether the definition covers a service URL by naming its host: whoever wrote it meant this
    /// very host, and nobody can put another one in its place.
    pub fn names_host(&self, url: &str) -> bool {
        self.covers(url) == Ok(true)
            && match &self.matcher {
                Matcher::Pattern(pattern) => pattern.names_host(url),
                Matcher::Literal { .. } => true,
                Matcher::Prefix { begins } => {
                    beginning(begins).is_some_and(|pattern| pattern.names_host(url))
                }
            }
    }

    /// Whether its applications are posted logouts at their service URLs, and some of these have a host
    /// that it does not name: at a private address they are not told.
    pub fn is_told_in_public_only(&self) -> bool {
        self.logout_type == LogoutType::BackChannel
            && self.logout_urls.is_empty()
            && match &self.matcher {
                Matcher::Pattern(pattern) => pattern.leaves_host_open(),
                Matcher::Literal { .. } => false,
                Matcher::Prefix { begins } => {
                    beginning(begins).is_none_or(|pattern| pattern.leaves_host_open())
                }
            }
    }
}

/// A beginning is a pattern with nothing but letters in it.
fn beginning(begins: &str) -> Option<Pattern> {
    Pattern::compile(&format!("\\Q{begins}\\E.*"), Extent::Full, true).ok()
}

/// Why a class of definitions is refused.
fn unsupported(class: &str) -> String {
    let speaks = [
        ("SamlRegisteredService", "a SAML 2 service provider"),
        ("OAuthRegisteredService", "an OAuth client"),
        ("OidcRegisteredService", "an OpenID Connect client"),
        (
            "WSFederationRegisteredService",
            "a WS-Federation relying party",
        ),
    ];
    let short = class.rsplit('.').next().unwrap_or_default();
    match speaks.iter().find(|(name, _)| *name == short) {
        Some((_, what)) => {
            format!("is {what}; only CAS applications are served: keep it out of the folder")
        }
        None if class.is_empty() => {
            "is missing; write org.apereo.cas.services.CasRegisteredService".to_owned()
        }
        None => format!(
            "is {class}; supported are CasRegisteredService and RegexRegisteredService in \
             org.apereo.cas.services"
        ),
    }
}

fn matcher(fields: &mut Fields<'_, '_>, service_id: Option<&str>) -> Option<Matcher> {
    let mut extent = Extent::Full;
    if let Some(mut strategy) = fields.object("matchingStrategy") {
        match strategy.short_class().as_str() {
            "FullRegexRegisteredServiceMatchingStrategy" => {}
            "PartialRegexRegisteredServiceMatchingStrategy" => extent = Extent::Part,
            "LiteralRegisteredServiceMatchingStrategy" => {
                let ignore_case = strategy.flag("caseInsensitive", false);
                strategy.finish(Unknown::Refuse);
                if service_id.is_some_and(|id| id.starts_with('^') || id.contains(".*")) {
                    let says = "looks like a pattern and is compared literally";
                    fields.warn_at("serviceId", says);
                }
                return Some(Matcher::Literal { ignore_case });
            }
            "StartsWithRegisteredServiceMatchingStrategy" => {
                let begins = strategy.required_text("expectedUrl", super::pattern::PATTERN_MAX);
                strategy.finish(Unknown::Refuse);
                return begins.map(|begins| Matcher::Prefix { begins });
            }
            other => strategy.unsupported_class(
                other,
                "supported are FullRegex, PartialRegex, Literal and \
                 StartsWithRegisteredServiceMatchingStrategy",
            ),
        }
        strategy.finish(Unknown::Refuse);
    }
    match Pattern::compile(service_id?, extent, true) {
        Ok(pattern) => Some(Matcher::Pattern(pattern)),
        Err(e) => {
            fields.error_at("serviceId", &e.0);
            None
        }
    }
}

/// `publicKey`
fn public_key(fields: &mut Fields<'_, '_>) -> Option<KeyPlace> {
    let mut key = fields.object("publicKey")?;
    let line = key.line("location");
    let algorithm = key.text("algorithm");
    if algorithm.is_some_and(|name| !name.eq_ignore_ascii_case("RSA")) {
        key.error_at("algorithm", "must be RSA");
    }
    let location = key.text("location");
    key.finish(Unknown::Refuse);
    let location = location?;
    let path = location.strip_prefix("file:").unwrap_or(&location);
    let path = path.strip_prefix("//").unwrap_or(path);
    if !path.starts_with('/') {
        let says = "publicKey.location must name a file, such as file:/etc/castor/keys/app.pem";
        fields.error_at("publicKey", says);
        return None;
    }
    Some(KeyPlace {
        path: path.to_owned(),
        line,
    })
}

fn response_type(fields: &mut Fields<'_, '_>) -> Option<ResponseType> {
    let text = fields.text("responseType")?;
    let parsed = ResponseType::parse(&text);
    if parsed.is_none() {
        fields.error_at("responseType", "must be REDIRECT, POST or HEADER");
    }
    parsed
}

fn logout_type(fields: &mut Fields<'_, '_>) -> LogoutType {
    match fields.text("logoutType").as_deref() {
        None | Some("BACK_CHANNEL") => LogoutType::BackChannel,
        Some("FRONT_CHANNEL") => LogoutType::FrontChannel,
        Some("NONE") => LogoutType::None,
        Some(_) => {
            fields.error_at("logoutType", "must be BACK_CHANNEL, FRONT_CHANNEL or NONE");
            LogoutType::None
        }
    }
}

fn logout_urls(fields: &mut Fields<'_, '_>) -> Vec<String> {
    let urls: Vec<String> = fields
        .text("logoutUrl")
        .iter()
        .flat_map(|list| list.split(','))
        .map(|url| url.trim().to_owned())
        .filter(|url| !url.is_empty())
        .collect();
    if !urls.iter().all(|url| reader::is_web_url(url)) {
        fields.error_at(
            "logoutUrl",
            "must be http or https URLs, separated by commas",
        );
    }
    urls
}

#[cfg(test)]
mod tests;
