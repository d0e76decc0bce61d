//! The RSA keys that just-in-time configurations carry.
//!
//! GitHub makes one for each runner. This is slow, so the fake makes a few once
//! in each process, and uses them in turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};
use simple_asn1::{ASN1Block, from_der};

use super::app_key::rsa_private_key;

const KEYS: usize = 2;
/// Lengths of the numbers of a 2048-bit key. .NET refuses other lengths.
const MODULUS_BYTES: usize = 256;
const PRIME_BYTES: usize = 128;

/// A runner's key: the half that GitHub keeps, and the half that the runner gets.
pub(super) struct RunnerKey {
    /// Verifies the runner's signatures.
    pub(super) public: DecodingKey,
    /// The content of `.credentials_rsaparams`, which is a secret.
    pub(super) parameters: Value,
}

impl std::fmt::Debug for RunnerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunnerKey")
    }
}

static POOL: LazyLock<Vec<Arc<RunnerKey>>> =
    LazyLock::new(|| (0..KEYS).map(|_| Arc::new(RunnerKey::generate())).collect());
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Returns the next of this process's keys.
pub(super) fn next() -> Arc<RunnerKey> {
    Arc::clone(&POOL[NEXT.fetch_add(1, Ordering::Relaxed) % KEYS])
}

/// Makes the keys in advance, so that no request has to wait for them.
pub(super) fn prepare() {
    LazyLock::force(&POOL);
}

impl RunnerKey {
    #[expect(clippy::expect_used, reason = "the library makes a key, or nothing can be signed at all")]
    fn generate() -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).expect("an RSA key");
        let der: Pkcs8V1Der<'_> = key.as_der().expect("a key in PKCS#8");
        let numbers = private_numbers(der.as_ref()).expect("an RSA key in PKCS#8");
        let [_, modulus, exponent, d, p, q, dp, dq, inverse] = numbers;
        let text = |bytes: &[u8], length: usize| STANDARD.encode(padded(bytes, length));
        let parameters = json!({
            "d": text(&d, MODULUS_BYTES),
            "dp": text(&dp, PRIME_BYTES),
            "dq": text(&dq, PRIME_BYTES),
            "exponent": STANDARD.encode(&exponent),
            "inverseQ": text(&inverse, PRIME_BYTES),
            "modulus": text(&modulus, MODULUS_BYTES),
            "p": text(&p, PRIME_BYTES),
            "q": text(&q, PRIME_BYTES),
        });
        Self { public: DecodingKey::from_rsa_raw_components(&modulus, &exponent), parameters }
    }
}

/// Returns the nine numbers of an `RSAPrivateKey` in a PKCS#8 document (RFC 8017, A.1.2).
fn private_numbers(der: &[u8]) -> Option<[Vec<u8>; 9]> {
    let inner = rsa_private_key(der)?;
    let ASN1Block::Sequence(_, blocks) = from_der(&inner).ok()?.into_iter().next()? else { return None };
    let numbers = blocks.into_iter().map(|block| match block {
        ASN1Block::Integer(_, number) => Some(number.to_bytes_be().1),
        _ => None,
    });
    numbers.collect::<Option<Vec<_>>>()?.try_into().ok()
}

/// Pads a number with zeros on the left.
fn padded(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut padded = vec![0; length.saturating_sub(bytes.len())];
    padded.extend_from_slice(bytes);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_lengths_that_dotnet_demands() {
        let key = next();
        for (name, length) in [
            ("modulus", 256),
            ("d", 256),
            ("p", 128),
            ("q", 128),
            ("dp", 128),
            ("dq", 128),
            ("inverseQ", 128),
            ("exponent", 3),
        ] {
            let bytes = STANDARD.decode(key.parameters[name].as_str().unwrap()).unwrap();
            assert_eq!(bytes.len(), length, "{name}");
        }
        assert_eq!(key.parameters["exponent"], "AQAB");
    }

    /// Only about one number in 256 is short, too few for a test with real keys.
    #[test]
    fn a_short_number_is_padded_with_zeros_on_the_left() {
        assert_eq!(padded(&[1, 2], 4), [0, 0, 1, 2]);
        assert_eq!(padded(&[1, 2], 2), [1, 2]);
    }
}
