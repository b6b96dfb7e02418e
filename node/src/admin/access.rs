//! Who may administer, and under which name the record knows them.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use subtle::ConstantTimeEq as _;

use crate::config::value::Secret;
use crate::server::{Peer, PeerAddress};

/// How somebody proves that they may administer.
#[derive(Clone, Debug)]
pub enum Access {
    /// By having opened the administration socket, whose mode and group decide.
    Socket,
    /// By the bearer token.
    Token(Secret),
    /// Not at all: no token is configured.
    Closed,
}

impl Access {
    /// What opens the operations listener.
    pub fn over_tcp(token: Option<&Secret>) -> Self {
        token.map_or(Self::Closed, |token| Self::Token(token.clone()))
    }
}

/// Who administers; a request extension.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    /// Name in the audit record.
    pub(crate) name: String,
    /// Where they are; `None` on this machine.
    pub(crate) client: Option<IpAddr>,
}

/// Lets a request through with its [`Actor`], or refuses it.
pub(crate) async fn authorise(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    match actor(&access, &request) {
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Err(refusal) => refusal.answer(),
    }
}

/// Why somebody may not administer here.
enum Refused {
    /// No token, or a wrong one.
    NoToken,
    /// Not over the socket.
    NotLocal,
    /// No token is configured.
    Closed,
}

impl Refused {
    fn answer(self) -> Response {
        match self {
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                [(header::WWW_AUTHENTICATE, "Bearer")],
                "This needs the bearer token of ops.token_file.\n",
            )
                .into_response(),
            Self::NotLocal => {
                (StatusCode::FORBIDDEN, "This is for the Unix socket.\n").into_response()
            }
            Self::Closed => (
                StatusCode::FORBIDDEN,
                "This is for the Unix socket ops.admin_socket, or needs a bearer token: \
                 configure ops.token_file.\n",
            )
                .into_response(),
        }
    }
}

fn actor(access: &Access, request: &Request) -> Result<Actor, Refused> {
    let peer = request.extensions().get::<Peer>();
    match (access, peer.map(|peer| peer.address)) {
        (Access::Socket, Some(PeerAddress::Unix { uid, pid, .. })) => Ok(Actor {
            name: unix_name(uid, pid),
            client: None,
        }),
        (Access::Token(token), Some(_)) if has_token(request, token) => Ok(Actor {
            name: "token".to_owned(),
            client: peer.and_then(Peer::ip),
        }),
        (Access::Token(_), _) => Err(Refused::NoToken),
        (Access::Closed, _) => Err(Refused::Closed),
        (Access::Socket, _) => Err(Refused::NotLocal),
    }
}

fn has_token(request: &Request, token: &Secret) -> bool {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // Digests have one length, so that not even the token's length shows in the time this takes.
    given.is_some_and(|given| {
        let given = blake3::hash(given);
        let right = blake3::hash(token.reveal().as_bytes());
        given.as_bytes().ct_eq(right.as_bytes()).into()
    })
}

/// `uid 1000 (jane), pid 4711`.
fn unix_name(uid: u32, pid: Option<i32>) -> String {
    // Names of a directory service are not looked up: that could block, and the number is certain.
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| format!(" ({name})"))
    });
    let pid = pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    format!("uid {uid}{}{pid}", name.unwrap_or_default())
}
