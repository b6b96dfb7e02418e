//! An application that hears of logouts: a listener that keeps what is sent to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long one request may take to arrive.
const LIMIT: Duration = Duration::from_secs(10);

/// Requests so far, each with the number of reads it took to arrive.
type Requests = Arc<Mutex<Vec<(String, usize)>>>;

/// A place where an application will listen, or listens.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    requests: Requests,
}

impl Listener {
    /// A place where nobody listens yet: connections are refused.
    pub(crate) fn nobody() -> Self {
        let place = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self {
            address: place.local_addr().expect("an address"),
            requests: Requests::default(),
        }
    }

    /// Listens from now on, until the test ends.
    pub(crate) fn listen(&self) {
        let listener = TcpListener::bind(self.address).expect("the port is still free");
        let requests = Arc::clone(&self.requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let requests = Arc::clone(&requests);
                std::thread::spawn(move || take(stream, &requests));
            }
        });
    }

    pub(crate) fn start() -> Self {
        let application = Self::nobody();
        application.listen();
        application
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far whose head begins so.
    pub(crate) fn requests(&self, head: &str) -> Vec<(String, usize)> {
        let requests = self.requests.lock().expect("no thread panics with it");
        let wanted = requests.iter().filter(|(text, _)| text.starts_with(head));
        wanted.cloned().collect()
    }
}

fn take(mut stream: TcpStream, requests: &Requests) {
    let _ = stream.set_read_timeout(Some(LIMIT));
    let mut text = String::new();
    let mut reads = 0;
    let mut buffer = vec![0; 65_536];
    while !is_whole(&text) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
        reads += 1;
    }
    requests
        .lock()
        .expect("no thread panics with it")
        .push((text, reads));
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/javascript\r\nContent-Length: 2\r\nConnection: close\r\n\r\n()");
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
