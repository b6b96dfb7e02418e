//! Judging credentials: the same for the login form and a REST client, with the same throttle and the same
//! record.

use castor_proto::ticket::Principal;

use super::visit::Visitor;
use crate::authn::credential::CredentialError;
use crate::authn::{Credential, Decision, Throttled};
use crate::ops::audit::Action;

/// What became of credentials.
pub(super) enum Judged {
    /// It is this person.
    Accepted {
        principal: Principal,
        /// Who says so.
        handler: &'static str,
    },
    /// Nobody vouches for them, or nobody can have them.
    Rejected,
    /// The user name or the password is missing.
    Missing,
    /// Too many sign-ins have failed: nobody has looked at the password.
    Throttled(Throttled),
    /// It could not be decided now.
    NotNow,
}

impl Visitor<'_> {
    /// Judges a user name and a password, and records the verdict.
    pub(super) async fn judge_credentials(&self, username: &str, password: &str) -> Judged {
        let credential = match Credential::new(username, password) {
            Ok(credential) => credential,
            Err(CredentialError::Missing) => return Judged::Missing,
            Err(CredentialError::TooLong | CredentialError::Malformed) => {
                self.audit(Action::AuthenticationEventTriggered, None, "password");
                self.audit(Action::AuthenticationFailed, None, "impossible credential");
                return Judged::Rejected;
            }
        };
        let username = credential.username();
        let address = self.visit.client.address;
        let attempt = match self.cas.throttle.admit(username, address) {
            Ok(attempt) => attempt,
            Err(throttled) => {
                let (by, seconds) = (throttled.by.as_str(), throttled.seconds);
                let what = format!("by {by}, for {seconds} s");
                self.audit(Action::ThrottledLoginAttempt, Some(username), what);
                return Judged::Throttled(throttled);
            }
        };
        self.audit(Action::AuthenticationEventTriggered, None, "password");
        match self.cas.authn.authenticate(&credential).await {
            Decision::Accepted { principal, handler } => {
                attempt.accepted().await;
                let what = format!("{handler}: accepted");
                self.audit(Action::AuthenticationSuccess, Some(&principal.id), what);
                Judged::Accepted { principal, handler }
            }
            Decision::Rejected(rejection) => {
                // Before the answer, so that whoever has it cannot be faster than the counter.
                attempt.failed().await;
                let what = rejection.as_str();
                self.audit(Action::AuthenticationFailed, Some(username), what);
                Judged::Rejected
            }
            Decision::NotNow => Judged::NotNow,
        }
    }
}
