//! The record of who did what, under the action names that CAS operators know.
//!
//! [`Audit::record`] never waits: events go through a bounded queue to one thread that writes them,
//! and an event that finds the queue full is counted and dropped. Ticket ids are masked here once
//! more, whoever forgot it. What the events mean is decided by the rooms that record them.

mod line;
mod recent;
mod sink;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::clock::Clock;
use recent::Recent;
use sink::Sink;

pub use line::masked;
pub use recent::{KEPT_MAX, Kept};

/// Declares the actions with the name each has in the record.
macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $Action:ident = $name:literal,)+) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[doc = $doc])+ $Action,)+ }

        impl Action {
            /// Every action, with a sentence about it.
            pub const ALL: &'static [(Self, &'static str)] =
                &[$((Self::$Action, concat!($($doc),+)),)+];

            /// The name in the record and in metrics.
            pub fn name(self) -> &'static str {
                match self { $(Self::$Action => $name,)+ }
            }
        }
    };
}

actions! {
    /// A login form was submitted and is being judged.
    AuthenticationEventTriggered = "AUTHENTICATION_EVENT_TRIGGERED",
    /// A credential was accepted.
    AuthenticationSuccess = "AUTHENTICATION_SUCCESS",
    /// A credential was refused.
    AuthenticationFailed = "AUTHENTICATION_FAILED",
    /// Credentials were refused without a look at them: too many sign-ins have failed.
    ThrottledLoginAttempt = "THROTTLED_LOGIN_ATTEMPT",
    /// A session began.
    TicketGrantingTicketCreated = "TICKET_GRANTING_TICKET_CREATED",
    /// A session could not begin.
    TicketGrantingTicketNotCreated = "TICKET_GRANTING_TICKET_NOT_CREATED",
    /// A session was ended by its owner or an operator.
    TicketGrantingTicketDestroyed = "TICKET_GRANTING_TICKET_DESTROYED",
    /// A service ticket was issued.
    ServiceTicketCreated = "SERVICE_TICKET_CREATED",
    /// A service ticket was refused.
    ServiceTicketNotCreated = "SERVICE_TICKET_NOT_CREATED",
    /// A service ticket was validated.
    ServiceTicketValidated = "SERVICE_TICKET_VALIDATED",
    /// A service ticket was presented and refused.
    ServiceTicketValidateFailed = "SERVICE_TICKET_VALIDATE_FAILED",
    /// A proxy-granting ticket was delivered.
    ProxyGrantingTicketCreated = "PROXY_GRANTING_TICKET_CREATED",
    /// A proxy-granting ticket was refused, or its URL did not take it.
    ProxyGrantingTicketNotCreated = "PROXY_GRANTING_TICKET_NOT_CREATED",
    /// A proxy ticket was issued.
    ProxyTicketCreated = "PROXY_TICKET_CREATED",
    /// A proxy ticket was refused.
    ProxyTicketNotCreated = "PROXY_TICKET_NOT_CREATED",
    /// An application that is not registered, or not open to such a request, asked.
    ServiceAccessEnforcementTriggered = "SERVICE_ACCESS_ENFORCEMENT_TRIGGERED",
    /// The applications of an ended session were told.
    LogoutSuccess = "LOGOUT_SUCCESS",
    /// Not every application of an ended session could be told.
    LogoutFailed = "LOGOUT_FAILED",
    /// An operator takes this node out of service.
    NodeDrained = "NODE_DRAINED",
    /// An operator takes this node into service again.
    NodeResumed = "NODE_RESUMED",
    /// An operator made the cluster forget a node that is gone.
    NodeRemoved = "NODE_REMOVED",
    /// An operator looked at sessions.
    SessionsListed = "SESSIONS_LISTED",
    /// An operator looked at tickets other than sessions.
    TicketsListed = "TICKETS_LISTED",
    /// An operator looked at the newest events of this record.
    AuditListed = "AUDIT_LISTED",
    /// An operator looked at what an application would learn about somebody.
    AttributesShown = "ATTRIBUTES_SHOWN",
    /// An operator changed which log lines are written.
    LogLevelChanged = "LOG_LEVEL_CHANGED",
    /// An operator looked at who has failed to sign in.
    ThrottlesListed = "THROTTLES_LISTED",
    /// An operator let somebody who had failed sign in again.
    ThrottlesCleared = "THROTTLES_CLEARED",
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What was done.
    pub action: Action,
    /// Who did it: the user as typed or found; `None` when not known.
    pub who: Option<String>,
    /// What it was done to or with, ticket ids masked.
    pub what: String,
    /// Where the request came from; `None` for a process on this machine.
    pub client: Option<IpAddr>,
    /// The id of the HTTP request that did it; `None` for operators.
    pub request: Option<String>,
}

/// Says where events happened.
#[derive(Clone, Debug)]
pub struct Place {
    /// Name of the node.
    pub node: String,
    /// Address of the listener, when it has one.
    pub server: Option<IpAddr>,
}

enum Message {
    Line {
        action: Action,
        json: String,
        when: jiff::Timestamp,
    },
    Reopen,
    Flush(SyncSender<()>),
}

struct Inner {
    queue: SyncSender<Message>,
    reopen: Arc<AtomicBool>,
    clock: Clock,
    place: Place,
    events: IntCounterVec,
    dropped: IntCounter,
    recent: Recent,
}

/// Takes events; cheap to clone.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Audit")
    }
}

