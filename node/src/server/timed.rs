//! A connection that ends when its other end is too slow.
//!
//! hyper has one timer for both the wait for the next request and the request head, so a proxy's idle
//! connection would be closed as early as a half-sent head. Here an idle connection may wait for
//! `idle`, a begun head must be complete within `head`, and a reader that stops reading is given
//! `stall`. While a request is being answered nothing is read and no timer runs here; the server
//! bounds that time itself.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::clock;

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) idle: Duration,
    pub(super) head: Duration,
    pub(super) stall: Duration,
}

/// What the connection and its service tell each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared(Arc<State>);

#[derive(Debug, Default)]
struct State {
    busy: AtomicBool,
    timed_out: OnceLock<&'static str>,
}

impl Shared {
    /// Marks the connection busy with a request until the guard goes.
    pub(super) fn enter(&self) -> BusyGuard {
        self.0.busy.store(true, Ordering::Relaxed);
        BusyGuard(self.clone())
    }

    /// Which wait was too long, if one was.
    pub(super) fn timed_out(&self) -> Option<&'static str> {
        self.0.timed_out.get().copied()
    }

    fn is_busy(&self) -> bool {
        self.0.busy.load(Ordering::Relaxed)
    }

    fn give_up(&self, reason: &'static str) -> io::Error {
        // The first reason is the one that counts.
        let _ = self.0.timed_out.set(reason);
        io::ErrorKind::TimedOut.into()
    }
}

pub(super) struct BusyGuard(Shared);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.0.busy.store(false, Ordering::Relaxed);
    }
}

/// What the connection waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Busy,
}

/// A stream with deadlines.
pub(super) struct Timed<S> {
    inner: S,
    shared: Shared,
    patience: Patience,
    phase: Phase,
    read: Alarm,
    write: Alarm,
}

impl<S> Timed<S> {
    pub(super) fn new(inner: S, patience: Patience, shared: Shared) -> Self {
        let mut read = Alarm::default();
        // A new connection is expected to ask at once.
        read.set(patience.head);
        Self {
            inner,
            shared,
            patience,
            phase: Phase::Head,
            read,
            write: Alarm::default(),
        }
    }

    /// Follows the service: it began or ended a request since the last look.
    fn follow_service(&mut self) {
        match (self.phase, self.shared.is_busy()) {
            (Phase::Idle | Phase::Head, true) => {
                self.phase = Phase::Busy;
                self.read.clear();
            }
            (Phase::Busy, false) => {
                self.phase = Phase::Idle;
                self.read.set(self.patience.idle);
            }
            (Phase::Busy, true) | (Phase::Idle | Phase::Head, false) => {}
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.follow_service();
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Ready(done) => {
                if this.phase == Phase::Idle {
                    this.phase = Phase::Head;
                    this.read.set(this.patience.head);
                }
                Poll::Ready(done)
            }
            Poll::Pending if this.read.has_passed(cx) => {
                let reason = match this.phase {
                    Phase::Idle => "idle_timeout",
                    Phase::Head | Phase::Busy => "header_timeout",
                };
                Poll::Ready(Err(this.shared.give_up(reason)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> Timed<S> {
    fn poll_out<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.follow_service();
        if self.phase == Phase::Idle {
            // hyper does not read again after an answer: it has left its waker with the socket. The
            // timer must be started here, on the way out; once it fires hyper reads and is told.
            self.read.has_passed(cx);
        }
        match write(Pin::new(&mut self.inner), cx) {
            Poll::Ready(done) => {
                self.write.clear();
                Poll::Ready(done)
            }
            Poll::Pending => {
                if !self.write.is_set() {
                    self.write.set(self.patience.stall);
                }
                if self.write.has_passed(cx) {
                    return Poll::Ready(Err(self.shared.give_up("write_timeout")));
                }
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_out(cx, |inner, cx| inner.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_out(cx, |inner, cx| inner.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_out(cx, |inner, cx| inner.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_out(cx, |inner, cx| inner.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// A deadline that is cheap to move: the timer is touched only when someone waits, and when it fires
/// before the deadline it is set anew.
#[derive(Default)]
struct Alarm {
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    fn set(&mut self, after: Duration) {
        self.deadline = Some(clock::timer_now() + after);
    }

    fn clear(&mut self) {
        self.deadline = None;
    }

    fn is_set(&self) -> bool {
        self.deadline.is_some()
    }

    /// Whether the deadline has passed; if not, the task is woken when it does.
    fn has_passed(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.deadline else {
            return false;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return true;
            }
            timer.as_mut().reset(deadline);
        }
        false
    }
}
