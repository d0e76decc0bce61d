//! The App's own JWT: short-lived and signed with its private key.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{App, AppId, Bearer, CredentialsError};
use crate::reply::Fault;

/// Allows for clock drift, as GitHub recommends.
const BACKDATED_SECS: i64 = 60;
/// GitHub accepts an expiry of at most ten minutes ahead of its own clock.
const LIFE_SECS: i64 = 9 * 60;
/// How long a JWT is reused. Signing costs more than the rest of a call.
const SAID_AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// An App that can sign.
pub(super) struct Signer {
    id: AppId,
    key: EncodingKey,
    word: Mutex<Word>,
}

/// A JWT, and when it was signed.
struct Word {
    bearer: Bearer,
    signed_at: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
    exp: i64,
}

impl Signer {
    /// Signs a first JWT, so that an unusable key is reported at once.
    pub(super) fn new(app: &App) -> Result<Self, CredentialsError> {
        let refused = || CredentialsError::PrivateKey(app.id.clone());
        let key = EncodingKey::from_rsa_pem(app.private_key.expose_secret().as_bytes());
        let key = key.map_err(|_| refused())?;
        let now = Timestamp::now();
        let bearer = sign(&app.id, &key, now).map_err(|_| refused())?;
        Ok(Self { id: app.id.clone(), key, word: Mutex::new(Word { bearer, signed_at: now }) })
    }

    /// Returns a JWT that is valid for the next minutes.
    pub(super) fn bearer(&self, now: Timestamp) -> Result<Bearer, Fault> {
        let mut word = self.word.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.duration_since(word.signed_at);
        if !(SignedDuration::ZERO..SAID_AGAIN).contains(&age) {
            *word = Word { bearer: sign(&self.id, &self.key, now)?, signed_at: now };
        }
        Ok(word.bearer.clone())
    }
}

fn sign(id: &AppId, key: &EncodingKey, now: Timestamp) -> Result<Bearer, Fault> {
    let secs = now.as_second();
    let claims = Claims { iss: id.as_str(), iat: secs - BACKDATED_SECS, exp: secs + LIFE_SECS };
    let jwt = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, key).map_err(|error| {
        Fault::credentials(format!("the private key of GitHub App `{id}` cannot sign: {error}"))
    })?;
    Bearer::new(SecretString::from(jwt)).ok_or_else(|| Fault::credentials("a JWT is empty"))
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_demo::github::app_key;

    use super::*;

    #[test]
    fn a_token_is_used_for_some_minutes_and_then_signed_again() {
        let app = App::new("1234", app_key().private_pem.clone(), None).unwrap();
        let signer = Signer::new(&app).unwrap();
        let now = Timestamp::now();
        let first = signer.bearer(now).unwrap();
        assert!(signer.bearer(now + SAID_AGAIN / 2).unwrap().is(&first));
        let later = signer.bearer(now + SAID_AGAIN).unwrap();
        assert!(!later.is(&first));
        // If the clock was set back, a JWT from the future must be replaced.
        assert!(!signer.bearer(now - SAID_AGAIN).unwrap().is(&later));
    }
}
