//! `[logout]`: what happens after signing out.

use super::schema::{Reader, section};

section! {
    /// What happens after signing out.
    pub struct Logout("logout") {
        /// Whether `/logout?service=…` sends the browser back to a registered service.
        follow_service_redirects: bool = "false", Reload;
        /// Where the browser goes after signing out, when it does not go to a service.
        redirect_url: Option<String> = "", Reload;
        /// Whether to ask before signing out.
        confirm: bool = "false", Reload;
        /// Whether visited applications are told that a session has ended, as their definitions say
        /// (`logoutType`, `logoutUrl`).
        tell_applications: bool = "true", Reload;
        /// How often an application that could not be told is called again: after 1, 5, 25 and 125
        /// seconds.
        retries: u8 = "3" in "0"..="4", Reload;
        /// Whether applications are also told of sessions that expire: within seconds of their
        /// longest life, ten minutes after the longest pause. Must be the same on every node.
        on_expiry: bool = "false", Restart;
    }
}

impl Logout {
    /// Notes what does not fit together.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        let is_web = |url: &str| {
            let uri = url.parse::<http::Uri>();
            uri.is_ok_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
            })
        };
        if self.redirect_url.as_deref().is_some_and(|url| !is_web(url)) {
            reader.note_key(
                "logout.redirect_url",
                "expected an address such as \"https://www.example.org/\"",
            );
        }
    }
}
