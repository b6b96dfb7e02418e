//! What a person types in, within bounds.

use std::fmt;

use zeroize::Zeroizing;

/// Longest user name, in bytes.
pub const USERNAME_MAX: usize = 256;
/// Longest password, in bytes.
pub const PASSWORD_MAX: usize = 1024;

/// A user name and a password; the password is wiped from memory when dropped.
#[derive(Clone)]
pub struct Credential {
    username: String,
    password: Zeroizing<String>,
}

/// Why a credential is not even tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The user name or the password is empty.
    #[error("user name and password are required")]
    Missing,
    /// Longer than any real one.
    #[error("user name or password is too long")]
    TooLong,
    /// Control characters in the user name.
    #[error("the user name has characters that cannot be in a user name")]
    Malformed,
}

impl Credential {
    /// Takes what was typed; blanks around the user name are dropped, as telephones add them.
    ///
    /// # Errors
    /// Empty, too long, or with control characters in the user name.
    pub fn new(username: &str, password: &str) -> Result<Self, CredentialError> {
        let username = username.trim();
        if username.is_empty() || password.is_empty() {
            return Err(CredentialError::Missing);
        }
        if username.len() > USERNAME_MAX || password.len() > PASSWORD_MAX {
            return Err(CredentialError::TooLong);
        }
        if username.chars().any(char::is_control) {
            return Err(CredentialError::Malformed);
        }
        Ok(Self {
            username: username.to_owned(),
            password: Zeroizing::new(password.to_owned()),
        })
    }

    /// The user name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password, for handlers only.
    pub(super) fn password(&self) -> &Zeroizing<String> {
        &self.password
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_debug() {
        assert_eq!(Credential::new(" mlee7 ", "x").unwrap().username(), "mlee7");
        for (username, password, error) in [
            ("", "x", CredentialError::Missing),
            ("  ", "x", CredentialError::Missing),
            ("a", "", CredentialError::Missing),
            (&*"a".repeat(257), "x", CredentialError::TooLong),
            ("a", &*"x".repeat(1025), CredentialError::TooLong),
            ("a\0b", "x", CredentialError::Malformed),
        ] {
            assert_eq!(Credential::new(username, password).unwrap_err(), error);
        }
        let shown = format!("{:?}", Credential::new("mlee7", "secret").unwrap());
        assert!(
            !shown.contains("secret") && !shown.contains("mlee7"),
            "{shown}"
        );
    }
}
