//! An application that calls another one in a person's name: each step at another node.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::clients::PROXIES;
use crate::clients::mod_auth_cas::Apache;
use crate::clients::phpcas::page;
use crate::support::demo::Demo;
use crate::support::listener::Listener;
use crate::support::person::{encode, validate_url};
use crate::support::visitor::Visitor;
use crate::support::wait;

const LIMIT: Duration = Duration::from_secs(10);
const SERVICE: &str = "http://127.0.0.1:8003/portal";

/// Takes proxy-granting tickets over TLS; answers 200 to everything.
struct Callback {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Callback {
    /// Listens with a certificate of the demo's authority until the test ends.
    fn start(web: &Path) -> Self {
        let certificate = CertificateDer::from_pem_file(web.join("front.pem"));
        let key = PrivateKeyDer::from_pem_file(web.join("front.key"));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let config = ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.expect("a certificate")],
                key.expect("a key"),
            );
        let config = Arc::new(config.expect("an identity"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = stream.set_read_timeout(Some(LIMIT));
                let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
                let mut stream = StreamOwned::new(session, stream);
                let mut head = [0; 8192];
                // A client that does not trust the certificate says so here.
                let Ok(count) = stream.read(&mut head) else {
                    continue;
                };
                let text = String::from_utf8_lossy(&head[..count]).into_owned();
                kept.lock().expect("no thread panics with it").push(text);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        Self {
            url: format!("https://localhost:{port}/pgt"),
            requests,
        }
    }

    /// `pgtIou` and `pgtId` of the only request.
    fn delivered(&self) -> (String, String) {
        let requests = self.requests.lock().expect("no thread panics with it");
        assert_eq!(requests.len(), 1, "{requests:?}");
        let line = requests[0].lines().next().expect("a line");
        let parameter = |name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=")).expect("the parameter");
            rest.split(['&', ' ']).next().expect("a value").to_owned()
        };
        (parameter("pgtIou"), parameter("pgtId"))
    }
}

fn ask(demo: &Demo, url: &str) -> Value {
    let answer = demo.person().get(url);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let parsed: Value = serde_json::from_str(&answer.body).expect("JSON");
    parsed["serviceResponse"].clone()
}

/// A cluster whose definitions allow proxying to callbacks of its own authority.
fn demo() -> (Demo, tempfile::TempDir) {
    let definitions = tempfile::tempdir().expect("a folder");
    std::fs::write(definitions.path().join("Proxies-78.json"), PROXIES).expect("a definition");
    let services = definitions.path().to_str().expect("UTF-8").to_owned();
    let demo = Demo::start_trusting_itself(&["--services", &services]);
    (demo, definitions)
}

#[test]
fn a_proxy_ticket_is_good_on_every_node_and_ends_with_the_session() {
    let (demo, _definitions) = demo();
    let [one, two, three] = [0, 1, 2].map(|node| demo.cluster.nodes[node].url.clone());
    let callback = Callback::start(&demo.folder().join("web"));
    let back_end = Listener::start();
    let inbox = back_end.url("/inbox");
    let proxy_url = |base: &str, pgt: &str| {
        let target = encode(&inbox);
        format!("{base}/proxy?pgt={pgt}&targetService={target}&format=JSON")
    };
    let mut person = demo.person();
    let ticket = person.sign_in(&demo.cluster, &demo.cluster.front, SERVICE);

    let url = validate_url(&one, SERVICE, &ticket);
    let told = ask(&demo, &format!("{url}&pgtUrl={}", encode(&callback.url)));
    let success = &told["authenticationSuccess"];
    assert_eq!(success["user"], json!(demo.cluster.username), "{told}");
    let (iou, pgt) = callback.delivered();
    assert_eq!(success["proxyGrantingTicket"], json!(iou));
    assert!(
        !told.to_string().contains(&pgt),
        "the callback alone is told"
    );

    let told = ask(&demo, &proxy_url(&two, &pgt));
    let pt = told["proxySuccess"]["proxyTicket"].as_str();
    let pt = pt.unwrap_or_else(|| panic!("{told}")).to_owned();
    let service_only = validate_url(&three, &inbox, &pt);
    let url = service_only.replace("serviceValidate", "proxyValidate");
    let told = ask(&demo, &url);
    let success = &told["authenticationSuccess"];
    assert_eq!(success["user"], json!(demo.cluster.username), "{told}");
    assert_eq!(success["proxies"], json!([callback.url]));
    for node in &demo.cluster.nodes {
        let url = url.replace(&three, &node.url);
        let told = ask(&demo, &url);
        assert_eq!(told["authenticationFailure"]["code"], "INVALID_TICKET");
    }

    let told = ask(&demo, &proxy_url(&three, &pgt));
    let unused = told["proxySuccess"]["proxyTicket"].as_str();
    let unused = unused.unwrap_or_else(|| panic!("{told}")).to_owned();
    assert_eq!(person.get(&format!("{two}/logout")).status, 200);
    for node in &demo.cluster.nodes {
        let told = ask(&demo, &proxy_url(&node.url, &pgt));
        let code = &told["authenticationFailure"]["code"];
        assert_eq!(code, "INVALID_TICKET", "{}: {told}", node.name);
        let url = validate_url(&node.url, &inbox, &unused);
        let told = ask(&demo, &url.replace("serviceValidate", "proxyValidate"));
        let code = &told["authenticationFailure"]["code"];
        assert_eq!(code, "INVALID_TICKET", "{}: {told}", node.name);
    }
    wait::until("the back end is told of the logout", LIMIT, || {
        (!back_end.requests("POST /inbox").is_empty()).then_some(())
    });
}

