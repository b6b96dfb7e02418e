//! An application on loopback that takes logout requests.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What came in, in order, and what is answered.
#[derive(Default)]
struct Story {
    bodies: Vec<String>,
    /// Statuses of the next answers; 200 when there are none, no answer at 0.
    statuses: VecDeque<u16>,
}

/// An application; it goes with the runtime.
#[derive(Clone)]
pub(crate) struct Application {
    pub(crate) address: SocketAddr,
    story: Arc<Mutex<Story>>,
}

impl Application {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let story: Arc<Mutex<Story>> = Arc::default();
        let told = Arc::clone(&story);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&told)));
            }
        });
        Self { address, story }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers the next requests with these statuses; 0 keeps silent.
    pub(crate) fn will_answer(&self, statuses: &[u16]) {
        self.story.lock().unwrap().statuses.extend(statuses);
    }

    /// The logout requests so far, decoded.
    pub(crate) fn requests(&self) -> Vec<String> {
        let story = self.story.lock().unwrap();
        let decode = |body: &String| {
            let form = castor_node::web::form::Form::parse(body.as_bytes()).unwrap();
            form.one("logoutRequest").unwrap().unwrap().to_owned()
        };
        story.bodies.iter().map(decode).collect()
    }
}

async fn take(mut stream: TcpStream, story: Arc<Mutex<Story>>) {
    let mut buffer = vec![0; 65_536];
    // One read, as the strictest application does it.
    let count = stream.read(&mut buffer).await.unwrap_or(0);
    let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
    let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let status = {
        let mut story = story.lock().unwrap();
        story.bodies.push(body.to_owned());
        story.statuses.pop_front().unwrap_or(200)
    };
    if status == 0 {
        let _ = stream.read(&mut buffer).await;
        return;
    }
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// The text of an element of a logout request.
pub(crate) fn element<'a>(request: &'a str, name: &str) -> &'a str {
    let (_, rest) = request.split_once(&format!("<{name}")).unwrap();
    let (_, rest) = rest.split_once('>').unwrap();
    rest.split('<').next().unwrap()
}

/// The id of a logout request.
pub(crate) fn id(request: &str) -> &str {
    let (_, rest) = request.split_once(" ID=\"").unwrap();
    rest.split('"').next().unwrap()
}
