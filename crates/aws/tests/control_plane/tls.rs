use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use ecsrunner_aws::connection::{Connection, ConnectionError, Environment};
use ecsrunner_aws::queue::SqsQueue;
use ecsrunner_engine::ports::queue::Queue;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::aws::{Aws, connection};

/// A TCP listener that speaks TLS.
struct Tls {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            // A client that does not trust the certificate disconnects.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// Serves a stand-in with a certificate that is written to that file. Returns the URL.
async fn serve(aws: &Aws, certificate_file: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(certificate_file, certificate.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let listener = Tls { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) };
    let router = aws.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn the_named_bundle_is_trusted_and_without_it_an_unknown_authority_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("ca.pem");
    let sent = json!({"MessageId": "1", "MD5OfMessageBody": "007df87aeebce022ec869941517e5ece"});
    let aws = Aws::answering([(200, sent)]);
    let url = serve(&aws, &bundle).await;
    let endpoint = ("AWS_ENDPOINT_URL", url.as_str());

    let distrustful = connection(&[endpoint]);
    assert!(SqsQueue::new(&distrustful, "https://queue").post_kick(Duration::ZERO).await.is_err());
    assert!(aws.requests().is_empty(), "nothing was sent");

    let trusting = connection(&[endpoint, ("AWS_CA_BUNDLE", bundle.to_str().unwrap())]);
    SqsQueue::new(&trusting, "https://queue").post_kick(Duration::ZERO).await.unwrap();
    assert_eq!(aws.requests().len(), 1);
}

#[test]
fn a_bundle_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let environment = |path: &Path| {
        let path = path.to_str().unwrap().to_owned();
        Environment::read(move |name| match name {
            "AWS_CA_BUNDLE" => Some(path.clone()),
            _ => Some("x".to_owned()).filter(|_| !name.contains("ENDPOINT")),
        })
        .unwrap()
    };
    let missing = Connection::new(environment(&dir.path().join("missing.pem"))).unwrap_err();
    assert!(matches!(missing, ConnectionError::Bundle { .. }), "{missing:?}");
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    let empty = Connection::new(environment(&empty)).unwrap_err().to_string();
    assert!(empty.ends_with("empty.pem`: it holds no certificate"), "{empty}");
}
