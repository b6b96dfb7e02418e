//! Writes the history of a run while it happens.
//!
//! Promises: no line is lost: when the queue of [`QUEUE_LINES`] is full, callers wait and the waits
//! are counted; a file that cannot be written fails the run when it is closed. A call that is
//! dropped half-way is written as unknown. A process number that met an unknown outcome is never
//! used again. Does not: slow down a run that records nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context;

use super::line::{Call, Header, Line, Op, Out, Phase};
use super::names::Names;
use crate::cas::validation::Attributes;
use crate::clock;
use crate::cluster::Cluster;

/// Lines that may wait to be written.
pub const QUEUE_LINES: usize = 65_536;
/// Name of the front door.
pub const FRONT: &str = "front";

/// Where calls are noted; the default notes nothing. Cheap to clone.
#[derive(Clone, Default)]
pub struct History(Option<Arc<Inner>>);

struct Inner {
    start: Instant,
    queue: SyncSender<Line>,
    stalls: AtomicU64,
    sessions: AtomicU64,
    processes: Mutex<Processes>,
    doors: BTreeMap<String, String>,
    names: Names,
}

/// Process numbers; a free one may be used by the next call.
#[derive(Default)]
struct Processes {
    next: u64,
    free: Vec<u64>,
}

/// A history that is being written.
pub struct Recorder {
    history: History,
    file: PathBuf,
    writer: JoinHandle<std::io::Result<u64>>,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Lines in the file.
    pub lines: u64,
    /// How often a caller had to wait for the queue.
    pub stalls: u64,
}

impl Recorder {
    /// Starts a history of calls to `cluster` in `file`, which is replaced.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(file: &Path, cluster: &Cluster, lives: Header) -> anyhow::Result<Self> {
        if let Some(folder) = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let output =
            File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
        let (queue, lines) = sync_channel(QUEUE_LINES);
        let mut doors = BTreeMap::from([(cluster.front.clone(), FRONT.to_owned())]);
        for node in &cluster.nodes {
            doors.insert(node.url.clone(), node.name.clone());
            doors.insert(node.ops_url.clone(), node.name.clone());
        }
        let mut header = lives;
        header.doors = vec![FRONT.to_owned()];
        header
            .doors
            .extend(cluster.nodes.iter().map(|node| node.name.clone()));
        let writer = std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || write(BufWriter::new(output), Line::Header(header), &lines))
            .context("cannot start the writer of the history")?;
        Ok(Self {
            history: History(Some(Arc::new(Inner {
                start: clock::monotonic(),
                queue,
                stalls: AtomicU64::new(0),
                sessions: AtomicU64::new(0),
                processes: Mutex::default(),
                doors,
                names: Names::default(),
            }))),
            file: file.to_owned(),
            writer,
        })
    }

    /// Where to note calls.
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// Writes the last line and waits until everything is in the file. Calls under way must have
    /// ended: what is noted later is not in it.
    ///
    /// # Errors
    /// When not every line could be written.
    pub fn close(self) -> anyhow::Result<Written> {
        self.history.put(Line::End);
        let stalls = self.history.0.as_ref();
        let stalls = stalls.map_or(0, |inner| inner.stalls.load(Ordering::Relaxed));
        let says = || format!("cannot write {}", self.file.display());
        match self.writer.join() {
            Ok(lines) => Ok(Written {
                lines: lines.with_context(says)?,
                stalls,
            }),
            Err(_) => anyhow::bail!("{}: the writer ended", says()),
        }
    }
}

fn write(mut file: BufWriter<File>, header: Line, lines: &Receiver<Line>) -> std::io::Result<u64> {
    let mut line = header;
    for number in 1.. {
        let mut text = line.write(number)?;
        text.push('\n');
        file.write_all(text.as_bytes())?;
        if line == Line::End {
            file.flush()?;
            return Ok(number);
        }
        match lines.recv() {
            Ok(next) => line = next,
            Err(_) => break,
        }
    }
    file.flush()?;
    Err(std::io::Error::other("the history was not closed"))
}

impl History {
    /// Whether anything is written down.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    fn now(&self) -> u64 {
        let since = |inner: &Arc<Inner>| clock::monotonic().duration_since(inner.start);
        let time = self.0.as_ref().map(since).unwrap_or_default();
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
    }

    fn put(&self, line: Line) {
        let Some(inner) = &self.0 else {
            return;
        };
        match inner.queue.try_send(line) {
            // Without a writer the run fails when the recorder is closed.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(line)) => {
                inner.stalls.fetch_add(1, Ordering::Relaxed);
                let _ = inner.queue.send(line);
            }
        }
    }

    /// A call begins at the door `base`; `op` says what is asked.
    pub fn begin(&self, base: &str, op: impl FnOnce() -> Op) -> Pending {
        let Some(inner) = &self.0 else {
            return Pending(None);
        };
        let unnamed = || base.to_owned();
        let call = Call {
            process: inner.process(),
            at: inner.doors.get(base).cloned().unwrap_or_else(unnamed),
            op: op(),
            began: self.now(),
            ended: None,
            out: Out::Unknown,
            attributes: None,
        };
        Pending(Some((self.clone(), call)))
    }

    /// Notes the begin or end of a fault.
    pub fn nemesis(&self, name: &str, phase: Phase) {
        self.put(Line::Nemesis {
            name: name.to_owned(),
            phase,
            at: self.now(),
        });
    }

    /// A name for a session that was just acknowledged.
    pub fn new_session(&self) -> String {
        let count = |inner: &Arc<Inner>| inner.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        format!("s{}", self.0.as_ref().map_or(0, count))
    }

    /// What `ticket` is called in the history.
    pub fn ticket(&self, ticket: &str) -> String {
        let name = |inner: &Arc<Inner>| inner.names.ticket(ticket);
        self.0.as_ref().map(name).unwrap_or_default()
    }

    /// Digest of `attributes`.
    pub fn attributes(&self, attributes: &Attributes) -> Option<String> {
        let digest = |inner: &Arc<Inner>| inner.names.attributes(attributes);
        self.0.as_ref().map(digest)
    }
}

impl Inner {
    fn process(&self) -> u64 {
        let mut processes = self
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        processes.free.pop().unwrap_or_else(|| {
            processes.next += 1;
            processes.next
        })
    }

    fn free(&self, process: u64) {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .free
            .push(process);
    }
}

/// A call that has not ended; dropped, it is unknown.
#[must_use]
pub struct Pending(Option<(History, Call)>);

impl Pending {
    /// The call ended.
    pub fn end(self, out: impl FnOnce(&History) -> Out) {
        self.end_with(|history| (out(history), None));
    }

    /// The call ended, and released attributes.
    pub fn end_with(mut self, out: impl FnOnce(&History) -> (Out, Option<String>)) {
        let Some((history, mut call)) = self.0.take() else {
            return;
        };
        let now = history.now();
        (call.out, call.attributes) = out(&history);
        call.ended = (call.out != Out::Unknown).then_some(now);
        let done = call.ended.map(|_| call.process);
        history.put(Line::Call(call));
        // Only now may another call have this number: its line must come later.
        if let (Some(inner), Some(process)) = (&history.0, done) {
            inner.free(process);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some((history, call)) = self.0.take() {
            history.put(Line::Call(call));
        }
    }
}
