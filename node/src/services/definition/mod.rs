//! One registered service, read from a JSON definition as Apereo CAS writes it.
//!
//! Existing definitions work unchanged or are refused loudly: a setting that would change who gets
//! in or what is released, and that Castor does not support, is an error with line and key; a
//! setting that only changes how something looks, or that no longer has a meaning, is a warning.
//! Nothing here touches files.

mod policy;
mod proxy;
mod reader;

use super::json;
use super::pattern::{Extent, Pattern, TooHard};
use reader::{Fields, Unknown};

pub use policy::{
    AccessStrategy, AttributeRelease, PrincipalRelease, RESERVED_NAMES, Requirement, UsernameCase,
};
pub use proxy::ProxyPolicy;
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
}

/// A registered service.
#[derive(Debug, Clone)]
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
    /// Lifetime of its service tickets in seconds, 1..=300.
    pub st_seconds: Option<u32>,
    /// Lifetime of proxy tickets for it in seconds, 1..=300.
    pub pt_seconds: Option<u32>,
    /// Which of its URLs may receive a proxy-granting ticket.
    pub proxy_policy: ProxyPolicy,
    /// What is released.
    pub release: AttributeRelease,
    /// Who gets in.
    pub access: AccessStrategy,
    /// How the user name is written.
    pub username_case: UsernameCase,
    matcher: Matcher,
}

const CLASSES: [&str; 2] = [
    "org.apereo.cas.services.CasRegisteredService",
    "org.apereo.cas.services.RegexRegisteredService",
];

/// Settings that change neither who gets in nor what is released.
const HARMLESS: [&str; 15] = [
    "contacts",
    "properties",
    "theme",
    "locale",
    "templateName",
    "tags",
    "supportedProtocols",
    "passwordlessPolicy",
    "surrogatePolicy",
    "acceptableUsagePolicy",
    "webflowInterruptPolicy",
    "publicKey",
    "requiredHandlers",
    "proxyGrantingTicketExpirationPolicy",
    "logoutRequestParameter",
];

/// Settings that must not be ignored, each with what to do instead.
const REFUSED: [(&str, &str); 3] = [
    (
        "singleSignOnParticipationPolicy",
        "use accessStrategy.ssoEnabled=false to ask for credentials every time",
    ),
    (
        "ticketGrantingTicketExpirationPolicy",
        "session lifetimes are set for the cluster in [tickets.tgt]",
    ),
    (
        "environments",
        "keep one folder of definitions per environment",
    ),
];

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
        let known = fields
            .class()
            .is_some_and(|class| CLASSES.contains(&class.as_str()));
        if !known {
            let class = fields.class().unwrap_or_else(|| "missing".to_owned());
            fields.error_at(
                "@class",
                &format!(
                    "is {class}; supported are CasRegisteredService and RegexRegisteredService \
                     in org.apereo.cas.services"
                ),
            );
            fields.abandon();
            return None;
        }
        let service = Self::from_fields(&mut fields);
        fields.finish(Unknown::Warn);
        service.filter(|_| report.errors.is_empty())
    }

    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        for (key, remedy) in REFUSED {
            fields.refuse_if_set(key, remedy);
        }
        policy::check_multifactor(fields);
        policy::check_authentication(fields);
        policy::check_definition_expiry(fields);
        fields.ignore(&HARMLESS);
        let id = fields.required_number("id");
        let name = fields.required_text("name", 255);
        let service_id = fields.required_text("serviceId", super::pattern::PATTERN_MAX);
        let matcher = matcher(fields, service_id.as_deref());
        let proxy_policy = proxy::read(fields, service_id.as_deref().unwrap_or_default());
        let service = Self {
            id: id.unwrap_or_default(),
            name: name.unwrap_or_default(),
            service_id: service_id.unwrap_or_default(),
            evaluation_order: fields.order(),
            description: fields.text("description"),
            logo: fields.text("logo"),
            information_url: fields.web_url("informationUrl"),
            privacy_url: fields.web_url("privacyUrl"),
            response_type: response_type(fields),
            redirect_url: fields.text("redirectUrl"),
            logout_type: logout_type(fields),
            logout_urls: logout_urls(fields),
            st_seconds: policy::seconds(fields, "serviceTicketExpirationPolicy"),
            pt_seconds: policy::seconds(fields, "proxyTicketExpirationPolicy"),
            proxy_policy,
            release: policy::release(fields),
            access: policy::access(fields),
            username_case: policy::username(fields),
            matcher: matcher?,
        };
        if id.is_some_and(|id| id < 0) {
            fields.error_at("id", "must be a number from 0 upwards");
        }
        Some(service)
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
        }
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
                return Some(Matcher::Literal { ignore_case });
            }
            other => strategy.unsupported_class(other),
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
