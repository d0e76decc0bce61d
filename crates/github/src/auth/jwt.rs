//! The App's own word: a short JWT signed with its private key.

use std::fmt;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{App, AppId, Bearer, CredentialsError};
use crate::reply::Fault;

/// GitHub's advice against clocks that differ.
const BACKDATED_SECS: i64 = 60;
/// GitHub takes at most ten minutes from its own clock's now.
const LIFE_SECS: i64 = 9 * 60;

/// An App that can sign.
pub(super) struct Signer {
    id: AppId,
    key: EncodingKey,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
    exp: i64,
}

impl Signer {
    /// Signs once, so that a key that cannot sign is known at once.
    pub(super) fn new(app: &App) -> Result<Self, CredentialsError> {
        let refused = || CredentialsError::PrivateKey(app.id.clone());
        let key = EncodingKey::from_rsa_pem(app.private_key.expose_secret().as_bytes());
        let signer = Self { id: app.id.clone(), key: key.map_err(|_| refused())? };
        signer.sign(Timestamp::UNIX_EPOCH).map_err(|_| refused())?;
        Ok(signer)
    }

    /// A JWT that says who we are, for the next minutes.
    pub(super) fn bearer(&self, now: Timestamp) -> Result<Bearer, Fault> {
        let jwt = self.sign(now).map_err(|error| {
            Fault::credentials(format!("the key of GitHub App `{}` does not sign: {error}", self.id))
        })?;
        Bearer::new(SecretString::from(jwt)).ok_or_else(|| Fault::credentials("a JWT is empty"))
    }

    fn sign(&self, now: Timestamp) -> Result<String, jsonwebtoken::errors::Error> {
        let now = now.as_second();
        let claims = Claims { iss: self.id.as_str(), iat: now - BACKDATED_SECS, exp: now + LIFE_SECS };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}