/// A proxy-granting ticket that the callback was told, for somebody who has just signed in.
fn granted(demo: &Demo, callback: &Callback) -> String {
    let mut person = demo.person();
    let ticket = person.sign_in(&demo.cluster, &demo.cluster.front, SERVICE);
    let url = validate_url(&demo.cluster.front, SERVICE, &ticket);
    let told = ask(demo, &format!("{url}&pgtUrl={}", encode(&callback.url)));
    let (iou, pgt) = callback.delivered();
    let success = &told["authenticationSuccess"];
    assert_eq!(success["proxyGrantingTicket"], json!(iou), "{told}");
    pgt
}

/// A proxy ticket for this application.
fn proxy_ticket(demo: &Demo, pgt: &str, application: &str) -> String {
    let (front, target) = (&demo.cluster.front, encode(application));
    let url = format!("{front}/proxy?pgt={pgt}&targetService={target}&format=JSON");
    let told = ask(demo, &url);
    let pt = told["proxySuccess"]["proxyTicket"].as_str();
    pt.unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[test]
fn mod_auth_cas_takes_proxy_tickets_where_it_asks_for_proxies() {
    let (demo, _definitions) = demo();
    let callback = Callback::start(&demo.folder().join("web"));
    let pgt = granted(&demo, &callback);
    let apache = Apache::start(&demo);
    for (site, user) in [(&apache.proxied, "casuser"), (&apache.site, "")] {
        let home = format!("{site}/app/");
        let pt = proxy_ticket(&demo, &pgt, &home);
        let mut program = Visitor::new(&demo);
        program.get(&format!("{home}?ticket={pt}"));
        let answer = program.get(&home);
        assert_eq!(
            answer.header("x-seen-user"),
            user,
            "{home}: {}",
            answer.status
        );
        assert_eq!(answer.status == 200, !user.is_empty(), "{home}");
    }
}

#[test]
fn phpcas_takes_tickets_of_the_proxy_it_allows_and_of_no_other() {
    let (demo, _definitions) = demo();
    let callback = Callback::start(&demo.folder().join("web"));
    let pgt = granted(&demo, &callback);
    let other = "https://localhost:1/pgt";
    for (allowed, welcome) in [(callback.url.as_str(), true), (other, false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (_program, home) = page(&demo, "3.0", allowed, folder.path());
        let pt = proxy_ticket(&demo, &pgt, &home);
        let mut program = Visitor::new(&demo);
        let answer = program.visit(&format!("{home}?ticket={pt}"));
        let told: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        if welcome {
            assert_eq!(
                told["user"],
                json!(demo.cluster.username),
                "{}",
                answer.body
            );
            assert_eq!(told["proxies"], json!([callback.url]));
        } else {
            assert_eq!(told["user"], Value::Null, "{}", answer.body);
        }
        assert_eq!(program.typed, 0, "a program has no password");
    }
}

#[test]
fn a_callback_of_an_unknown_authority_is_told_nothing() {
    let (demo, _definitions) = demo();
    // The other cluster's authority is as good as any, but not ours.
    let stranger = Demo::start();
    let callback = Callback::start(&stranger.folder().join("web"));
    let mut person = demo.person();
    let ticket = person.sign_in(&demo.cluster, &demo.cluster.front, SERVICE);
    let url = validate_url(&demo.cluster.nodes[1].url, SERVICE, &ticket);
    let told = ask(&demo, &format!("{url}&pgtUrl={}", encode(&callback.url)));
    let code = &told["authenticationFailure"]["code"];
    assert_eq!(code, "INVALID_PROXY_CALLBACK", "{told}");
    let requests = callback.requests.lock().expect("no thread panics with it");
    assert!(requests.is_empty(), "{requests:?}");
}
