//! The UDP socket below QUIC, with a count of datagrams that are not for us.
//!
//! QUIC drops what it cannot attribute without telling anyone. This wrapper looks at the clear first
//! bytes of each datagram and counts those that no peer of ours sends: not QUIC, another QUIC version,
//! or a connection id that this node never made. It changes nothing and drops nothing itself.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use quinn_proto::{ConnectionId, ConnectionIdGenerator, HashedConnectionIdGenerator};

use crate::driver::link_metrics::LinkMetrics;

/// Addresses of peers: a stateless reset from one of them looks like junk and is none.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownAddresses(Arc<RwLock<HashSet<SocketAddr>>>);

impl KnownAddresses {
    pub(super) fn insert(&self, address: SocketAddr) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(address);
    }

    pub(super) fn remove(&self, address: &SocketAddr) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(address);
    }

    pub(super) fn contains(&self, address: &SocketAddr) -> bool {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(address)
    }
}

pub(super) struct CountingSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    ids: HashedConnectionIdGenerator,
    known: KnownAddresses,
    metrics: LinkMetrics,
}

impl CountingSocket {
    pub(super) fn new(
        inner: Arc<dyn AsyncUdpSocket>,
        id_key: u64,
        known: KnownAddresses,
        metrics: LinkMetrics,
    ) -> Self {
        let ids = HashedConnectionIdGenerator::from_key(id_key);
        Self {
            inner,
            ids,
            known,
            metrics,
        }
    }

    fn count(&self, from: SocketAddr, datagram: &[u8]) {
        if self.is_junk(datagram) && !self.known.contains(&from) {
            self.metrics.rejected("junk");
        }
    }

    fn is_junk(&self, datagram: &[u8]) -> bool {
        let [first, rest @ ..] = datagram else {
            return true;
        };
        if first & FIXED_BIT == 0 {
            return true;
        }
        if first & LONG_HEADER != 0 {
            return rest.first_chunk::<4>() != Some(&QUIC_V1);
        }
        match rest.first_chunk::<CONNECTION_ID_BYTES>() {
            Some(id) => self.ids.validate(&ConnectionId::new(id)).is_err(),
            None => true,
        }
    }
}

const LONG_HEADER: u8 = 0x80;
const FIXED_BIT: u8 = 0x40;
const QUIC_V1: [u8; 4] = [0, 0, 0, 1];
const CONNECTION_ID_BYTES: usize = 8;

impl fmt::Debug for CountingSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CountingSocket")
    }
}

impl AsyncUdpSocket for CountingSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = &received {
            for (buf, meta) in bufs.iter().zip(meta.iter()).take(*count) {
                let filled = buf.get(..meta.len).unwrap_or_default();
                // One buffer may hold several datagrams of one size.
                for datagram in filled.chunks(meta.stride.max(1)) {
                    self.count(meta.addr, datagram);
                }
            }
        }
        received
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
