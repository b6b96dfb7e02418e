//! Three processes of `redis-server`, and as little of a client as can be.
//!
//! `WAIT` keeps its connection, so each put under way has a connection of its own, as clients do. `SET` and
//! `WAIT` go out in one write: sent one after the other they would take two round trips.

use std::cell::Cell;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use castor_replication::driver::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::PATIENCE;
use crate::load::{Took, VALUE, closed_loop, value};

/// Values that are sent in one write while they are not measured.
const FILL_AT_ONCE: u64 = 1_000;

struct Server {
    port: u16,
    process: Child,
}

impl Server {
    async fn start(folder: &Path, name: &str) -> Self {
        // Free a moment ago; another program would have to take it just now.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let place: PathBuf = folder.join(name);
        fs::create_dir_all(&place).unwrap();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--daemonize", "no", "--save", "", "--appendonly", "no"])
            .args([
                "--repl-diskless-sync",
                "yes",
                "--repl-diskless-sync-delay",
                "0",
            ])
            .args(["--repl-diskless-load", "on-empty-db"])
            // Faster than with it, where the way is no bottleneck.
            .args(["--rdbcompression", "no"])
            // A full synchronisation is to be measured, and nothing is to be cut off.
            .args(["--client-output-buffer-limit", "replica 0 0 0"])
            .arg("--dir")
            .arg(&place)
            .arg("--pidfile")
            .arg(place.join("pid"))
            .arg("--logfile")
            .arg(place.join("log"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server is installed");
        let server = Self { port, process };
        server.until("PING", |answer| answer.contains("PONG")).await;
        server
    }

    fn pid(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// Asks again and again until the answer is as wished.
    async fn until(&self, question: &str, wished: impl Fn(&str) -> bool) {
        let asking = async {
            loop {
                if let Ok(mut connection) = Connection::open(self.port).await
                    && wished(&connection.ask(question).await)
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, asking).await;
        in_time.unwrap_or_else(|_| panic!("redis-server at {}: {question}", self.port));
    }

    async fn follow(&self, primary: u16) {
        let mut connection = Connection::open(self.port).await.unwrap();
        let answer = connection
            .ask(&format!("REPLICAOF 127.0.0.1 {primary}"))
            .await;
        assert!(answer.starts_with("+OK"), "{answer}");
    }
}

/// A primary, its replicas, and one more that follows nobody yet.
pub(crate) struct Trio {
    primary: Server,
    replicas: Vec<Server>,
    spare: Option<Server>,
    numbers: Rc<Cell<u64>>,
}

impl Trio {
    /// Starts three; so many of them are replicas.
    pub(crate) async fn start(folder: &Path, following: usize) -> Self {
        let primary = Server::start(folder, "redis-1").await;
        let mut others = vec![
            Server::start(folder, "redis-2").await,
            Server::start(folder, "redis-3").await,
        ];
        let spare = others.split_off(following).pop();
        for replica in &others {
            replica.follow(primary.port).await;
        }
        let online = "state=online";
        primary
            .until("INFO replication", |answer| {
                answer.matches(online).count() == following
            })
            .await;
        Self {
            primary,
            replicas: others,
            spare,
            numbers: Rc::default(),
        }
    }

    fn pids(&self) -> Vec<u32> {
        let all = self.replicas.iter().chain([&self.primary]);
        all.map(Server::pid).collect()
    }

    /// Independent clients, each with a connection.
    pub(crate) async fn put(&self, in_flight: usize, millis: u64) -> Took {
        let mut slots = Vec::new();
        for _ in 0..in_flight {
            let connection = Connection::open(self.primary.port).await.unwrap();
            slots.push((connection, Rc::clone(&self.numbers)));
        }
        closed_loop(slots, millis, &self.pids(), async |slot| {
            let (connection, numbers) = slot;
            numbers.set(numbers.get() + 1);
            connection.put(numbers.get(), 1, 2).await
        })
        .await
    }

    /// One client that gathers what it has to put; each of them counts.
    pub(crate) async fn put_gathered(&self, count: u64, millis: u64) -> Took {
        let connection = Connection::open(self.primary.port).await.unwrap();
        let slots = vec![(connection, Rc::clone(&self.numbers))];
        let mut took = closed_loop(slots, millis, &self.pids(), async move |slot| {
            let (connection, numbers) = slot;
            numbers.set(numbers.get() + count);
            connection.put(numbers.get(), count, 2).await
        })
        .await;
        let times = |each: &u32| std::iter::repeat_n(*each, count as usize);
        took.each = took.each.iter().flat_map(times).collect();
        took
    }

    /// Puts the values of the first numbers and returns when the replicas have them.
    pub(crate) async fn fill(&self, values: u64) {
        let mut connection = Connection::open(self.primary.port).await.unwrap();
        let mut number = 0;
        while number < values {
            let count = FILL_AT_ONCE.min(values - number);
            number += count;
            connection.put(number, count, self.replicas.len()).await;
        }
        for server in self.replicas.iter().chain([&self.primary]) {
            let all = format!(":{values}\r\n");
            server.until("DBSIZE", |answer| answer == all).await;
        }
    }

    /// From REPLICAOF until the spare one has answered a read, in microseconds; empty again afterwards.
    pub(crate) async fn fill_third(&self, values: u64) -> u64 {
        let spare = self.spare.as_ref().unwrap();
        let mut connection = Connection::open(spare.port).await.unwrap();
        let clock = Clock::new();
        let began = clock.mono();
        spare.follow(self.primary.port).await;
        while !connection
            .ask("INFO replication")
            .await
            .contains("master_link_status:up")
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let found = connection.ask(&format!("GET {}", key(values))).await;
        let took = clock.mono() - began;
        assert!(found.contains(&value(values)), "the value is there");
        assert_eq!(connection.ask("DBSIZE").await, format!(":{values}\r\n"));
        assert!(connection.ask("REPLICAOF NO ONE").await.starts_with("+OK"));
        assert!(connection.ask("FLUSHALL SYNC").await.starts_with("+OK"));
        took
    }
}

/// As long as the id of a session of Castor.
fn key(number: u64) -> String {
    format!("TGT-{number}-{:064}", number)
}

struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    read: Vec<u8>,
}

impl Connection {
    async fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            out: Vec::new(),
            read: vec![0; 4 << 10],
        })
    }

