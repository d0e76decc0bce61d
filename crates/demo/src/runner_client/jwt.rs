//! The assertion in a token request: a JWT, signed with PS256.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::RSA_PSS_SHA256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::configuration::Configuration;

const LIFETIME_SECS: i64 = 300;

pub(super) fn assertion(configuration: &Configuration) -> Result<String, String> {
    let now = Timestamp::now();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unique = Sha256::digest(format!("{}{}", now.as_nanosecond(), std::process::id()));
    let claims = json!({
        "sub": configuration.client_id,
        "iss": configuration.client_id,
        "aud": configuration.authorization_url,
        "jti": URL_SAFE_NO_PAD.encode(unique),
        "nbf": now.as_second(),
        "exp": now.as_second() + LIFETIME_SECS,
    });
    let signed = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "PS256"})), part(&claims));
    let mut signature = vec![0; configuration.key.public_modulus_len()];
    configuration
        .key
        .sign(&RSA_PSS_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| "the runner's key cannot sign".to_owned())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
