//! One request can be followed through the log and the audit record of the nodes it reached.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use castor_node::config::types::LogFormat;
use castor_node::ops::logging;
use castor_proto::ticket::TicketId;
use tracing::Dispatch;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use crate::util::{Browser, Cluster, Options};

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines that end a request.
    fn answered(&self) -> Vec<serde_json::Value> {
        let parsed = |line: &str| -> serde_json::Value { serde_json::from_str(line).unwrap() };
        let text = self.text();
        let lines = text.lines().map(parsed);
        lines.filter(|line| line["message"] == "answered").collect()
    }

    /// Takes what this thread logs from now on, as the program writes it.
    fn begin(&self, level: LevelFilter) -> tracing::subscriber::DefaultGuard {
        // With one subscriber alive, tracing decides what is logged by the thread that comes by a
        // place first, and most tests have no subscriber. With two it asks all.
        static OTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Registry::default()));
        LazyLock::force(&OTHER);
        let log = self.clone();
        let lines = logging::lines(LogFormat::Json, move || log.clone());
        let lines = lines.with_filter(level);
        tracing::subscriber::set_default(tracing_subscriber::registry().with(lines))
    }
}

#[tokio::test]
async fn the_issuing_and_the_validating_node_log_the_id_of_the_proxy_and_one_line_each() {
    let cluster = Cluster::three().await;
    let [issuer, validator, _] = cluster.nodes.as_slice() else {
        panic!("three nodes")
    };
    let mut browser = Browser::new();
    browser.sign_in(&issuer.router, "/cas/login").await;
    browser = {
        let mut proxied = Browser::new().with("castor-request-id", "f00dfeed01");
        proxied.cookies = browser.cookies;
        proxied
    };
    let log = Log::default();
    let logging = log.begin(LevelFilter::DEBUG);
    let service = "https://portal.example.edu/home";
    let login = format!("/cas/login?service={service}");
    let ticket = browser.get(&issuer.router, &login).await.ticket().unwrap();
    let path = format!("/cas/serviceValidate?service={service}&ticket={ticket}");
    let valid = browser.get(&validator.router, &path).await;
    assert!(valid.body.contains("<cas:authenticationSuccess>"));
    browser.get(&validator.router, "/cas/nothing").await;
    drop(logging);

    let lines = log.answered();
    let masked = TicketId::parse(&ticket).unwrap().masked();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            let span = &line["span"];
            assert_eq!(span["request_id"], "f00dfeed01", "{line}");
            assert_eq!(span["method"], "GET");
            assert!(line["milliseconds"].as_f64().unwrap() > 0.0);
            (
                span["endpoint"].as_str().unwrap(),
                line["status"].as_u64().unwrap(),
                span["ticket"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    let expected = [
        ("/cas/login", 302, masked.as_str()),
        ("/cas/serviceValidate", 200, masked.as_str()),
        ("other", 404, ""),
    ];
    assert_eq!(told, expected);
    assert!(!log.text().contains(&ticket), "whole ticket ids are secret");

    for (node, action) in [
        (0, "SERVICE_TICKET_CREATED"),
        (1, "SERVICE_TICKET_VALIDATED"),
    ] {
        let events = cluster.audit(node);
        let event = events.iter().find(|event| event["action"] == action);
        assert_eq!(event.unwrap()["requestId"], "f00dfeed01");
    }
}

#[tokio::test]
async fn a_warning_names_its_request_also_when_only_warnings_are_written() {
    let options = Options {
        tune: Some(|engine| engine.entries_max = 0),
        ..Options::default()
    };
    let cluster = Cluster::start(1, options).await;
    let router = &cluster.nodes[0].router;
    let log = Log::default();
    let logging = log.begin(LevelFilter::WARN);
    let mut browser = Browser::new().with("castor-request-id", "f00dfeed02");
    browser.sign_in(router, "/cas/login").await;
    drop(logging);
    let text = log.text();
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["message"], "no ticket", "and nothing else");
    assert_eq!(line["span"]["request_id"], "f00dfeed02");
}
