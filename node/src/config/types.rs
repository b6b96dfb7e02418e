//! Types of configuration values that have a grammar of their own.
//!
//! Each parses totally and prints back what it was read from. What values mean together is checked
//! by the sections.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use castor_proto::ids::NodeName;

use super::value::{ListItem, Mismatch, Value, from_string};

/// A span of time, written as `"500ms"`, `"10s"`, `"90m"`, `"8h"` or `"14d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl Period {
    /// The span as milliseconds.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl std::ops::Deref for Period {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl Value for Period {
    const EXPECTED: &'static str = "a duration such as \"500ms\", \"10s\" or \"8h\"";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            let (number, unit) = number_and_unit(text).ok_or_else(Mismatch::default)?;
            let ms_per_unit = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(Mismatch::because("the units are ms, s, m, h and d")),
            };
            number
                .checked_mul(ms_per_unit)
                .map(|ms| Self(Duration::from_millis(ms)))
                .ok_or_else(|| Mismatch::because("too long"))
        })
    }

    fn magnitude(&self) -> Option<u128> {
        Some(self.0.as_millis())
    }
}

/// A number of bytes, written as `"512B"`, `"64KiB"`, `"1MiB"` or `"2GiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

impl Value for ByteSize {
    const EXPECTED: &'static str = "a size such as \"64KiB\" or \"1MiB\"";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            let (number, unit) = number_and_unit(text).ok_or_else(Mismatch::default)?;
            let bytes_per_unit: u64 = match unit {
                "B" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                _ => return Err(Mismatch::because("the units are B, KiB, MiB and GiB")),
            };
            number
                .checked_mul(bytes_per_unit)
                .and_then(|bytes| usize::try_from(bytes).ok())
                .map(Self)
                .ok_or_else(|| Mismatch::because("too large"))
        })
    }

    fn magnitude(&self) -> Option<u128> {
        Some(self.0 as u128)
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

/// Where a listener is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Value for Listen {
    const EXPECTED: &'static str =
        "an address such as \"127.0.0.1:8443\", \"[::1]:8443\" or \"unix:/run/castor/http.sock\"";

    fn from_toml(value: &toml::Value, base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| match text.strip_prefix("unix:") {
            Some("") => Err(Mismatch::default()),
            Some(path) => Ok(Self::Unix(base.join(path))),
            None => text.parse().map(Self::Tcp).map_err(|_| Mismatch::default()),
        })
    }
}

impl Value for SocketAddr {
    const EXPECTED: &'static str = "an address and port such as \"192.0.2.10:8445\"";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| text.parse().map_err(|_| Mismatch::default()))
    }
}

/// A host name or address, and a port; names are looked up each time a connection is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Name or address, without brackets.
    pub host: String,
    /// Port, 1 to 65535.
    pub port: u16,
}

impl HostPort {
    /// The address, when the host is one and no look-up is needed.
    pub fn address(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Value for HostPort {
    const EXPECTED: &'static str = "a host and port such as \"sso1.example.org:8445\"";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            let (host, port) = text.rsplit_once(':').ok_or_else(Mismatch::default)?;
            let port: u16 = port.parse().map_err(|_| Mismatch::default())?;
            let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
            let valid = match bracketed {
                Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
                None => is_host_name(host),
            };
            if !valid || port == 0 {
                return Err(Mismatch::default());
            }
            Ok(Self {
                host: bracketed.unwrap_or(host).to_owned(),
                port,
            })
        })
    }
}

fn is_host_name(host: &str) -> bool {
    (1..=253).contains(&host.len())
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

impl ListItem for HostPort {
    const EXPECTED_LIST: &'static str = "a list such as [\"sso1.example.org:8445\"]";
}

/// A range of addresses, written as `10.0.0.0/8`; a bare address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Whether `address` is in the range; an IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                let key = |bits: u32| bits.checked_shr(shift).unwrap_or(0);
                key(network.to_bits()) == key(address.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                let key = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
                key(network.to_bits()) == key(address.to_bits())
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl Value for Cidr {
    const EXPECTED: &'static str = "an address range such as \"10.0.0.0/8\"";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            let (address, prefix) = match text.split_once('/') {
                Some((address, prefix)) => (address, Some(prefix)),
                None => (text, None),
            };
            let network: IpAddr = address.parse().map_err(|_| Mismatch::default())?;
            let longest = if network.is_ipv4() { 32 } else { 128 };
            let prefix = match prefix {
                Some(digits) => digits.parse().map_err(|_| Mismatch::default())?,
                None => longest,
            };
            if prefix > longest {
                return Err(Mismatch::because(format!(
                    "the part after / is 0 to {longest}"
                )));
            }
            Ok(Self { network, prefix })
        })
    }
}

impl ListItem for Cidr {
    const EXPECTED_LIST: &'static str = "a list such as [\"10.0.0.0/8\", \"192.0.2.7\"]";
}

