//! `[outbound]`: requests that this node sends to applications.

use std::fmt;
use std::path::{Path, PathBuf};

use super::schema::{Reader, section};
use super::types::{Cidr, HostPort, Period};
use super::value::{ListItem, Mismatch, Value, from_string};

section! {
    /// Requests that the node itself sends to applications: the news of a logout, and
    /// proxy-granting tickets.
    pub struct Outbound("outbound") {
        /// PEM file with certificate authorities that applications' certificates may come from,
        /// beside those that the system trusts.
        ca_file: Option<PathBuf> = "", Reload;
        /// HTTP proxy through which applications are reached. It is then the proxy that finds the
        /// address of a host name, and the proxy's rules that decide which addresses it calls.
        proxy: Option<ProxyUrl> = "", Reload;
        /// Hosts that are reached without the proxy: a name, a name with a leading dot for all
        /// names below it, or an address.
        no_proxy: Vec<HostSuffix> = "", Reload;
        /// Private networks in which any registered application may be called. Elsewhere in private,
        /// loopback and link-local networks only applications are called whose definition names
        /// their host, so that a definition for everything does not open the inside of a network.
        private_networks: Vec<Cidr> = "", Reload;
        /// Time for finding the address, and once more for connecting to it, TLS included.
        connect_timeout: Period = "3s" in "100ms"..="1m", Reload;
        /// Time for one request from beginning to end, waiting for its turn included.
        timeout: Period = "5s" in "500ms"..="2m", Reload;
        /// Requests at one time; more wait for their turn.
        max_concurrent: usize = "64" in "1"..="1000", Restart;
        /// Requests to one host at one time.
        max_per_host: usize = "8" in "1"..="1000", Restart;
    }
}

impl Outbound {
    /// Notes what does not fit together.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if self.proxy.is_none() && !self.no_proxy.is_empty() {
            reader.note_key("outbound.no_proxy", "has no meaning without outbound.proxy");
        }
    }
}

/// Address of an HTTP proxy, such as `http://proxy.example.org:3128`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyUrl(pub HostPort);

impl Value for ProxyUrl {
    const EXPECTED: &'static str = "a proxy such as \"http://proxy.example.org:3128\"";

    fn from_toml(value: &toml::Value, base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            let rest = text.strip_prefix("http://").ok_or_else(Mismatch::default)?;
            if rest.contains('@') {
                return Err(Mismatch::because(
                    "a proxy with a password is not supported",
                ));
            }
            let place = rest.strip_suffix('/').unwrap_or(rest);
            HostPort::from_toml(&toml::Value::String(place.to_owned()), base).map(Self)
        })
    }
}

/// A host name, or all names below one when it begins with a dot; in small letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSuffix(String);

impl HostSuffix {
    /// Whether a host, in small letters, is meant.
    pub fn covers(&self, host: &str) -> bool {
        match self.0.strip_prefix('.') {
            Some(parent) => host == parent || host.ends_with(&self.0),
            None => host == self.0,
        }
    }
}

impl fmt::Display for HostSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value for HostSuffix {
    const EXPECTED: &'static str = "a host such as \"app.example.org\" or \".example.org\"";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            let name = text.strip_prefix('.').unwrap_or(text);
            let valid = (1..=253).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':'));
            valid
                .then(|| Self(text.to_ascii_lowercase()))
                .ok_or_else(Mismatch::default)
        })
    }
}

impl ListItem for HostSuffix {
    const EXPECTED_LIST: &'static str = "a list such as [\"app.example.org\", \".intern.example\"]";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Value>(text: &str) -> Option<T> {
        T::from_toml(&toml::Value::String(text.to_owned()), Path::new("")).ok()
    }

    #[test]
    fn proxies_and_hosts_are_read_as_people_write_them() {
        for good in [
            "http://p.example:3128",
            "http://p.example:3128/",
            "http://[::1]:8080",
        ] {
            assert!(read::<ProxyUrl>(good).is_some(), "{good}");
        }
        for bad in [
            "p:3128",
            "https://p:3128",
            "http://u:p@p:3128",
            "http://p",
            "http://p:1/x",
        ] {
            assert!(read::<ProxyUrl>(bad).is_none(), "{bad}");
        }
        let all: HostSuffix = read(".Intern.example").unwrap();
        assert!(all.covers("a.intern.example") && all.covers("intern.example"));
        assert!(!all.covers("notintern.example"));
        let one: HostSuffix = read("app.example").unwrap();
        assert!(one.covers("app.example") && !one.covers("x.app.example"));
        assert!(read::<HostSuffix>("a b").is_none() && read::<HostSuffix>("").is_none());
    }
}
