//! Where lines of the record go: standard output, a file, syslog.
//!
//! Writing may block; only the audit thread does it. A file is opened again on request, a syslog
//! socket by itself after a failure.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::AuditError;
use crate::config::types::{AuditOutput, SyslogTarget};

/// Facility authpriv, severity informational.
const SYSLOG_PRIORITY: u8 = 10 * 8 + 6;

pub(super) enum Sink {
    Stdout(BufWriter<io::Stdout>),
    File {
        path: PathBuf,
        file: BufWriter<File>,
    },
    Syslog(Box<Syslog>),
}

pub(super) struct Syslog {
    target: SyslogTarget,
    host: String,
    socket: Option<Socket>,
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Sink {
    pub(super) fn open(config: &crate::config::Audit, host: &str) -> Result<Self, AuditError> {
        match (config.output, &config.file) {
            (AuditOutput::File, Some(path)) => match open_file(path) {
                Ok(file) => Ok(Self::File {
                    path: path.clone(),
                    file,
                }),
                Err(error) => Err(AuditError::Open {
                    key: "audit.file",
                    place: path.display().to_string(),
                    error,
                }),
            },
            // The configuration does not pass its checks with a file output and no file.
            (AuditOutput::Stdout | AuditOutput::File, _) => {
                Ok(Self::Stdout(BufWriter::new(io::stdout())))
            }
            (AuditOutput::Syslog, _) => {
                let mut syslog = Syslog {
                    target: config.syslog.clone(),
                    host: host.to_owned(),
                    socket: None,
                };
                syslog.connect().map_err(|error| AuditError::Open {
                    key: "audit.syslog",
                    place: format!("{:?}", config.syslog),
                    error,
                })?;
                Ok(Self::Syslog(Box::new(syslog)))
            }
        }
    }

    pub(super) fn write(
        &mut self,
        action: &str,
        json: &str,
        when: jiff::Timestamp,
    ) -> io::Result<()> {
        match self {
            Self::Stdout(out) => write_line(out, json),
            Self::File { file, .. } => write_line(file, json),
            Self::Syslog(syslog) => syslog.send(action, json, when),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File { file, .. } => file.flush(),
            Self::Syslog(_) => Ok(()),
        }
    }

    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::File { path, file } => {
                // A full disk must not keep the old file open: what cannot be written is lost either way.
                let flushed = file.flush();
                *file = open_file(path)?;
                flushed
            }
            Self::Stdout(_) | Self::Syslog(_) => Ok(()),
        }
    }
}

fn write_line(out: &mut impl io::Write, json: &str) -> io::Result<()> {
    out.write_all(json.as_bytes())?;
    out.write_all(b"\n")
}

fn open_file(path: &Path) -> io::Result<BufWriter<File>> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(path)
        .map(BufWriter::new)
}

impl Syslog {
    fn connect(&mut self) -> io::Result<&Socket> {
        let socket = match &self.target {
            SyslogTarget::Udp(address) => {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Socket::Udp(socket)
            }
            SyslogTarget::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Socket::Unix(socket)
            }
        };
        Ok(self.socket.insert(socket))
    }

    /// Sends one RFC 5424 message; after a failure it connects again and tries once more.
    fn send(&mut self, action: &str, json: &str, when: jiff::Timestamp) -> io::Result<()> {
        let message = format!(
            "<{SYSLOG_PRIORITY}>1 {when:.6} {} castor {} {action} - {json}",
            self.host,
            std::process::id(),
        );
        if let Some(socket) = &self.socket
            && socket.send(message.as_bytes()).is_ok()
        {
            return Ok(());
        }
        self.connect()?.send(message.as_bytes())
    }
}

impl Socket {
    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message),
            Self::Unix(socket) => socket.send(message),
        }
        .map(|_| ())
    }
}