/// Declares a value that is one of a few words.
macro_rules! words {
    ($(#[doc = $doc:literal])+ pub enum $Name:ident expected $expected:literal {
        $($(#[doc = $vdoc:literal])+ $Variant:ident = $word:literal,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name { $($(#[doc = $vdoc])+ $Variant,)+ }

        impl $Name {
            /// The word in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$Variant => $word,)+ }
            }
        }

        impl Value for $Name {
            const EXPECTED: &'static str = $expected;

            fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
                from_string(value, |text| match text {
                    $($word => Ok(Self::$Variant),)+
                    _ => Err(Mismatch::default()),
                })
            }
        }
    };
}

words! {
    /// The `SameSite` attribute of Castor's cookies.
    pub enum SameSite expected "one of \"none\", \"lax\", \"strict\"" {
        /// Sent with every request, also from a frame in another site.
        None = "none",
        /// Sent when a person follows a link from another site.
        Lax = "lax",
        /// Sent only from Castor's own pages.
        Strict = "strict",
    }
}

words! {
    /// What happens when a person who has as many sessions as they may signs in.
    pub enum AtUserLimit expected "one of \"end_oldest\", \"refuse\"" {
        /// The session that began first ends.
        EndOldest = "end_oldest",
        /// The sign-in is refused.
        Refuse = "refuse",
    }
}

words! {
    /// Where audit events go.
    pub enum AuditOutput expected "one of \"stdout\", \"file\", \"syslog\"" {
        /// One JSON object per line on standard output.
        Stdout = "stdout",
        /// One JSON object per line in `audit.file`.
        File = "file",
        /// RFC 5424 messages to `audit.syslog`.
        Syslog = "syslog",
    }
}

words! {
    /// How log lines look.
    pub enum LogFormat expected "one of \"json\", \"text\"" {
        /// One JSON object per line.
        Json = "json",
        /// For people.
        Text = "text",
    }
}

/// Where syslog listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTarget {
    /// Datagrams to an address.
    Udp(SocketAddr),
    /// Datagrams to a Unix socket.
    Unix(PathBuf),
}

impl Value for SyslogTarget {
    const EXPECTED: &'static str =
        "a syslog address such as \"unix:/dev/log\" or \"udp:192.0.2.9:514\"";

    fn from_toml(value: &toml::Value, base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(base.join(path))),
            Some(("udp", address)) => address
                .parse()
                .map(Self::Udp)
                .map_err(|_| Mismatch::default()),
            _ => Err(Mismatch::default()),
        })
    }
}

/// Which log lines are written: a level, or `target=level` pairs separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel(pub String);

impl Value for LogLevel {
    const EXPECTED: &'static str =
        "a level (error, warn, info, debug, trace) or a filter such as \"info,castor_node=debug\"";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            // Targets are paths of modules; the filter's own parser cuts other letters in two.
            if !text.is_ascii() {
                return Err(Mismatch::default());
            }
            let known = ["off", "error", "warn", "info", "debug", "trace"];
            // A bare unknown word would be taken for a target by the filter's own parser.
            let plausible = text
                .split(',')
                .all(|part| known.contains(&part.trim()) || part.contains('='));
            let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
            match (plausible, parsed) {
                (true, Ok(_)) => Ok(Self(text.to_owned())),
                (_, Err(error)) => Err(Mismatch::because(error.to_string())),
                (false, Ok(_)) => Err(Mismatch::default()),
            }
        })
    }
}

/// A colour as `#rrggbb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Color(pub String);

impl Value for Color {
    const EXPECTED: &'static str = "a colour such as \"#1f4e79\"";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| match text.strip_prefix('#') {
            Some(hex) if hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Ok(Self(text.to_ascii_lowercase()))
            }
            _ => Err(Mismatch::default()),
        })
    }
}

/// The name of a request header, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderField(pub http::HeaderName);

impl Value for HeaderField {
    const EXPECTED: &'static str = "a header name such as \"Castor-Request-Id\"";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            http::HeaderName::try_from(text)
                .map(Self)
                .map_err(|_| Mismatch::default())
        })
    }
}

/// The path below which the CAS endpoints are, such as `/cas`; begins with a slash, ends without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix(pub String);

impl Value for PathPrefix {
    const EXPECTED: &'static str = "a path such as \"/cas\"";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            let segments = text.strip_prefix('/').ok_or_else(Mismatch::default)?;
            let valid = segments.split('/').all(|segment| {
                !segment.is_empty()
                    && segment
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            });
            if valid && text.len() <= 128 {
                Ok(Self(text.to_owned()))
            } else {
                Err(Mismatch::because(
                    "letters, digits, - and _ between slashes",
                ))
            }
        })
    }
}

/// The address people see, such as `https://sso.example.org/cas`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(pub String);

impl PublicUrl {
    /// The path, without a trailing slash.
    pub fn path(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').map_or("", |at| &rest[at..])
    }
}

impl Value for PublicUrl {
    const EXPECTED: &'static str = "a URL such as \"https://sso.example.org/cas\"";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            let uri: http::Uri = text.parse().map_err(|_| Mismatch::default())?;
            let scheme = uri.scheme_str().unwrap_or_default();
            let plain = text.len() <= 1024 && uri.query().is_none() && !text.contains(['@', '#']);
            if uri.host().is_none() || !plain {
                return Err(Mismatch::default());
            }
            match scheme {
                "https" => {}
                "http" => return Err(Mismatch::because("people reach it over https")),
                _ => return Err(Mismatch::default()),
            }
            Ok(Self(text.trim_end_matches('/').to_owned()))
        })
    }
}

impl Value for NodeName {
    const EXPECTED: &'static str = "a name of 1 to 32 characters from a-z, 0-9 and -";

    fn from_toml(value: &toml::Value, _base: &Path) -> Result<Self, Mismatch> {
        from_string(value, |text| {
            Self::parse(text).map_err(|_| Mismatch::default())
        })
    }
}
