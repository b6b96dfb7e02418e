//! `[authn.*]`: how people prove who they are.

use std::path::PathBuf;

use super::schema::section;

section! {
    /// How people prove who they are.
    pub struct Authn("authn") {
    }
    sections {
        /// The users file.
        file: AuthnFile,
        /// Password hashing.
        password: AuthnPassword,
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
