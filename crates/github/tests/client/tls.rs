//! A client with a TLS configuration from its caller.

use std::sync::Arc;

use ecsrunner_core::id::JobId;
use ecsrunner_engine::ports::github::{GitHub, GitHubError};
use ecsrunner_github::{ApiUrl, CALL_LIMIT, Client, Credentials};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};
use secrecy::SecretString;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::{TOKEN, app};

/// Makes a configuration that trusts no certificate. Its only cipher suite identifies it.
fn set_up() -> ClientConfig {
    let suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384];
    let provider = CryptoProvider { cipher_suites: suites, ..aws_lc_rs::default_provider() };
    let mut tls = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    tls
}

/// Returns the cipher suites of a ClientHello, and whether it offers HTTP/2.
fn offered(hello: &[u8]) -> (Vec<u8>, bool) {
    // Record header 5, handshake header 4, version 2, random 32, then the session's id.
    let suites = 44 + usize::from(hello[43]);
    let length = usize::from(u16::from_be_bytes([hello[suites], hello[suites + 1]]));
    let has_h2 = hello.windows(3).any(|window| window == b"\x02h2");
    (hello[suites + 2..suites + 2 + length].to_vec(), has_h2)
}

#[tokio::test]
async fn a_given_tls_set_up_is_the_one_that_greets_github() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = ApiUrl::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let token = Credentials::Token(SecretString::from(TOKEN));
    let client = Client::with_tls(api, &token, CALL_LIMIT, Some(Arc::new(set_up()))).unwrap();
    let greeted = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = vec![0; 4096];
        let length = stream.read(&mut hello).await.unwrap();
        hello.truncate(length);
        // The listener is dropped too, so that a second attempt is refused.
        hello
    };
    let repository = app();
    let (hello, answer) = tokio::join!(greeted, client.job(&repository, JobId::new(1)));
    assert_eq!(offered(&hello), (vec![0x13, 0x02], false));
    assert!(matches!(answer, Err(GitHubError::Unreachable { .. })), "{answer:?}");
}
