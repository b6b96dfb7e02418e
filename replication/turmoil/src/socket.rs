//! The peer port on the simulated network, with independent loss and duplication of datagrams.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use castor_replication::driver::surroundings::{AsyncUdpSocket, RecvMeta, Transmit, UdpPoller};
use turmoil::net::UdpSocket;

use crate::{chance, trace};

/// Of 1,000 datagrams this many are lost, and as many are sent twice.
pub static DISTURBED: AtomicU64 = AtomicU64::new(0);

type Readable = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// A socket of the simulated network, as QUIC wants one.
struct Simulated {
    socket: Arc<UdpSocket>,
    readable: Mutex<Option<Readable>>,
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Simulated")
    }
}

/// Opens a port of the simulated host that asks.
pub fn bind(listen: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let bound = pin!(UdpSocket::bind(listen));
    // It never waits: the port is a line in the simulator's table.
    match bound.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(socket) => Ok(Arc::new(Simulated {
            socket: Arc::new(socket?),
            readable: Mutex::new(None),
        })),
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncUdpSocket for Simulated {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        trace::datagram(transmit.destination, transmit.contents);
        let disturbed = DISTURBED.load(Relaxed);
        let fate = if disturbed == 0 {
            1_000
        } else {
            chance::below(1_000)
        };
        let copies = if fate < disturbed {
            0
        } else if fate < 2 * disturbed {
            2
        } else {
            1
        };
        for _ in 0..copies {
            // A cut link swallows it, as a network does.
            let _ = self
                .socket
                .try_send_to(transmit.contents, transmit.destination);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        let mut readable = self.readable.lock().expect("not poisoned");
        loop {
            if let Some(waiting) = readable.as_mut() {
                match waiting.as_mut().poll(cx) {
                    Poll::Ready(done) => done?,
                    Poll::Pending => return Poll::Pending,
                }
                *readable = None;
            }
            match self.socket.try_recv_from(buffer) {
                Ok((len, addr)) => {
                    *meta = RecvMeta {
                        addr,
                        len,
                        stride: len,
                        ecn: None,
                        dst_ip: None,
                    };
                    return Poll::Ready(Ok(1));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let socket = Arc::clone(&self.socket);
                    *readable = Some(Box::pin(async move { socket.readable().await }));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn may_fragment(&self) -> bool {
        false
    }
}
