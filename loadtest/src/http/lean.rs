//! HTTP/1.1 on one kept connection with as little work as can be, for load that shares its
//! processors with what it measures: the caller brings whole requests, nothing is copied out.
//!
//! Promises: an answer is whole and well framed (a length, chunks, or the end of the connection) or
//! an error; nothing is re-sent; a connection that the server ends is opened again for the next
//! request; what takes longer than the client's time-out is an error, and its connection is dropped.
//! Does not: pool, follow redirects, keep cookies.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::{Stream, connect};
use super::{BODY_BYTES_MAX, CallError, Origin};

/// Largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const BUFFER_BYTES: usize = 16 * 1024;

/// A connection to one origin.
pub struct Lean {
    origin: Origin,
    tls: Arc<ClientConfig>,
    timeout: Duration,
    stream: Option<Stream>,
    buffer: Vec<u8>,
    filled: usize,
    body: Vec<u8>,
}

/// A whole answer, in the connection's own memory.
#[derive(Debug)]
pub struct Reply<'a> {
    /// Status.
    pub status: u16,
    /// Head, with the line of the status.
    pub head: &'a [u8],
    /// Whole body.
    pub body: &'a [u8],
}

impl Reply<'_> {
    /// The first header of this name, when it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        lines(self.head)
            .filter_map(|line| value_of(line, name))
            .find_map(|value| std::str::from_utf8(value).ok())
    }
}

/// What the head says about the rest.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    status: u16,
    body: Body,
    close: bool,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Body {
    Length(usize),
    Chunks,
    UntilEnd,
}

/// How an answer is framed, where its body begins, and where that is in the buffer.
type Whole = (Frame, usize, (usize, usize));

impl Lean {
    pub(super) fn new(origin: Origin, tls: Arc<ClientConfig>, timeout: Duration) -> Self {
        Self {
            origin,
            tls,
            timeout,
            stream: None,
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
            body: Vec::new(),
        }
    }

    /// `host:port`, for the `Host` header.
    pub fn authority(&self) -> String {
        self.origin.authority()
    }

    /// Opens the connection when it is not open.
    ///
    /// # Errors
    /// [`CallError::Connect`], [`CallError::Timeout`].
    pub async fn open(&mut self) -> Result<(), CallError> {
        if self.stream.is_none() {
            let stream = connect(&self.origin, &self.tls, None);
            let stream = tokio::time::timeout(self.timeout, stream).await;
            self.stream = Some(stream.unwrap_or(Err(CallError::Timeout))?);
        }
        Ok(())
    }

    /// Sends a whole request and reads the whole answer.
    ///
    /// *Cancel safety*: an exchange that is dropped takes its connection with it; the next one opens another.
    ///
    /// # Errors
    /// [`CallError`]; after `Broken` and `Timeout` the server may have done the work.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Reply<'_>, CallError> {
        self.open().await?;
        let Some(mut stream) = self.stream.take() else {
            return Err(CallError::Broken("no connection".to_owned()));
        };
        self.filled = 0;
        let answer = tokio::time::timeout(self.timeout, self.run(&mut stream, request)).await;
        let answer = answer.map_err(|_| CallError::Timeout)?;
        let (frame, head, body) = answer.map_err(CallError::Broken)?;
        if !frame.close {
            self.stream = Some(stream);
        }
        let body = match frame.body {
            Body::Chunks => self.body.as_slice(),
            _ => self.buffer.get(body.0..body.1).unwrap_or_default(),
        };
        Ok(Reply {
            status: frame.status,
            head: self.buffer.get(..head).unwrap_or_default(),
            body,
        })
    }

    async fn run(&mut self, stream: &mut Stream, request: &[u8]) -> Result<Whole, String> {
        let written = match stream {
            Stream::Plain(stream) => stream.write_all(request).await,
            Stream::Tls(stream) => stream.write_all(request).await,
        };
        written.map_err(|error| error.to_string())?;
        let mut looked = 0;
        let head = loop {
            let filled = self.buffer.get(..self.filled).unwrap_or_default();
            if let Some(at) = end_of_head(filled, looked) {
                break at;
            }
            looked = self.filled;
            if self.filled > HEAD_BYTES_MAX {
                return Err("a head of more than 64 KiB".to_owned());
            }
            if self.read(stream).await? == 0 {
                return Err("the connection ended before the answer".to_owned());
            }
        };
        let frame = frame_of(self.buffer.get(..head).unwrap_or_default())?;
        let end = match frame.body {
            Body::Length(length) => {
                while self.filled < head + length {
                    if self.read(stream).await? == 0 {
                        return Err("the connection ended within the answer".to_owned());
                    }
                }
                head + length
            }
            Body::UntilEnd => {
                while self.read(stream).await? > 0 {}
                self.filled
            }
            Body::Chunks => loop {
                self.body.clear();
                let rest = self.buffer.get(head..self.filled).unwrap_or_default();
                if unchunk(rest, &mut self.body)? {
                    break self.filled;
                }
                if self.read(stream).await? == 0 {
                    return Err("the connection ended within the answer".to_owned());
                }
            },
        };
        if end < self.filled {
            return Err("more bytes than the answer has".to_owned());
        }
        Ok((frame, head, (head, end)))
    }

    async fn read(&mut self, stream: &mut Stream) -> Result<usize, String> {
        if self.filled == self.buffer.len() {
            if self.filled > BODY_BYTES_MAX {
                return Err("an answer of more than 1 MiB".to_owned());
            }
            self.buffer.resize(self.filled * 2, 0);
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let read = match stream {
            Stream::Plain(stream) => stream.read(room).await,
            Stream::Tls(stream) => stream.read(room).await,
        };
        let read = read.map_err(|error| error.to_string())?;
        self.filled += read;
        Ok(read)
    }
}