/// Why the record cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file or socket cannot be opened.
    #[error("{key}: {place}: {error}; make it writable for the service, or choose another output")]
    Open {
        /// The key to change.
        key: &'static str,
        /// File or address.
        place: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The thread cannot be started.
    #[error("cannot start the audit thread: {0}")]
    Thread(std::io::Error),
    /// A metric is registered already.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// Opens the output and starts the thread that writes.
///
/// # Errors
///
/// When the output cannot be opened.
pub fn start(
    config: &crate::config::Audit,
    place: Place,
    clock: Clock,
    registry: &Registry,
) -> Result<Audit, AuditError> {
    start_with(
        Sink::open(config, &place.node)?,
        config.queue,
        place,
        clock,
        registry,
    )
    .map(|(audit, _)| audit)
}

fn start_with(
    sink: Sink,
    queue: usize,
    place: Place,
    clock: Clock,
    registry: &Registry,
) -> Result<(Audit, JoinHandle<()>), AuditError> {
    let events = IntCounterVec::new(
        Opts::new(
            "castor_audit_events_total",
            "Audit events by action, those that were dropped included.",
        ),
        &["action"],
    )?;
    let dropped = IntCounter::new(
        "castor_audit_dropped_total",
        "Audit events that were lost: the queue was full or the output failed.",
    )?;
    registry.register(Box::new(events.clone()))?;
    // A rate needs a beginning: every action is there from the start.
    for (action, _) in Action::ALL {
        events.with_label_values(&[action.name()]);
    }
    registry.register(Box::new(dropped.clone()))?;
    let (sender, receiver) = sync_channel(queue);
    let reopen = Arc::new(AtomicBool::new(false));
    let recent = Recent::default();
    let writer = Writer {
        sink,
        reopen: Arc::clone(&reopen),
        dropped: dropped.clone(),
        failing: false,
        written: false,
        recent: recent.clone(),
    };
    let thread = std::thread::Builder::new()
        .name("audit".to_owned())
        .spawn(move || writer.run(&receiver))
        .map_err(AuditError::Thread)?;
    let inner = Inner {
        queue: sender,
        reopen,
        clock,
        place,
        events,
        dropped,
        recent,
    };
    Ok((Audit(Arc::new(inner)), thread))
}

impl Audit {
    /// Records an event; never waits.
    pub fn record(&self, event: &Event) {
        let inner = &*self.0;
        inner.events.with_label_values(&[event.action.name()]).inc();
        let when = inner.clock.timestamp();
        let message = Message::Line {
            action: event.action,
            json: line::json(event, &inner.place, when),
            when,
        };
        if inner.queue.try_send(message).is_err() {
            inner.dropped.inc();
        }
    }

    /// The newest events of this node since it started, newest first; a copy.
    pub fn recent(&self) -> Vec<Arc<Kept>> {
        self.0.recent.newest_first()
    }

    /// Opens the file again after it was rotated; never waits.
    pub fn reopen(&self) {
        self.0.reopen.store(true, Ordering::Release);
        // A full queue means that a line will be written soon, and the flag is looked at then.
        let _ = self.0.queue.try_send(Message::Reopen);
    }

    /// Waits until everything recorded so far is written, at most `within`; blocks the thread.
    pub fn flush(&self, within: Duration) {
        let (done, wait) = sync_channel(1);
        if self.0.queue.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(within);
        }
    }
}

struct Writer {
    sink: Sink,
    reopen: Arc<AtomicBool>,
    dropped: IntCounter,
    /// The output failed, and nothing is known to have arrived since.
    failing: bool,
    /// A line was taken since the last failure; in a buffer, maybe.
    written: bool,
    recent: Recent,
}

/// How often a sink that fails is tried again when nothing else happens.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// After lines were written, further ones gather for this long. Who records need not wake this thread
/// then, which costs more than the event; and many lines are written at once.
const GATHER: Duration = Duration::from_millis(10);

impl Writer {
    fn run(mut self, queue: &Receiver<Message>) {
        let mut busy = false;
        loop {
            let message = match queue.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Empty) => {
                    self.flush();
                    if std::mem::take(&mut busy) {
                        std::thread::park_timeout(GATHER);
                        continue;
                    }
                    // Nothing is left to be written, unless the output fails.
                    let next = if self.failing {
                        queue.recv_timeout(TRY_AGAIN)
                    } else {
                        queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
                    };
                    match next {
                        Ok(message) => message,
                        Err(RecvTimeoutError::Timeout) => continue,
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
                Err(TryRecvError::Disconnected) => {
                    self.flush();
                    return;
                }
            };
            if self.reopen.swap(false, Ordering::AcqRel)
                && let Err(error) = self.sink.reopen()
            {
                self.failed(&error);
            }
            match message {
                Message::Line { action, json, when } => {
                    busy = true;
                    self.write(action.name(), &json, when);
                    self.recent.keep(json, when);
                }
                Message::Reopen => {}
                Message::Flush(done) => {
                    self.flush();
                    let _ = done.send(());
                }
            }
        }
    }

    fn write(&mut self, action: &str, json: &str, when: jiff::Timestamp) {
        match self.sink.write(action, json, when) {
            Ok(()) => self.written = true,
            Err(error) => {
                self.dropped.inc();
                self.failed(&error);
            }
        }
    }

    fn flush(&mut self) {
        match self.sink.flush() {
            // Only now a line has arrived: a full disk shows when the buffer is written out.
            Ok(()) if self.failing && self.written => {
                tracing::info!("audit events are written again");
                self.failing = false;
            }
            Ok(()) => {}
            Err(error) => self.failed(&error),
        }
    }

    /// Tells once that the output fails.
    fn failed(&mut self, error: &std::io::Error) {
        self.written = false;
        if !self.failing {
            tracing::error!(%error, "audit events are lost: the output fails");
            self.failing = true;
        }
    }
}

#[cfg(test)]
mod tests;
