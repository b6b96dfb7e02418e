//! Whose server it is: load and faults are for servers of one's own.
//!
//! Promises: nothing is sent to another machine unless somebody says that it is theirs. Does not: check that.

use std::net::ToSocketAddrs as _;

use anyhow::{Context as _, bail};
use http::Uri;

/// Refuses a target on another machine unless `mine`. Looks a name up, at most once.
///
/// # Errors
/// When the host of `url` has an address beyond loopback, or none at all.
pub fn may_load(url: &str, mine: bool) -> anyhow::Result<()> {
    let parsed: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
    let host = parsed
        .host()
        .with_context(|| format!("{url:?} has no host"))?;
    if mine {
        return Ok(());
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut found = (bare, 0)
        .to_socket_addrs()
        .with_context(|| format!("no address of {bare} can be found"))?;
    if let Some(other) = found.find(|address| !address.ip().is_loopback()) {
        bail!(
            "{url} is not on this machine ({}). Load is for servers of your own: say so with \
             --i-own-this-target",
            other.ip()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_need_a_word() {
        assert!(may_load("https://127.0.0.1:1/cas", false).is_ok());
        assert!(may_load("https://[::1]:1/cas", false).is_ok());
        let error = may_load("https://192.0.2.1/cas", false).unwrap_err();
        assert!(error.to_string().contains("--i-own-this-target"));
        assert!(may_load("https://192.0.2.1/cas", true).is_ok());
        assert!(may_load("/cas", true).is_err());
    }
}
