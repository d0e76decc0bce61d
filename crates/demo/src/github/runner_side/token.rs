//! Tokens: a runner gets one for an assertion that it signs with its key.

use std::time::{Duration, Instant};

use axum::Form;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ecsrunner_core::id::{JobId, RunnerId};
use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::json;

use super::reply::{ServiceError, json as reply};
use super::{App, paths};
use crate::github::auth::{bearer, digest};
use crate::github::state::State;

const LIFETIME: Duration = Duration::from_secs(3_000);
/// How far a runner's clock may be off, in seconds.
const CLOCK_DRIFT_SECS: u64 = 300;

const GRANT: &str = "client_credentials";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The calls that a token allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::github) enum Bearer {
    Runner(RunnerId),
    /// The calls of a worker for its job.
    Job(JobId),
}

/// An issued token.
#[derive(Clone, Copy, Debug)]
pub(in crate::github) struct Token {
    pub(in crate::github) bearer: Bearer,
    pub(in crate::github) expires_at: Instant,
}

/// All fields are optional, so that a missing one leads to OAuth's own error.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenRequest {
    grant_type: String,
    client_assertion_type: String,
    client_assertion: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    iss: String,
}

pub(super) async fn token(Extract(shared): App, Form(request): Form<TokenRequest>) -> Response {
    let mut state = shared.state();
    match state.verify(&request) {
        Ok(runner) => {
            let token = state.random.hex(64);
            state.give_token(&token, Bearer::Runner(runner), LIFETIME);
            let body =
                json!({"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME.as_secs()});
            reply(StatusCode::OK, &body)
        }
        Err((error, description)) => {
            let body = json!({"error": error, "error_description": description});
            reply(StatusCode::BAD_REQUEST, &body)
        }
    }
}

fn is_about_time(error: &jsonwebtoken::errors::Error) -> bool {
    matches!(error.kind(), ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature)
}

impl State {
    /// Returns the runner that signed the assertion.
    fn verify(&self, request: &TokenRequest) -> Result<RunnerId, (&'static str, String)> {
        if request.grant_type != GRANT || request.client_assertion_type != ASSERTION {
            return Err(("unsupported_grant_type", "only signed client assertions are known".to_owned()));
        }
        let invalid = |why: &str| ("invalid_client", why.to_owned());
        let unread = jsonwebtoken::dangerous::insecure_decode::<Claims>(&request.client_assertion)
            .map_err(|error| invalid(&format!("the assertion cannot be read: {error}")))?;
        let registration = self
            .clients
            .get(&unread.claims.sub)
            .and_then(|id| self.registrations.get(id))
            .ok_or_else(|| invalid(&format!("Registration {} was not found.", unread.claims.sub)))?;
        let mut validation = Validation::new(Algorithm::PS256);
        validation.set_audience(&[format!("{}{}", self.base, paths::TOKEN)]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        validation.leeway = CLOCK_DRIFT_SECS;
        validation.validate_nbf = true;
        let read =
            jsonwebtoken::decode::<Claims>(&request.client_assertion, &registration.key.public, &validation);
        match read {
            Ok(read) if read.claims.iss == read.claims.sub => Ok(registration.id),
            Ok(_) => Err(invalid("the assertion's issuer is not its subject")),
            // The runner recognizes a wrong clock, as opposed to a deleted registration, by this text.
            Err(error) if is_about_time(&error) => Err(invalid(&format!(
                "the assertion is not valid at this time: {error}. Current server time is {}",
                Timestamp::now()
            ))),
            Err(error) => Err(invalid(&format!("the assertion does not hold: {error}"))),
        }
    }

    pub(in crate::github) fn give_token(&mut self, token: &str, bearer: Bearer, lifetime: Duration) {
        let now = Instant::now();
        self.runner_tokens.retain(|_, token| token.expires_at > now);
        let expires_at = now + lifetime;
        self.runner_tokens.insert(digest(token), Token { bearer, expires_at });
    }

    fn bearer(&self, headers: &HeaderMap) -> Option<Bearer> {
        let token = self.runner_tokens.get(&digest(bearer(headers).ok()?))?;
        (token.expires_at > Instant::now()).then_some(token.bearer)
    }

    /// Returns the runner of the caller's token.
    pub(super) fn calling_runner(&self, headers: &HeaderMap) -> Result<RunnerId, ServiceError> {
        match self.bearer(headers) {
            Some(Bearer::Runner(id)) => Ok(id),
            _ => Err(ServiceError::unauthorized()),
        }
    }

    /// Returns the job of the caller's token.
    pub(super) fn calling_job(&self, headers: &HeaderMap) -> Result<JobId, ServiceError> {
        match self.bearer(headers) {
            Some(Bearer::Job(id)) => Ok(id),
            _ => Err(ServiceError::unauthorized()),
        }
    }
}
