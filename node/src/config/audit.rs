//! `[audit]`: where the record of who did what goes.

use std::path::PathBuf;

use super::schema::{Reader, section};
use super::types::{AuditOutput, SyslogTarget};

section! {
    /// Where the record of who did what goes.
    pub struct Audit("audit") {
        /// Where audit events go.
        output: AuditOutput = "stdout", Restart;
        /// File for `audit.output = "file"`, mode 0640; opened again on SIGHUP, so that it can be
        /// rotated.
        file: Option<PathBuf> = "", Restart;
        /// Receiver for `audit.output = "syslog"`.
        syslog: SyslogTarget = "unix:/dev/log", Restart;
        /// Events that may wait for a slow receiver; more are dropped and counted, never waited for.
        queue: usize = "10000" in "100"..="1000000", Restart;
    }
}

impl Audit {
    /// Notes what does not fit together.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if self.output == AuditOutput::File && self.file.is_none() {
            reader.note_key("audit.file", "must be set when audit.output is \"file\"");
        }
    }
}
