//! How a validation ended, before any format.

use crate::tickets::Refusal;

/// The codes of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A parameter is missing, repeated or unreadable.
    InvalidRequest,
    /// The ticket is unknown, expired, used, of another kind, or not from a new login.
    InvalidTicket,
    /// The ticket was issued for another service.
    InvalidService,
    /// The service is not registered, or not for this person.
    UnauthorizedService,
    /// The application may not act for people.
    UnauthorizedServiceProxy,
    /// The URL for the proxy-granting ticket is malformed or did not take it.
    InvalidProxyCallback,
    /// The server cannot tell now.
    InternalError,
}

impl Code {
    /// The code as sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::InvalidTicket => "INVALID_TICKET",
            Self::InvalidService => "INVALID_SERVICE",
            Self::UnauthorizedService => "UNAUTHORIZED_SERVICE",
            Self::UnauthorizedServiceProxy => "UNAUTHORIZED_SERVICE_PROXY",
            Self::InvalidProxyCallback => "INVALID_PROXY_CALLBACK",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }
}

/// Facts about the authentication that applications are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationFacts {
    /// When credentials were accepted, as an ISO 8601 time in UTC with milliseconds.
    pub date: String,
    /// Whether the session is a remembered one.
    pub long_term: bool,
    /// Whether the ticket was granted directly on credentials.
    pub new_login: bool,
}

/// A ticket that was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success {
    /// The user name.
    pub user: String,
    /// Released attributes, in order.
    pub attributes: Vec<(String, Vec<String>)>,
    /// Facts about the authentication, if they may be told.
    pub facts: Option<AuthenticationFacts>,
    /// When credentials were accepted; SAML tells it always.
    pub authenticated_at: String,
    /// The identifier under which a proxy-granting ticket was delivered.
    pub pgt_iou: Option<String>,
    /// The proxies passed through, newest first.
    pub proxies: Vec<String>,
}

/// A ticket that was refused; the text is never blank, because clients decide by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of refusal.
    pub code: Code,
    /// For people.
    pub text: String,
}

/// How a validation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The ticket was good.
    Success(Box<Success>),
    /// It was not.
    Failure(Failure),
}

impl Outcome {
    fn failure(code: Code, text: impl Into<String>) -> Self {
        Self::Failure(Failure {
            code,
            text: text.into(),
        })
    }

    /// Parameters are missing.
    pub fn missing_parameters() -> Self {
        let text = "'service' and 'ticket' parameters are both required";
        Self::failure(Code::InvalidRequest, text)
    }

    /// No service in a SAML validation.
    pub fn missing_target() -> Self {
        Self::failure(Code::InvalidRequest, "The parameter 'TARGET' is required")
    }

    /// Parameters cannot be read.
    pub fn bad_request(says: impl std::fmt::Display) -> Self {
        Self::failure(
            Code::InvalidRequest,
            format!("The request is malformed: {says}"),
        )
    }

    /// The ticket is not good. What was sent is repeated, cut, so that people find it in logs.
    pub fn not_recognized(ticket: &str) -> Self {
        let shown: String = ticket.chars().take(64).collect();
        let text = format!("Ticket '{shown}' not recognized");
        Self::failure(Code::InvalidTicket, text)
    }

    /// Why the ticket is refused, in the words of the protocol.
    pub fn refused(ticket: &str, refusal: Refusal) -> Self {
        match refusal {
            // Nobody learns from the text whether a made-up id ever existed.
            Refusal::Unknown | Refusal::Used | Refusal::Expired | Refusal::SessionEnded => {
                Self::not_recognized(ticket)
            }
        }
    }

    /// A ticket of a kind that this endpoint does not validate.
    pub fn wrong_kind(ticket: &str) -> Self {
        let shown: String = ticket.chars().take(64).collect();
        let text = format!(
            "Ticket '{shown}' cannot be validated here; a proxy ticket is at /proxyValidate"
        );
        Self::failure(Code::InvalidTicket, text)
    }

    /// The application demanded fresh credentials.
    pub fn not_from_new_login(ticket: &str) -> Self {
        let shown: String = ticket.chars().take(64).collect();
        let text = format!("Ticket '{shown}' was not issued on presentation of credentials");
        Self::failure(Code::InvalidTicket, text)
    }

    /// The ticket was issued for another service; it is used up.
    pub fn other_service() -> Self {
        let text = "The ticket was issued for another service than the one supplied";
        Self::failure(Code::InvalidService, text)
    }

    /// The service is not registered, or not for this person.
    pub fn unauthorized() -> Self {
        Self::failure(
            Code::UnauthorizedService,
            "The service is not authorized to use CAS",
        )
    }

    /// The URL for the proxy-granting ticket did not take it; the ticket is used up.
    pub fn invalid_proxy_callback() -> Self {
        Self::failure(
            Code::InvalidProxyCallback,
            "The proxy callback URL could not be reached over verified TLS, or did not accept",
        )
    }

    /// The URL for the proxy-granting ticket could be read in two ways; the ticket is used up.
    pub fn malformed_proxy_callback() -> Self {
        Self::failure(
            Code::InvalidProxyCallback,
            "The proxy callback URL is malformed, or has `.` or `..` in its path",
        )
    }

    /// It cannot be decided now.
    pub fn undecided() -> Self {
        Self::failure(
            Code::InternalError,
            "The ticket cannot be validated at the moment; try again",
        )
    }
}

/// How a request for a proxy ticket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyOutcome {
    /// The proxy ticket.
    Success(String),
    /// There is none.
    Failure(Failure),
}

impl ProxyOutcome {
    fn failure(code: Code, text: impl Into<String>) -> Self {
        Self::Failure(Failure {
            code,
            text: text.into(),
        })
    }

    /// The code of a refusal.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Success(_) => None,
            Self::Failure(failure) => Some(failure.code),
        }
    }

    /// Parameters are missing.
    pub fn missing_parameters() -> Self {
        let text = "'pgt' and 'targetService' parameters are both required";
        Self::failure(Code::InvalidRequest, text)
    }

    /// Parameters cannot be read.
    pub fn bad_request(says: impl std::fmt::Display) -> Self {
        let text = format!("The request is malformed: {says}");
        Self::failure(Code::InvalidRequest, text)
    }

    /// No such proxy-granting ticket. What was sent is not repeated: it may be a credential.
    pub fn not_recognized() -> Self {
        Self::failure(
            Code::InvalidTicket,
            "The proxy-granting ticket is not recognized",
        )
    }

    /// The application may not act for people.
    pub fn may_not_proxy() -> Self {
        Self::failure(
            Code::UnauthorizedServiceProxy,
            "The application is not authorized to proxy",
        )
    }

    /// The target is not registered, or not for this person.
    pub fn unauthorized() -> Self {
        Self::failure(
            Code::UnauthorizedService,
            "The target service is not authorized to use CAS",
        )
    }

    /// It cannot be decided now.
    pub fn undecided() -> Self {
        Self::failure(
            Code::InternalError,
            "No proxy ticket can be issued at the moment; try again",
        )
    }
}
