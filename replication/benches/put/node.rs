//! A process of this program that is one node: both ends of the lines it is told what to do with.
//!
//! It ends when its standard input does, and so with whoever started it, however that ends.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use castor_proto::ids::NodeName;
use castor_proto::message::Phase;
use castor_proto::ticket::TicketId;
use castor_replication::driver::tls::IdentityPem;
use castor_replication::driver::{Cluster, Handle, Readiness, RequestError};
use castor_replication::engine::NewReusable;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::PATIENCE;
use crate::cluster::{self, until};
use crate::load::{Took, closed_loop, value};
use crate::session::session_with;

/// Creations under way at the same moment while sessions are made that are not measured.
const FILL_AT_ONCE: u64 = 256;

/// So many people have them.
const PEOPLE: u64 = 100_000;

/// A node as its starter sees it.
pub(crate) struct Node {
    process: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Node {
    pub(crate) async fn start(folder: &Path, name: &str, seeds: &[String]) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["node", name])
            .arg(folder)
            .arg(seeds.join(","))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let to = process.stdin.take().unwrap();
        let from = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut node = Self {
            process,
            to,
            from,
            address: String::new(),
        };
        node.address = node.answer().await;
        node
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    async fn answer(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.from.next_line()).await;
        line.expect("a node answers in time")
            .unwrap()
            .expect("a node answers")
    }

    async fn ask(&mut self, line: String) -> String {
        self.to.write_all(line.as_bytes()).await.unwrap();
        self.to.write_all(b"\n").await.unwrap();
        self.answer().await
    }

    /// Returns when it serves and sees so many others serve.
    pub(crate) async fn whole(&mut self, others: usize) {
        assert_eq!(self.ask(format!("whole {others}")).await, "whole");
    }

    /// Returns when it holds so many sessions.
    pub(crate) async fn holds(&mut self, sessions: u64) {
        assert_eq!(self.ask(format!("holds {sessions}")).await, "holds");
    }

    /// Makes so many sessions; the id of the last one.
    pub(crate) async fn fill(&mut self, sessions: u64) -> String {
        self.ask(format!("fill {sessions}")).await
    }

    /// Returns when it serves and has found this session.
    pub(crate) async fn read(&mut self, id: &str) {
        assert_eq!(self.ask(format!("read {id}")).await, "read");
    }

    pub(crate) async fn put(&mut self, in_flight: usize, millis: u64, pids: &[u32]) -> Took {
        let mut line = format!("put {in_flight} {millis}");
        for pid in pids {
            line.push_str(&format!(" {pid}"));
        }
        Took::read(&self.ask(line).await)
    }

    pub(crate) async fn stop(self) {
        let Self {
            mut process, to, ..
        } = self;
        drop(to);
        let ended = tokio::time::timeout(PATIENCE, process.wait()).await;
        assert!(ended.expect("a node ends in time").unwrap().success());
    }
}

/// The node itself: `node NAME FOLDER SEEDS`.
pub(crate) async fn child(args: &[String]) {
    let [_, name, folder, seeds] = args else {
        panic!("node NAME FOLDER SEEDS");
    };
    let cluster = start(name, &PathBuf::from(folder), seeds).await;
    println!("{}", cluster.advertise());
    let handle = cluster.handle();
    let numbers = Rc::new(Cell::new(0));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words.as_slice() {
            ["whole", others] => whole(handle, others.parse().unwrap()).await,
            ["holds", sessions] => holds(handle, sessions.parse().unwrap()).await,
            ["read", id] => read(handle, id).await,
            ["fill", sessions] => fill(handle, sessions.parse().unwrap()).await,
            ["put", in_flight, millis, pids @ ..] => {
                let slots = vec![(handle.clone(), Rc::clone(&numbers)); in_flight.parse().unwrap()];
                let pids: Vec<u32> = pids.iter().map(|pid| pid.parse().unwrap()).collect();
                let took = closed_loop(slots, millis.parse().unwrap(), &pids, async |slot| {
                    let (handle, numbers) = slot;
                    numbers.set(numbers.get() + 1);
                    match handle.create(session(numbers.get())).await {
                        Ok(created) => created.acked == 2 && created.missing == 0,
                        Err(why) => refused(handle, why).await,
                    }
                });
                took.await.write()
            }
            other => panic!("{other:?}"),
        };
        println!("{answer}");
    }
    cluster.shutdown().await;
}

async fn start(name: &str, folder: &Path, seeds: &str) -> Cluster {
    let node = NodeName::parse(name).unwrap();
    let file = |end: &str| std::fs::read(folder.join(format!("{name}.{end}"))).unwrap();
    let identity = IdentityPem {
        certificate: &file("crt"),
        key: &file("key"),
        authority: &file("ca"),
    };
    let seeds = seeds.split(',').filter(|seed| !seed.is_empty());
    let seeds = seeds.map(Into::into).collect();
    cluster::start(node, &identity, seeds).await
}

/// Somebody's session, with one attribute: the value.
fn session(number: u64) -> NewReusable {
    let attributes = vec![("value".into(), vec![value(number)])];
    session_with(number % PEOPLE, attributes)
}

async fn whole(handle: &Handle, others: usize) -> String {
    until(async || {
        let status = handle.status().await.unwrap();
        let fit = |peer: &&_| {
            let peer: &castor_replication::engine::PeerStatus = peer;
            peer.link && peer.phase == Some(Phase::Ready)
        };
        handle.readiness() == Readiness::Ready && status.peers.iter().filter(fit).count() == others
    })
    .await;
    "whole".into()
}

async fn holds(handle: &Handle, sessions: u64) -> String {
    until(async || handle.store().len() as u64 == sessions).await;
    "holds".into()
}

async fn read(handle: &Handle, id: &str) -> String {
    let id = TicketId::parse(id).unwrap();
    until(async || handle.readiness() == Readiness::Ready).await;
    let ticket = handle
        .find(&id)
        .expect("a node that serves has every session");
    assert_eq!(ticket.body.id, id);
    "read".into()
}

/// A node that got no processor for 1.5 s takes itself for stopped, and meets the others before it serves again. What
/// is asked meanwhile is not acknowledged.
async fn refused(handle: &Handle, why: RequestError) -> bool {
    let pauses = handle.stats().pauses.load(Relaxed);
    eprintln!("not created: {why}; the process has stood still {pauses} times");
    assert!(handle.ready_within(PATIENCE).await, "it serves again");
    false
}

async fn fill(handle: &Handle, sessions: u64) -> String {
    let mut tasks = tokio::task::JoinSet::new();
    for part in 0..FILL_AT_ONCE {
        let handle = handle.clone();
        tasks.spawn(async move {
            let mut last = None;
            for number in (part..sessions).step_by(FILL_AT_ONCE as usize) {
                last = Some(
                    handle
                        .create(session(number))
                        .await
                        .unwrap()
                        .body
                        .id
                        .clone(),
                );
            }
            last
        });
    }
    let mut last = None;
    while let Some(done) = tasks.join_next().await {
        last = done.unwrap().or(last);
    }
    last.expect("at least one").as_str().to_owned()
}
