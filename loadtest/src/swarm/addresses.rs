//! Where connections come from.
//!
//! Promises: a range is small enough to be meant. Does not: make addresses; all of 127.0.0.0/8 are there on
//! Linux.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// Most addresses in a range.
const COUNT_MAX: u32 = 65_536;

/// A range of IPv4 addresses, or the system's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// The system's choice.
    Any,
    /// From the first to the last, both included.
    Range(Ipv4Addr, Ipv4Addr),
}

impl Addresses {
    /// The address of user or application `index`, counted round.
    pub fn at(self, index: u32) -> Option<IpAddr> {
        match self {
            Self::Any => None,
            Self::Range(first, last) => {
                let (first, last) = (u32::from(first), u32::from(last));
                let count = last.saturating_sub(first).saturating_add(1);
                Some(Ipv4Addr::from(first + index % count).into())
            }
        }
    }

    /// Whether an address of this range is one of the other's too.
    pub fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::Range(a, b), Self::Range(c, d)) => a <= d && c <= b,
            _ => true,
        }
    }
}

impl FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let read = |part: &str| {
            part.trim()
                .parse::<Ipv4Addr>()
                .map_err(|_| format!("{part:?} is no IPv4 address; write FIRST-LAST, or any"))
        };
        let (first, last) = (read(first)?, read(last)?);
        if first > last || u32::from(last) - u32::from(first) >= COUNT_MAX {
            return Err(format!(
                "a range rises and has at most {COUNT_MAX} addresses"
            ));
        }
        Ok(Self::Range(first, last))
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Range(first, last) => write!(f, "{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_counted_round() {
        let range: Addresses = "127.0.0.2-127.0.0.4".parse().unwrap();
        let at = |index| range.at(index).unwrap().to_string();
        assert_eq!(
            [at(0), at(2), at(3)],
            ["127.0.0.2", "127.0.0.4", "127.0.0.2"]
        );
        assert!(range.meets("127.0.0.4".parse().unwrap()));
        assert!(!range.meets("127.0.0.5-127.0.0.9".parse().unwrap()));
        assert_eq!("any".parse::<Addresses>().unwrap().at(1), None);
        for wrong in ["127.0.0.9-127.0.0.1", "0.0.0.0-255.255.255.255", "::1", ""] {
            assert!(wrong.parse::<Addresses>().is_err(), "{wrong}");
        }
    }
}
