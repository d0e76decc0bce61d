//! The RSA key of the fake's App, made at first use.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::prelude::{BASE64_STANDARD, Engine};
use secrecy::SecretString;

/// Both halves of a key, in PEM.
#[derive(Debug)]
pub struct AppKey {
    /// The private key, which the App's owner keeps.
    pub private_pem: SecretString,
    pub public_pem: String,
}

static KEY: LazyLock<AppKey> = LazyLock::new(generate);

/// Returns the key, which is the same throughout a process.
#[must_use]
pub fn app_key() -> &'static AppKey {
    &KEY
}

#[expect(clippy::expect_used, reason = "the library makes a key, or nothing can be signed at all")]
fn generate() -> AppKey {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
    let private: Pkcs8V1Der<'_> = key.as_der().expect("a key in PKCS#8");
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().expect("a key in X.509");
    AppKey {
        private_pem: SecretString::from(pem("PRIVATE KEY", private.as_ref())),
        public_pem: pem("PUBLIC KEY", public.as_ref()),
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {kind}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + &format!("-----END {kind}-----\n")
}
