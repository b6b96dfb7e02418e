//! `[http]`: the listener that people and applications reach.

use std::path::PathBuf;

use super::schema::{Reader, section};
use super::types::{ByteSize, Cidr, HeaderField, Listen, PathPrefix, Period, PublicUrl};

section! {
    /// The listener for people and applications.
    pub struct Http("http") {
        /// Where CAS requests are accepted. Without `http.tls.certificate` only a loopback address
        /// or a Unix socket is allowed. The socket has mode 0660 and the group of the service, to
        /// which the proxy's user must belong.
        listen: Listen = "127.0.0.1:8443", Restart;
        /// Path of the CAS endpoints; also the path of the cookies.
        prefix: PathPrefix = "/cas", Restart;
        /// The address people see, ending in `http.prefix`, when it is not the one in the request's
        /// Host header.
        public_url: Option<PublicUrl> = "", Restart;
        /// Proxies whose `X-Forwarded-For`, `X-Forwarded-Proto` and `http.request_id_header` are
        /// believed. A Unix socket is always trusted.
        trusted_proxies: Vec<Cidr> = "", Reload;
        /// Header with a request id that the proxy overwrites on every request and keeps when it
        /// re-sends one, so that a re-sent validation gets the same answer. Unset, every request
        /// gets a random id.
        request_id_header: Option<HeaderField> = "", Restart;
        /// Time for a client to send a whole request head, and for the TLS handshake.
        header_timeout: Period = "5s" in "100ms"..="5m", Restart;
        /// Time for a request's body and answer; later the answer is 503.
        request_timeout: Period = "10s" in "1s"..="5m", Restart;
        /// Time a connection may lie unused. Longer than the proxy's own time, so that the proxy is
        /// the one that closes.
        idle_timeout: Period = "75s" in "1s"..="1h", Restart;
        /// Connections at one time; more wait in the system's queue.
        max_connections: usize = "10000" in "1"..="1000000", Restart;
        /// Largest request body; a larger one is answered 413.
        max_body: ByteSize = "64KiB" in "4KiB"..="16MiB", Restart;
        /// Whether programs may sign in with the REST protocol at `/v1`. Whoever reaches it can try
        /// passwords, and session ids stand in its URLs: keep it to hosts that need it.
        rest: bool = "false", Reload;
    }
    sections {
        /// TLS of the listener.
        tls: HttpTls,
    }
}

section! {
    /// TLS of the listener for people and applications.
    pub struct HttpTls("http.tls") {
        /// PEM file with the certificate and the chain above it.
        certificate: Option<PathBuf> = "", Restart;
        /// PEM file with the private key; a changed certificate and key are taken by a reload.
        key: Option<PathBuf> = "", Restart;
    }
}

impl Http {
    /// Notes what does not fit together.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => reader.note_key(
                "http.tls.certificate",
                "needs its private key; set http.tls.key",
            ),
            (None, Some(_)) => reader.note_key(
                "http.tls.key",
                "needs its certificate; set http.tls.certificate",
            ),
            (None, None) if !self.listen.is_local() => reader.note_key(
                "http.listen",
                &format!(
                    "{} would be plain text on the network; set http.tls.certificate and \
                     http.tls.key, or listen on 127.0.0.1 or a Unix socket",
                    self.listen
                ),
            ),
            (None, None) | (Some(_), Some(_)) => {}
        }
        if let Some(url) = &self.public_url
            && url.path() != self.prefix.0
        {
            reader.note_key(
                "http.public_url",
                &format!("must end in http.prefix, which is {:?}", self.prefix.0),
            );
        }
    }
}
