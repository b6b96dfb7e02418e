//! `[authn.*]`: how people prove who they are.

use std::path::PathBuf;

use super::schema::{Reader, section};
use super::types::{Cidr, Period};

section! {
    /// How people prove who they are.
    pub struct Authn("authn") {
    }
    sections {
        /// The users file.
        file: AuthnFile,
        /// Password hashing.
        password: AuthnPassword,
        /// Throttling of failed sign-ins.
        throttle: AuthnThrottle,
    }
}

section! {
    /// The users file.
    pub struct AuthnFile("authn.file") {
        /// TOML file with users, their Argon2id hashes and attributes; `castor password hash` makes
        /// a hash. A changed file is taken by a reload.
        path: PathBuf = "/etc/castor/users.toml", Restart;
    }
}

section! {
    /// Password hashing.
    pub struct AuthnPassword("authn.password") {
        /// Threads that check passwords, at low priority so that a flood of sign-ins cannot hold up
        /// validations. Each takes about 19 MiB while it works.
        threads: usize = "2" in "1"..="64", Restart;
        /// Sign-ins that may wait for such a thread; more are asked to try again.
        queue: usize = "64" in "1"..="10000", Restart;
    }
}

section! {
    /// Throttling of failed sign-ins, counted for the whole cluster. Sign-ins that come too soon after too
    /// many failures are answered 423 without a look at the password. Must be the same on every node.
    pub struct AuthnThrottle("authn.throttle") {
        /// Whether failures are counted and slow down further attempts. Switch it off for a load test that
        /// signs in many people, or wrongly, from one address.
        enabled: bool = "true", Reload;
        /// Failures of one user name from one address within `authn.throttle.window` before there is a
        /// pause.
        user_failures: usize = "5" in "1"..="1000", Reload;
        /// Failures from one address, whatever the user names, within `authn.throttle.window` before there
        /// is a pause for everybody at that address. Of IPv6 the first 64 bits are one address.
        address_failures: usize = "100" in "1"..="100000", Reload;
        /// For how long a failure counts, to the minute.
        window: Period = "15m" in "1m"..="1h", Reload;
        /// The first pause; each further failure doubles it.
        first_delay: Period = "5s" in "1s"..="10m", Reload;
        /// The longest pause.
        max_delay: Period = "5m" in "1s"..="1h", Reload;
        /// Ranges in which many people share an address, such as a campus behind one: failures count by
        /// user and address there, and not by address alone.
        shared_addresses: Vec<Cidr> = "", Reload;
    }
}

impl AuthnThrottle {
    /// Notes what does not fit together.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if self.first_delay > self.max_delay {
            reader.note_key(
                "authn.throttle.first_delay",
                "is longer than authn.throttle.max_delay; make it at most as long",
            );
        }
        if self.max_delay > self.window {
            reader.note_key(
                "authn.throttle.max_delay",
                "is longer than authn.throttle.window, after which nothing counts; make it at most as long",
            );
        }
    }
}
