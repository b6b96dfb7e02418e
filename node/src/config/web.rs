//! `[web]`: what people see.

use std::path::PathBuf;

use super::schema::section;
use super::types::{Color, Period, SameSite};

section! {
    /// What people see.
    pub struct Web("web") {
        /// Name of the house, in the title and on every page.
        title: String = "Castor", Reload;
        /// File name of a picture in `web.asset_folder`, shown above the form.
        logo: Option<String> = "", Reload;
        /// Colour of buttons and links.
        primary_color: Color = "#1f4e79", Reload;
        /// Folder whose templates replace the built-in ones of the same name; a changed file is
        /// taken by a reload.
        template_folder: Option<PathBuf> = "", Restart;
        /// Folder whose files replace the built-in assets of the same name; a changed file is taken
        /// by a reload.
        asset_folder: Option<PathBuf> = "", Restart;
        /// How long a login page can be left open before it must be loaded again.
        login_flow_lifetime: Period = "1h" in "1m"..="24h", Restart;
        /// Whether people may ask to be asked: the login form then offers `warn`, and those who tick it
        /// see a page before they are signed in to further applications.
        offer_warn: bool = "true", Reload;
    }
    sections {
        /// Cookies.
        cookie: WebCookie,
    }
}

section! {
    /// Cookies.
    pub struct WebCookie("web.cookie") {
        /// The `SameSite` attribute; `none` is needed for gateway requests from frames.
        same_site: SameSite = "none", Restart;
        /// Whether a session's cookie is good only from the address at which it was set, of IPv6 only
        /// from its first 64 bits. People whose address changes sign in again; signing out needs the
        /// cookie alone.
        pin_to_address: bool = "false", Restart;
        /// Whether a session's cookie is good only with the `User-Agent` with which it was set. People
        /// whose browser is updated sign in again; signing out needs the cookie alone.
        pin_to_user_agent: bool = "false", Restart;
    }
}
