//! Who is this?
//!
//! - [`Chain`]: the configured handlers, asked in order; the only thing other rooms call
//! - [`Authenticator`]: what a handler is
//! - [`mod@file`]: users from a TOML file
//! - [`password`]: Argon2id on a few threads of low priority
//! - [`throttle`]: slows down whoever fails, counted for the whole cluster
//!
//! A wrong password, an unknown user and a disabled account look the same from outside in text; the
//! audit knows the difference. In time they do as long as all hashes have one cost: an unknown user
//! takes what the most common cost takes, and users whose hash has another one can be told apart.

pub mod credential;
pub mod file;
pub mod password;
pub mod throttle;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use castor_proto::ticket::Principal;
use prometheus::core::Collector;
use prometheus::{IntCounterVec, Opts, Registry};

pub use credential::Credential;
pub use throttle::{Throttle, Throttled};

/// Why a handler says no. For the audit only: people are told one and the same text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The user exists, the password is another.
    WrongPassword,
    /// No handler knows the user.
    UnknownUser,
    /// The account is disabled.
    Disabled,
}

impl Rejection {
    /// The word in metrics and audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WrongPassword => "wrong_password",
            Self::UnknownUser => "unknown_user",
            Self::Disabled => "disabled",
        }
    }
}

/// What one handler says about a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is this person.
    Accepted(Principal),
    /// It is not; [`Rejection::UnknownUser`] lets the next handler be asked.
    Rejected(Rejection),
    /// Too many sign-ins wait already.
    Busy,
    /// The handler's source does not answer.
    Unavailable,
}

impl Verdict {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Rejected(rejection) => rejection.as_str(),
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What the chain says about a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is this person, says this handler.
    Accepted {
        /// The person.
        principal: Principal,
        /// The handler's name.
        handler: &'static str,
    },
    /// Nobody vouches for it.
    Rejected(Rejection),
    /// It could not be decided now: the same credential may be accepted later.
    NotNow,
}

/// A boxed future, so that handlers can be trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One source of people.
pub trait Authenticator: Send + Sync {
    /// Its name in metrics, audit and the `successfulAuthenticationHandlers` attribute.
    fn name(&self) -> &'static str;

    /// Judges a credential. Takes about the same time for a user it does not know.
    fn authenticate<'a>(&'a self, credential: &'a Credential) -> BoxFuture<'a, Verdict>;

    /// The person of a user name, without a password; `None` for who cannot sign in, and where the source
    /// does not tell.
    fn look_up(&self, _username: &str) -> Option<Principal> {
        None
    }

    /// What it measures of itself; nothing where there is nothing to measure.
    fn metrics(&self) -> Vec<Box<dyn Collector>> {
        Vec::new()
    }

    /// Shows every user name it can list, in no order; none where the source cannot tell.
    fn visit_names(&self, _visit: &mut dyn FnMut(&str)) {}
}

/// The handlers in the order in which they are asked.
pub struct Chain {
    handlers: Vec<Arc<dyn Authenticator>>,
    attempts: IntCounterVec,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.handlers.iter().map(|h| h.name()))
            .finish()
    }
}

impl Chain {
    /// A chain whose attempts are counted in `metrics`.
    ///
    /// # Errors
    /// When the metric is already registered there.
    pub fn new(
        handlers: Vec<Arc<dyn Authenticator>>,
        metrics: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let attempts = IntCounterVec::new(
            Opts::new(
                "castor_authn_attempts_total",
                "Credentials judged, by handler and outcome (accepted, wrong_password, \
                 unknown_user, disabled, busy, unavailable).",
            ),
            &["handler", "outcome"],
        )?;
        metrics.register(Box::new(attempts.clone()))?;
        for collector in handlers.iter().flat_map(|handler| handler.metrics()) {
            metrics.register(collector)?;
        }
        Ok(Self { handlers, attempts })
    }

    /// The person of a user name, as a sign-in would have it, and the handler's name.
    pub fn look_up(&self, username: &str) -> Option<(Principal, &'static str)> {
        let mut handlers = self.handlers.iter();
        handlers.find_map(|handler| Some((handler.look_up(username)?, handler.name())))
    }

    /// Asks handler after handler until one knows the user.
    pub async fn authenticate(&self, credential: &Credential) -> Decision {
        let mut undecided = false;
        for handler in &self.handlers {
            let verdict = handler.authenticate(credential).await;
            self.attempts
                .with_label_values(&[handler.name(), verdict.outcome()])
                .inc();
            match verdict {
                Verdict::Accepted(principal) => {
                    return Decision::Accepted {
                        principal,
                        handler: handler.name(),
                    };
                }
                Verdict::Rejected(Rejection::UnknownUser) => {}
                Verdict::Rejected(rejection) => return Decision::Rejected(rejection),
                Verdict::Busy | Verdict::Unavailable => undecided = true,
            }
        }
        if undecided {
            Decision::NotNow
        } else {
            Decision::Rejected(Rejection::UnknownUser)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static str, Verdict);

    impl Authenticator for Fixed {
        fn name(&self) -> &'static str {
            self.0
        }

        fn authenticate<'a>(&'a self, _: &'a Credential) -> BoxFuture<'a, Verdict> {
            Box::pin(async { self.1.clone() })
        }
    }

    async fn decide(verdicts: Vec<Verdict>) -> Decision {
        let handlers = verdicts
            .into_iter()
            .zip(["first", "second"])
            .map(|(verdict, name)| Arc::new(Fixed(name, verdict)) as Arc<dyn Authenticator>)
            .collect();
        let chain = Chain::new(handlers, &Registry::new()).unwrap();
        let credential = Credential::new("user", "password").unwrap();
        chain.authenticate(&credential).await
    }

    #[tokio::test]
    async fn the_first_handler_that_knows_the_user_decides() {
        let person = Principal {
            id: "user".into(),
            attributes: vec![],
        };
        let unknown = || Verdict::Rejected(Rejection::UnknownUser);
        let wrong = || Verdict::Rejected(Rejection::WrongPassword);
        let accepted = Decision::Accepted {
            principal: person.clone(),
            handler: "second",
        };
        let yes = || Verdict::Accepted(person.clone());
        assert_eq!(decide(vec![unknown(), yes()]).await, accepted);
        assert_eq!(
            decide(vec![wrong(), yes()]).await,
            Decision::Rejected(Rejection::WrongPassword)
        );
        assert_eq!(decide(vec![Verdict::Unavailable, yes()]).await, accepted);
        assert_eq!(
            decide(vec![Verdict::Busy, unknown()]).await,
            Decision::NotNow
        );
        assert_eq!(
            decide(vec![]).await,
            Decision::Rejected(Rejection::UnknownUser)
        );
    }
}
