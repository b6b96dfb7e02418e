//! The accounts that users sign in with, from a TOML file or from `cluster.json`.
//!
//! Promises: no password in a message or in `Debug`. Does not: make accounts on a server.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::scenario::read_small;
use crate::cas::validation::Attributes;

const FILE_MAX: u64 = 16 << 20;
const ACCOUNTS_MAX: usize = 100_000;

/// One account.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// User name to sign in with.
    pub user: String,
    /// Its password.
    password: String,
    /// What applications must learn as the user; `user` when absent.
    #[serde(default)]
    pub principal: Option<String>,
    /// Attributes that must be released with exactly these values; others are not looked at.
    #[serde(default)]
    pub attributes: BTreeMap<String, Vec<String>>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    account: Vec<Account>,
}

impl Account {
    /// An account of which nothing but name and password is known.
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            principal: None,
            attributes: BTreeMap::new(),
        }
    }

    /// The password, or one that is wrong.
    pub fn password(&self, wrong: bool) -> String {
        if wrong {
            format!("{}-but-wrong", self.password)
        } else {
            self.password.clone()
        }
    }

    /// What applications must learn as the user.
    pub fn principal(&self) -> &str {
        self.principal.as_deref().unwrap_or(&self.user)
    }

    /// The first attribute that was not released as it must be.
    pub fn missing<'a>(&'a self, released: &Attributes) -> Option<&'a str> {
        let wrong = |(name, values): &(&'a String, &'a Vec<String>)| {
            let got = released.iter().filter(|(key, _)| key == *name);
            let mut got: Vec<&String> = got.map(|(_, value)| value).collect();
            let mut wanted: Vec<&String> = values.iter().collect();
            got.sort();
            wanted.sort();
            got != wanted
        };
        self.attributes
            .iter()
            .find(wrong)
            .map(|(name, _)| name.as_str())
    }
}

/// Reads the accounts of `file`.
///
/// # Errors
/// When it cannot be read, is no such TOML, or holds no account; no password is told.
pub fn read(file: &Path) -> anyhow::Result<Vec<Account>> {
    let text = read_small(file, FILE_MAX)?;
    parse(&text).with_context(|| format!("in {}", file.display()))
}

fn parse(text: &str) -> anyhow::Result<Vec<Account>> {
    // The error of the TOML reader shows the line, and a password may stand there.
    let document: Document = toml::from_str(text).map_err(|error| {
        let before = error
            .span()
            .map_or("", |span| text.get(..span.start).unwrap_or(""));
        anyhow::anyhow!(
            "line {}: {}",
            before.matches('\n').count() + 1,
            error.message()
        )
    })?;
    if document.account.is_empty() || document.account.len() > ACCOUNTS_MAX {
        bail!("there must be 1 to {ACCOUNTS_MAX} [[account]] tables");
    }
    Ok(document.account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_say_what_must_be_released() {
        let accounts = parse(
            "[[account]]\nuser = 'ada'\npassword = 'secret-word'\n\
             attributes = { mail = ['a@x'], group = ['b', 'c'] }\n",
        )
        .unwrap();
        let account = &accounts[0];
        assert!(!format!("{account:?}").contains("secret-word"));
        let pairs = |list: &[(&str, &str)]| -> Attributes {
            list.iter()
                .map(|(n, v)| ((*n).into(), (*v).into()))
                .collect()
        };
        let right = [("group", "c"), ("mail", "a@x"), ("group", "b"), ("x", "y")];
        assert_eq!(account.missing(&pairs(&right)), None);
        assert_eq!(account.missing(&pairs(&right[..3][1..])), Some("group"));
        assert_eq!(account.missing(&pairs(&[("mail", "b@x")])), Some("group"));
    }

    #[test]
    fn a_mistake_names_its_line_and_no_password() {
        let text = "[[account]]\nuser = 'ada'\npassword = secret-word\n";
        let error = format!("{:#}", parse(text).unwrap_err());
        assert!(
            error.contains("line 3") && !error.contains("secret-word"),
            "{error}"
        );
        assert!(parse("account = []").is_err());
    }
}
