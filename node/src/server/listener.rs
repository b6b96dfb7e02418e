//! Binding a listener, and taking one connection after the other from it.
//!
//! A Unix socket left behind by a dead process is replaced; one that still answers is not.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::peer::PeerAddress;
use crate::config::Listen;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Why a listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {error}{}", remedy(.error))]
pub struct BindError {
    listen: Listen,
    error: io::Error,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; stop what listens there, or configure another address",
        io::ErrorKind::PermissionDenied => {
            "; choose a port above 1023 or a folder the service may write to"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        io::ErrorKind::NotFound => "; make the folder of the socket",
        _ => "",
    }
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    socket: Bound,
    listen: Listen,
    _path: Option<UnixPath>,
}

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
    Foreign(Box<dyn Foreign>),
}

/// Where connections come from when not from the system: a simulated network.
pub trait Foreign: fmt::Debug + Send + Sync {
    /// Takes the next connection.
    fn accept(&self) -> Arriving<'_>;
}

/// A connection of a [`Foreign`] network.
pub trait Wire: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Wire for T {}

/// The next connection of a [`Foreign`] network, and who is at its other end.
pub type Arriving<'a> =
    Pin<Box<dyn Future<Output = io::Result<(Box<dyn Wire>, SocketAddr)>> + Send + 'a>>;

/// Removes the socket's file when the listener goes.
#[derive(Debug)]
struct UnixPath(PathBuf);

impl Drop for UnixPath {
    fn drop(&mut self) {
        // Best effort: a file that stays is replaced at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An accepted connection, before TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Foreign(Box<dyn Wire>),
}

/// Binds `listen`; a Unix socket gets mode 0660 and `group`, when one is given.
///
/// # Errors
///
/// When the address is taken, not on this machine or not allowed.
pub fn bind(listen: &Listen, group: Option<u32>) -> Result<Listener, BindError> {
    let bound = match listen {
        Listen::Tcp(address) => bind_tcp(*address),
        Listen::Unix(path) => bind_unix(path, group),
    };
    bound.map_err(|error| BindError {
        listen: listen.clone(),
        error,
    })
}

fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // So that a restart need not wait for old connections to leave the system's table.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = TcpListener::from_std(socket.into())?;
    Ok(Listener {
        // Port 0 has become a real one.
        listen: Listen::Tcp(socket.local_addr()?),
        socket: Bound::Tcp(socket),
        _path: None,
    })
}

fn bind_unix(path: &Path, group: Option<u32>) -> io::Result<Listener> {
    if let Err(error) = std::fs::symlink_metadata(path) {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
    } else if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    } else {
        use std::os::unix::fs::FileTypeExt as _;
        if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
            return Err(io::Error::other("a file that is not a socket is there"));
        }
        std::fs::remove_file(path)?;
    }
    // Bound under another name first, so that nobody connects before the mode is right.
    let hidden = path.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&hidden);
    let socket = UnixListener::bind(&hidden)?;
    let ready = std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o660))
        .and_then(|()| match group {
            Some(gid) => std::os::unix::fs::chown(&hidden, None, Some(gid)),
            None => Ok(()),
        })
        .and_then(|()| std::fs::rename(&hidden, path));
    if let Err(error) = ready {
        let _ = std::fs::remove_file(&hidden);
        return Err(error);
    }
    Ok(Listener {
        socket: Bound::Unix(socket),
        listen: Listen::Unix(path.to_owned()),
        _path: Some(UnixPath(path.to_owned())),
    })
}

impl Listener {
    /// Takes connections from another network than the system's.
    pub fn foreign(network: Box<dyn Foreign>, address: SocketAddr) -> Self {
        Self {
            socket: Bound::Foreign(network),
            listen: Listen::Tcp(address),
            _path: None,
        }
    }

    /// Where it is bound; the real port when 0 was asked for.
    pub fn listen(&self) -> &Listen {
        &self.listen
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, PeerAddress)> {
        match &self.socket {
            Bound::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                // Answers are small and complete; waiting to fill a segment only delays them.
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), PeerAddress::Tcp(address)))
            }
            Bound::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                let who = stream.peer_cred()?;
                let address = PeerAddress::Unix {
                    uid: who.uid(),
                    gid: who.gid(),
                    pid: who.pid(),
                };
                Ok((Stream::Unix(stream), address))
            }
            Bound::Foreign(network) => {
                let (stream, address) = network.accept().await?;
                Ok((Stream::Foreign(stream), PeerAddress::Tcp(address)))
            }
        }
    }
}
