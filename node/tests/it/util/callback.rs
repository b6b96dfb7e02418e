//! Where an application takes proxy-granting tickets: a TLS listener on loopback with a certificate of its own
//! authority, which keeps what it was sent.

use std::path::Path;
use std::sync::{Arc, Mutex};

use castor_node::outbound::Trust;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Cluster;

/// A listening application.
pub(crate) struct Callback {
    pub(crate) port: u16,
    authority: tempfile::NamedTempFile,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Callback {
    /// Begins to listen; answers every request with a status line, or when that is empty not at all.
    pub(crate) async fn start(status: &'static str) -> Self {
        let (pem, acceptor) = certificate("localhost");
        let authority = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(authority.path(), pem).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    kept.lock().unwrap().push(String::from_utf8(head).unwrap());
                    if status.is_empty() {
                        std::future::pending::<()>().await;
                    }
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self {
            port,
            authority,
            requests,
        }
    }

    /// Makes every node believe its certificate.
    pub(crate) fn is_trusted_by(&self, cluster: &Cluster) {
        for node in &cluster.nodes {
            let file: &Path = self.authority.path();
            node.cas
                .outbound
                .set_trust(Trust::load(Some(file)).unwrap());
        }
    }

    /// The first lines of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let first = |request: &String| request.lines().next().unwrap().to_owned();
        requests.iter().map(first).collect()
    }

    /// A parameter of the newest request.
    pub(crate) fn parameter(&self, name: &str) -> String {
        let line = self.requests().pop().unwrap();
        let query = line.split_once('?').unwrap().1.split(' ').next().unwrap();
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(n, _)| *n == name).unwrap().1.to_owned()
    }
}

fn certificate(name: &str) -> (String, TlsAcceptor) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (pem, TlsAcceptor::from(Arc::new(config)))
}
