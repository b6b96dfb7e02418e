//! `[services]`: which applications may ask.

use std::path::PathBuf;

use super::schema::section;

section! {
    /// Which applications may ask, and what they learn.
    pub struct Services("services") {
        /// Folder with Apereo JSON service definitions; changed files are taken by a reload.
        folder: PathBuf = "/etc/castor/services", Restart;
    }
}
