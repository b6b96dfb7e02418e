//! `[logout]`: what happens after signing out.

use super::schema::section;

section! {
    /// What happens after signing out.
    pub struct Logout("logout") {
        /// Whether `/logout?service=…` sends the browser back to a registered service.
        follow_service_redirects: bool = "false", Restart;
    }
}
