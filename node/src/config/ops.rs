//! `[ops]`: the listeners for operators.

use std::path::PathBuf;

use super::schema::{Reader, section};
use super::types::{Cidr, Listen};
use super::value::Secret;

section! {
    /// The listeners for operators: health, metrics and the administration socket.
    pub struct Ops("ops") {
        /// Where `/live`, `/ready`, `/started`, `/metrics`, `/status` and the actuator endpoints are
        /// served. Without a token they are read only and without personal data; they are plain text.
        listen: Listen = "127.0.0.1:8444", Restart;
        /// Addresses beside loopback that may ask the operations listener; others get 403.
        allow: Vec<Cidr> = "", Reload;
        /// Bearer token that opens the administration API and the guarded actuator endpoints on the
        /// operations listener; unset, only the administration socket has them. Needs a local `ops.listen`, because the token would
        /// cross the network in plain text.
        token: Option<Secret> = "", Restart;
        /// Unix socket of the administration API, mode 0660.
        admin_socket: PathBuf = "/run/castor/admin.sock", Restart;
        /// Group that may use the administration socket; unset, the group of the service.
        admin_group: Option<String> = "", Restart;
    }
}

impl Ops {
    /// Notes what does not fit together.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if self.token.is_some() && !self.listen.is_local() {
            reader.note_key(
                "ops.listen",
                &format!(
                    "{} would carry ops.token in plain text; listen on 127.0.0.1 or a Unix \
                     socket, or remove the token and use {}",
                    self.listen,
                    self.admin_socket.display()
                ),
            );
        }
    }
}