    /// Sets the last `count` numbers up to this one and waits for so many replicas, in one write; whether they
    /// have them.
    async fn put(&mut self, number: u64, count: u64, replicas: usize) -> bool {
        self.out.clear();
        for number in number + 1 - count..=number {
            let (key, value) = (key(number), value(number));
            let set = format!(
                "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${VALUE}\r\n{value}\r\n",
                key.len()
            );
            self.out.extend_from_slice(set.as_bytes());
        }
        // As long as Castor waits for its peers.
        let wait = format!("*3\r\n$4\r\nWAIT\r\n$1\r\n{replicas}\r\n$4\r\n1000\r\n");
        self.out.extend_from_slice(wait.as_bytes());
        self.stream.write_all(&self.out).await.unwrap();
        let wanted = 5 * count as usize + 4;
        self.read.resize(self.read.len().max(wanted), 0);
        let mut filled = 0;
        while filled < wanted {
            let more = self.stream.read(&mut self.read[filled..]).await.unwrap();
            assert!(more > 0, "the connection stays");
            filled += more;
        }
        let answer = &self.read[..filled];
        assert!(
            answer.starts_with(b"+OK\r\n"),
            "{}",
            String::from_utf8_lossy(answer)
        );
        answer.ends_with(format!("\r\n:{replicas}\r\n").as_bytes())
    }

    /// One question of single words; the whole answer.
    async fn ask(&mut self, question: &str) -> String {
        self.stream.write_all(question.as_bytes()).await.unwrap();
        self.stream.write_all(b"\r\n").await.unwrap();
        let mut answer = Vec::new();
        loop {
            let more = self.stream.read(&mut self.read).await.unwrap();
            answer.extend_from_slice(&self.read[..more]);
            let text = String::from_utf8_lossy(&answer);
            let Some((first, rest)) = text.split_once("\r\n") else {
                assert!(more > 0, "the connection stays");
                continue;
            };
            let whole = match first
                .strip_prefix('$')
                .map(|length| length.parse::<usize>())
            {
                Some(Ok(length)) => rest.len() == length + 2,
                _ => true,
            };
            if whole {
                return text.into_owned();
            }
        }
    }
}
