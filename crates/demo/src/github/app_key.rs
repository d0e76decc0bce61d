//! The RSA keys of the fake's Apps. That of the options' App is made at first use.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::prelude::{BASE64_STANDARD, Engine};
use secrecy::SecretString;
use simple_asn1::{ASN1Block, from_der};

/// Both halves of a key, in PEM.
#[derive(Debug)]
pub struct AppKey {
    /// The private key, which the App's owner keeps, as PKCS#8.
    pub private_pem: SecretString,
    /// The same as PKCS#1, as GitHub hands it out.
    pub rsa_private_pem: SecretString,
    pub public_pem: String,
}

static KEY: LazyLock<AppKey> = LazyLock::new(AppKey::generate);

/// Returns the key, which is the same throughout a process.
#[must_use]
pub fn app_key() -> &'static AppKey {
    &KEY
}

impl AppKey {
    #[expect(clippy::expect_used, reason = "the library makes a key, or nothing can be signed at all")]
    pub(super) fn generate() -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
        let private: Pkcs8V1Der<'_> = key.as_der().expect("a key in PKCS#8");
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().expect("a key in X.509");
        let inner = rsa_private_key(private.as_ref()).expect("an RSA key in PKCS#8");
        Self {
            private_pem: SecretString::from(pem("PRIVATE KEY", private.as_ref())),
            rsa_private_pem: SecretString::from(pem("RSA PRIVATE KEY", &inner)),
            public_pem: pem("PUBLIC KEY", public.as_ref()),
        }
    }
}

/// Returns the `RSAPrivateKey` (RFC 8017, A.1.2) in a PKCS#8 document (RFC 5208).
pub(super) fn rsa_private_key(der: &[u8]) -> Option<Vec<u8>> {
    let ASN1Block::Sequence(_, blocks) = from_der(der).ok()?.into_iter().next()? else { return None };
    blocks.into_iter().find_map(|block| match block {
        ASN1Block::OctetString(_, bytes) => Some(bytes),
        _ => None,
    })
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
