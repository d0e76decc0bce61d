//! Authenticates callers and checks their permissions.

use std::collections::{BTreeMap, HashMap, HashSet};

use axum::http::{HeaderMap, StatusCode, header};
use ecsrunner_core::id::Repository;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::api::Refusal;
use super::apps::RegisteredApp;
use super::options::App;
use super::state::State;

/// GitHub allows a JWT to expire at most 10 minutes from now.
const JWT_LIMIT_SECS: i64 = 600;

/// How far another machine's clock may be off, in seconds.
const CLOCK_DRIFT_SECS: i64 = 60;

/// The valid credentials. Only digests of tokens are kept.
#[derive(Debug)]
pub(super) struct Credentials {
    personal: HashSet<[u8; 32]>,
    apps: Vec<RegisteredApp>,
    installation: HashMap<[u8; 32], Grant>,
}

/// The permissions of an installation token.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    /// The account that the App is installed on.
    pub owner: String,
    /// `None` for all of the account's repositories.
    pub repositories: Option<HashSet<Repository>>,
    pub permissions: BTreeMap<String, String>,
    pub expires_at: Timestamp,
}

/// Read or write access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    Read,
    Write,
}

/// The object of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    Repository(&'a Repository),
    Organization(&'a str),
}

pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Credentials {
    pub(super) fn new(tokens: Vec<SecretString>, app: Option<App>) -> Self {
        let personal = tokens.iter().map(|token| digest(token.expose_secret())).collect();
        let apps = app.map(RegisteredApp::of_options).into_iter().collect();
        Self { personal, apps, installation: HashMap::new() }
    }

    pub(super) fn apps(&self) -> &[RegisteredApp] {
        &self.apps
    }

    pub(super) fn app_named(&self, slug: &str) -> Option<&RegisteredApp> {
        self.apps.iter().find(|app| app.slug == slug)
    }

    pub(super) fn app_named_mut(&mut self, slug: &str) -> Option<&mut RegisteredApp> {
        self.apps.iter_mut().find(|app| app.slug == slug)
    }

    pub(super) fn app_mut(&mut self, id: u64) -> Option<&mut RegisteredApp> {
        self.apps.iter_mut().find(|app| app.id == id)
    }

    pub(super) fn add(&mut self, app: RegisteredApp) {
        self.apps.push(app);
    }

    pub(super) fn keep(&mut self, token: &str, grant: Grant) {
        self.installation.insert(digest(token), grant);
    }

    /// Makes every installation token invalid at once.
    pub(super) fn expire_all(&mut self) {
        self.installation.clear();
    }
}

impl State {
    /// Returns the App whose JWT the caller sends.
    pub(super) fn authorize_app(&self, headers: &HeaderMap) -> Result<&RegisteredApp, Refusal> {
        let token = bearer(headers)?;
        if self.credentials.apps.is_empty() {
            return Err(Refusal::unauthorized("Bad credentials"));
        }
        let signed = self.credentials.apps.iter().find_map(|app| Some((app, claims(app, token)?)));
        let (app, claims) =
            signed.ok_or_else(|| Refusal::unauthorized("A JSON web token could not be decoded"))?;
        let now = Timestamp::now().as_second();
        let time = |name: &str| claims.get(name).and_then(serde_json::Value::as_i64);
        match time("iat") {
            Some(iat) if iat <= now + CLOCK_DRIFT_SECS => {}
            _ => return Err(Refusal::unauthorized("'Issued at' claim ('iat') is missing or in the future")),
        }
        match time("exp") {
            Some(exp) if exp <= now => {
                return Err(Refusal::unauthorized("'Expiration time' claim ('exp') has passed"));
            }
            Some(exp) if exp <= now + JWT_LIMIT_SECS => {}
            _ => {
                return Err(Refusal::unauthorized(
                    "'Expiration time' claim ('exp') is missing or too far in the future",
                ));
            }
        }
        let issuer = match claims.get("iss") {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Number(number)) => number.to_string(),
            _ => return Err(Refusal::unauthorized("'Issuer' claim ('iss') is missing")),
        };
        if issuer == app.id.to_string() || issuer == app.client_id {
            Ok(app)
        } else {
            Err(Refusal::new(StatusCode::NOT_FOUND, "Integration not found"))
        }
    }

    /// Checks that the caller sends any valid token.
    pub(super) fn authorize_any(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        self.grant(headers).map(|_| ())
    }

    /// Checks that the caller's token gives this access to the target.
    pub(super) fn authorize(
        &self,
        headers: &HeaderMap,
        target: Target<'_>,
        permission: &str,
        level: Level,
    ) -> Result<(), Refusal> {
        let grant = self.grant(headers)?;
        let owner = match target {
            Target::Repository(repository) => {
                if !self.repositories.contains_key(repository) {
                    return Err(Refusal::not_found());
                }
                repository.owner()
            }
            Target::Organization(login) => {
                let exists =
                    self.repositories.keys().any(|repository| repository.owner().eq_ignore_ascii_case(login));
                if !exists || self.is_user(login) {
                    return Err(Refusal::not_found());
                }
                login
            }
        };
        let Some(grant) = grant else { return Ok(()) };
        let reachable = grant.owner.eq_ignore_ascii_case(owner)
            && match (target, &grant.repositories) {
                (Target::Repository(repository), Some(repositories)) => repositories.contains(repository),
                _ => true,
            };
        if !reachable {
            return Err(Refusal::not_found());
        }
        let held = grant.permissions.get(permission).map(String::as_str);
        let sufficient = match level {
            // Every token may read metadata.
            Level::Read => permission == "metadata" || matches!(held, Some("read" | "write" | "admin")),
            Level::Write => matches!(held, Some("write" | "admin")),
        };
        if sufficient {
            Ok(())
        } else {
            Err(Refusal::new(StatusCode::FORBIDDEN, "Resource not accessible by integration"))
        }
    }

    /// Returns the permissions of the caller's token; `None` for all permissions.
    pub(super) fn grant(&self, headers: &HeaderMap) -> Result<Option<&Grant>, Refusal> {
        let token = digest(bearer(headers)?);
        if self.credentials.personal.contains(&token) {
            return Ok(None);
        }
        match self.credentials.installation.get(&token) {
            Some(grant) if grant.expires_at > Timestamp::now() => Ok(Some(grant)),
            _ => Err(Refusal::unauthorized("Bad credentials")),
        }
    }

    /// Returns when a token that is made now expires.
    pub(super) fn token_end(&self) -> Timestamp {
        let secs = self.faults.token_lifetime_secs.unwrap_or(3_600);
        Timestamp::now() + SignedDuration::from_secs(i64::try_from(secs).unwrap_or(3_600))
    }
}

/// Returns the claims of a JWT that this App has signed.
fn claims(app: &RegisteredApp, token: &str) -> Option<serde_json::Value> {
    let key = DecodingKey::from_rsa_pem(app.public_key_pem.as_bytes()).map_err(|error| {
        tracing::warn!(%error, app = app.id, "the App's public key cannot be read");
    });
    let mut validation = Validation::new(Algorithm::RS256);
    // GitHub's rules on time are stricter than the library's, and are checked by the caller.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    Some(jsonwebtoken::decode(token, &key.ok()?, &validation).ok()?.claims)
}

/// Returns the token of the `Authorization` header. GitHub accepts `Bearer` and `token`.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| Refusal::unauthorized("Requires authentication"))
}