/// Where the body begins, when the whole head is there; the first `looked` bytes had no end.
fn end_of_head(bytes: &[u8], looked: usize) -> Option<usize> {
    let from = looked.saturating_sub(3);
    let rest = bytes.get(from..)?;
    let at = rest.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(from + at + 4)
}

/// The lines after the first.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n').skip(1)
}

fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (key, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    key.eq_ignore_ascii_case(name.as_bytes())
        .then(|| value.trim_ascii())
}

fn frame_of(head: &[u8]) -> Result<Frame, String> {
    let status = head
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok())
        .and_then(|digits| digits.parse::<u16>().ok())
        .ok_or("no HTTP/1.1 answer")?;
    let mut frame = Frame {
        status,
        body: Body::UntilEnd,
        close: false,
    };
    for line in lines(head) {
        // Few lines begin so: the rest is skipped after one byte.
        match line.first() {
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(line, "content-length") {
                    let length = std::str::from_utf8(value)
                        .ok()
                        .and_then(|text| text.parse::<usize>().ok())
                        .filter(|length| *length <= BODY_BYTES_MAX)
                        .ok_or("a Content-Length that is none or too large")?;
                    frame.body = Body::Length(length);
                } else if let Some(value) = value_of(line, "connection") {
                    frame.close = value.eq_ignore_ascii_case(b"close");
                }
            }
            Some(b't' | b'T') => {
                if let Some(value) = value_of(line, "transfer-encoding") {
                    if !value.eq_ignore_ascii_case(b"chunked") {
                        return Err("an unknown Transfer-Encoding".to_owned());
                    }
                    frame.body = Body::Chunks;
                }
            }
            _ => {}
        }
    }
    match (status, frame.body) {
        (204 | 304, _) => frame.body = Body::Length(0),
        (_, Body::UntilEnd) if !frame.close => {
            return Err("an answer without a length".to_owned());
        }
        _ => {}
    }
    Ok(frame)
}

/// Puts the chunks together; true when the last one is there.
fn unchunk(mut bytes: &[u8], body: &mut Vec<u8>) -> Result<bool, String> {
    loop {
        let Some(at) = bytes.windows(2).position(|two| two == b"\r\n") else {
            return Ok(false);
        };
        let (line, rest) = bytes.split_at(at);
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(size.trim_ascii())
            .ok()
            .and_then(|text| usize::from_str_radix(text, 16).ok())
            .filter(|size| *size <= BODY_BYTES_MAX)
            .ok_or("a chunk without a size")?;
        let rest = rest.get(2..).unwrap_or_default();
        if rest.len() < size + 2 {
            return Ok(false);
        }
        if size == 0 {
            return if rest == b"\r\n" {
                Ok(true)
            } else {
                Err("lines after the last chunk".to_owned())
            };
        }
        if body.len() + size > BODY_BYTES_MAX {
            return Err("an answer of more than 1 MiB".to_owned());
        }
        body.extend_from_slice(rest.get(..size).unwrap_or_default());
        bytes = rest.get(size + 2..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::http::Client;

    /// What comes of `answer`, sent in pieces of `piece` bytes.
    async fn of(answer: &'static str, piece: usize) -> Result<(u16, String, bool), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut request = [0; 64];
            let _ = stream.read(&mut request).await.unwrap();
            for piece in answer.as_bytes().chunks(piece) {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let client = Client::new(None, Duration::from_secs(5)).unwrap();
        let mut lean = client.lean(&format!("http://{address}/")).unwrap();
        let reply = lean.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let reply = reply
            .map(|reply| {
                (
                    reply.status,
                    String::from_utf8(reply.body.to_vec()).unwrap(),
                )
            })
            .map_err(|error| error.to_string());
        server.await.unwrap();
        reply.map(|(status, body)| (status, body, lean.stream.is_some()))
    }

    #[tokio::test]
    async fn an_answer_is_whole_however_it_comes() {
        for piece in [1, 3, 1000] {
            let length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
            assert_eq!(of(length, piece).await, Ok((200, "hello".into(), true)));
            let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                          2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n";
            assert_eq!(of(chunks, piece).await, Ok((200, "hello".into(), true)));
            let close = "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /x\r\n\r\nhello";
            assert_eq!(of(close, piece).await, Ok((302, "hello".into(), false)));
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_not_whole_is_an_error() {
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: no\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhe\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
        ] {
            assert!(of(answer, 1000).await.is_err(), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn no_answer_is_an_error_after_a_while_and_the_next_request_has_a_new_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = Client::new(None, Duration::from_millis(50)).unwrap();
        let mut lean = client.lean(&format!("http://{address}/")).unwrap();
        for _ in 0..2 {
            let reply = lean.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert!(matches!(reply, Err(CallError::Timeout)), "{reply:?}");
            assert!(lean.stream.is_none());
        }
        let (first, _) = listener.accept().await.unwrap();
        let (second, _) = listener.accept().await.unwrap();
        assert_ne!(first.peer_addr().unwrap(), second.peer_addr().unwrap());
    }

    #[test]
    fn headers_are_found_whatever_their_case() {
        let reply = Reply {
            status: 302,
            head: b"HTTP/1.1 302 Found\r\nlocation: https://a/?ticket=ST-1\r\nX: y\r\n\r\n",
            body: b"",
        };
        assert_eq!(reply.header("Location"), Some("https://a/?ticket=ST-1"));
        assert_eq!(reply.header("Locatio"), None);
    }
}
