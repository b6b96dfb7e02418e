//! A peer made by hand: speaks the protocol byte by byte, well or badly.

use std::net::SocketAddr;
use std::sync::Arc;

use castor_proto::codec;
use castor_proto::frame::{self, FrameKind, HEADER_BYTES};
use castor_proto::hello::{ClusterTag, Hello, HelloAnswer};
use castor_proto::ids::Incarnation;
use castor_proto::message::{Lane, PeerMessage, Phase};
use castor_proto::seal::{KeyRing, NodeSigner, Outgoing, seal_envelope};
use castor_proto::version::{VersionRange, WireVersion};
use castor_replication::driver::tls::{NodeIdentity, cluster_host};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, SendStream};

use crate::world::{World, name, runtime, some_incarnation};

pub(crate) struct Stranger {
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: Connection,
    pub(crate) signer: Arc<NodeSigner>,
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) node: String,
    pub(crate) cluster: String,
}

impl Stranger {
    /// Connects with this identity; no hello yet.
    pub(crate) fn connect(
        identity: &NodeIdentity,
        ring: &Arc<KeyRing>,
        to: SocketAddr,
    ) -> Result<Self, String> {
        let tls = identity
            .client_config(&castor_replication::driver::tls::provider())
            .unwrap();
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        runtime().block_on(async {
            let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
            let host = cluster_host(identity.cluster());
            let connecting = endpoint.connect_with(config, to, &host).unwrap();
            let connection = connecting.await.map_err(|error| error.to_string())?;
            Ok(Self {
                endpoint,
                connection,
                signer: Arc::clone(identity.signer()),
                ring: Arc::clone(ring),
                node: identity.node().to_string(),
                cluster: identity.cluster().to_owned(),
            })
        })
    }

    /// Connects as a node of the world and is accepted.
    pub(crate) fn accepted(world: &World, node: &str, to: SocketAddr) -> Self {
        let stranger = Self::connect(&world.identity(node), &world.ring, to).unwrap();
        let answer = stranger.hello(&stranger.own_hello());
        assert!(
            matches!(answer, Some(HelloAnswer::Accepted(_))),
            "{answer:?}"
        );
        stranger
    }

    pub(crate) fn own_hello(&self) -> Hello {
        Hello {
            cluster: ClusterTag::of(&self.cluster),
            node: name(&self.node),
            incarnation: some_incarnation(9),
            wire: VersionRange::SUPPORTED,
            keys: self.ring.iter().map(|key| key.id().0).collect(),
            // Nobody is there; the node's calls to it fail, which is none of its business here.
            advertise: self.endpoint.local_addr().unwrap().to_string(),
            phase: Phase::Empty,
        }
    }

    pub(crate) fn hello(&self, hello: &Hello) -> Option<HelloAnswer> {
        self.say(&frame::encode(FrameKind::Hello, &codec::encode(hello)).unwrap())
    }

    /// Says these bytes instead of a hello.
    pub(crate) fn say(&self, bytes: &[u8]) -> Option<HelloAnswer> {
        runtime().block_on(async {
            let (mut send, mut receive) = self.connection.open_bi().await.ok()?;
            send.write_all(bytes).await.ok()?;
            let _ = send.finish();
            let answer = receive.read_to_end(8 << 10).await.ok()?;
            codec::decode(answer.get(HEADER_BYTES..)?).ok()
        })
    }

    /// Opens a unidirectional stream and announces its kind.
    pub(crate) fn open(&self, kind: u8) -> SendStream {
        runtime().block_on(async {
            let mut stream = self.connection.open_uni().await.unwrap();
            stream.write_all(&[kind]).await.unwrap();
            stream
        })
    }

    pub(crate) fn write(&self, stream: &mut SendStream, bytes: &[u8]) {
        runtime().block_on(stream.write_all(bytes)).unwrap();
    }

    /// An envelope of this stranger to `to`; `change` may falsify what it says.
    pub(crate) fn envelope(&self, to: &str, sequence: u64, change: Change) -> Vec<u8> {
        let (sender, receiver) = (name(change.sender.unwrap_or(&self.node)), name(to));
        let cluster = change.cluster.unwrap_or(&self.cluster);
        let outgoing = Outgoing {
            version: WireVersion::V1,
            cluster: ClusterTag::of(cluster),
            sender: &sender,
            incarnation: change.incarnation.unwrap_or(some_incarnation(9)),
            receiver: &receiver,
            lane: change.lane.unwrap_or(Lane::Stream),
            sequence,
            nonce: [sequence as u8; 24],
        };
        let ring = change.ring.as_deref().unwrap_or(&self.ring);
        let signer = change.signer.as_deref().unwrap_or(&self.signer);
        let payload = change.payload.unwrap_or_else(|| {
            codec::encode(&vec![PeerMessage::Subscribe {
                nonce: sequence,
                have: 0,
            }])
        });
        seal_envelope(ring, signer, &outgoing, &payload).unwrap()
    }
}

/// What is wrong with an envelope.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) sender: Option<&'static str>,
    pub(crate) cluster: Option<&'static str>,
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) lane: Option<Lane>,
    pub(crate) ring: Option<Arc<KeyRing>>,
    pub(crate) signer: Option<Arc<NodeSigner>>,
    pub(crate) payload: Option<Vec<u8>>,
}

pub(crate) fn framed(envelope: &[u8]) -> Vec<u8> {
    frame::encode(FrameKind::Envelope, envelope).unwrap()
}
