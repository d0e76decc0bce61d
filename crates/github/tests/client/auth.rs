//! A GitHub App's JWT and tokens, and secrets that are never shown.

use std::sync::atomic::{AtomicUsize, Ordering};

use ecsrunner_core::id::{JobId, Repository, RunnerId};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_demo::github::app_key;
use ecsrunner_engine::ports::github::{Deletion, GitHub, GitHubError};
use ecsrunner_github::{App, AppId, Client, ClientError, Credentials, InstallationId};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::responder::{Answer, Asked, Responder};
use crate::{TOKEN, app as repository, in_organization, in_repository};

fn app_client(github: &Responder, installation: Option<u64>) -> Client {
    let app = App {
        id: AppId::parse("Iv23liEXAMPLE").unwrap(),
        private_key: app_key().private_pem.clone(),
        installation: installation.map(InstallationId::new),
    };
    Client::new(github.api(), &Credentials::App(app)).unwrap()
}

/// Returns the claims of a request's JWT, if its signature is valid.
fn claims(asked: &Asked) -> Value {
    let jwt = asked.header("authorization").strip_prefix("Bearer ").unwrap();
    let key = DecodingKey::from_rsa_pem(app_key().public_pem.as_bytes()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_required_spec_claims(&["exp", "iss"]);
    jsonwebtoken::decode::<Value>(jwt, &key, &validation).unwrap().claims
}

fn minted(serial: usize, life: SignedDuration) -> Answer {
    let token = format!("ghs_{serial}_{}", "x".repeat(510));
    let ends = (Timestamp::now() + life).to_string();
    Answer::new(201, &json!({"token": token, "expires_at": ends, "permissions": {}}))
}

/// Installation 42, with numbered tokens that last for `life`. `answer` handles all other requests.
async fn github_with_tokens(
    life: SignedDuration,
    answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> Responder {
    let serial = AtomicUsize::new(0);
    Responder::start(move |asked| {
        Some(if asked.line.ends_with("/installation") {
            Answer::new(200, &json!({"id": 42, "account": {"login": "acme"}}))
        } else if asked.line.ends_with("/access_tokens") {
            minted(serial.fetch_add(1, Ordering::Relaxed), life)
        } else {
            answer(asked)
        })
    })
    .await
}

fn deleted(_: &Asked) -> Answer {
    Answer::text(204, "")
}

fn count(github: &Responder, end: &str) -> usize {
    github.lines().iter().filter(|line| line.ends_with(end)).count()
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const RUNNER: RunnerId = RunnerId::new(5);

#[tokio::test]
async fn an_app_signs_looks_up_its_installation_and_mints_a_token_for_one_repository() {
    let github = github_with_tokens(HOUR, deleted).await;
    let outcome = app_client(&github, None).delete_runner(&in_repository(), RUNNER).await;
    assert_eq!(outcome.unwrap(), Deletion::Deleted);

    let asked = github.asked();
    assert_eq!(
        github.lines(),
        [
            "GET /repos/acme/app/installation",
            "POST /app/installations/42/access_tokens",
            "DELETE /repos/acme/app/actions/runners/5"
        ]
    );
    for request in &asked[..2] {
        let claims = claims(request);
        assert_eq!(claims["iss"], "Iv23liEXAMPLE");
        let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        let now = Timestamp::now().as_second();
        assert!((iat..=iat + 90).contains(&(now - 30)), "backdated: {iat} at {now}");
        assert!(exp - now <= 600, "GitHub takes at most ten minutes");
    }
    assert_eq!(
        asked[1].body,
        json!({"permissions": {"administration": "write", "metadata": "read"}, "repositories": ["app"]})
    );
    assert!(asked[2].header("authorization").starts_with("Bearer ghs_0_"));
}

#[tokio::test]
async fn each_token_can_do_one_thing() {
    let github = github_with_tokens(HOUR, |asked| {
        if asked.line.starts_with("DELETE") { deleted(asked) } else { Answer::new(500, &json!({})) }
    })
    .await;
    let client = app_client(&github, Some(42));
    client.delete_runner(&in_organization(), RUNNER).await.unwrap();
    client.job(&repository(), JobId::new(1)).await.unwrap_err();
    let bodies: Vec<_> =
        github.asked().into_iter().map(|asked| asked.body).filter(|b| !b.is_null()).collect();
    assert_eq!(
        bodies,
        [
            json!({"permissions": {"organization_self_hosted_runners": "write", "metadata": "read"}}),
            json!({"permissions": {"actions": "read", "metadata": "read"}}),
        ]
    );
}

#[tokio::test]
async fn a_burst_mints_one_token_and_later_calls_share_it() {
    let github = github_with_tokens(HOUR, deleted).await;
    let client = app_client(&github, None);
    let scope = in_repository();
    let outcomes = join_all((0..50).map(|_| client.delete_runner(&scope, RUNNER))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Deletion::Deleted))));
    client.delete_runner(&scope, RUNNER).await.unwrap();
    assert_eq!((count(&github, "/installation"), count(&github, "/access_tokens")), (1, 1));

    let other = Scope::Repository(Repository::parse("Acme/lib").unwrap());
    client.delete_runner(&other, RUNNER).await.unwrap();
    assert_eq!((count(&github, "/installation"), count(&github, "/access_tokens")), (1, 2));
}

#[tokio::test]
async fn a_burst_shares_a_failure_too_and_the_next_call_tries_again() {
    let github = Responder::start(|_| Some(Answer::text(502, ""))).await;
    let client = app_client(&github, Some(42));
    let scope = in_repository();
    let outcomes = join_all((0..50).map(|_| client.delete_runner(&scope, RUNNER))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(GitHubError::Server { status: 502, .. }))));
    assert_eq!(github.asked().len(), 1);
    let error = client.delete_runner(&scope, RUNNER).await.unwrap_err();
    let text = "GitHub answered 502 to create-access-token of installation 42 for the runners of acme/app";
    assert_eq!(error.to_string(), text);
    assert_eq!(github.asked().len(), 2);
}

#[tokio::test]
async fn a_token_is_not_used_in_its_last_minutes() {
    let github = github_with_tokens(SignedDuration::from_mins(4), deleted).await;
    let client = app_client(&github, Some(42));
    client.delete_runner(&in_repository(), RUNNER).await.unwrap();
    client.delete_runner(&in_repository(), RUNNER).await.unwrap();
    assert_eq!(count(&github, "/access_tokens"), 2);
}

#[tokio::test]
async fn a_token_that_github_no_longer_knows_is_replaced_once() {
    let github = github_with_tokens(HOUR, |asked| {
        if asked.header("authorization").starts_with("Bearer ghs_0_") {
            Answer::new(401, &json!({"message": "Bad credentials"}))
        } else {
            deleted(asked)
        }
    })
    .await;
    let client = app_client(&github, Some(42));
    client.delete_runner(&in_repository(), RUNNER).await.unwrap();
    assert_eq!(count(&github, "/access_tokens"), 2);

    let bad = |_: &Asked| Answer::new(401, &json!({"message": "Bad credentials"}));
    let github = github_with_tokens(HOUR, bad).await;
    let error = app_client(&github, Some(42)).delete_runner(&in_repository(), RUNNER).await.unwrap_err();
    assert!(matches!(error, GitHubError::Refused { status: 401, .. }), "{error:?}");
    assert_eq!(count(&github, "/access_tokens"), 2);
}

#[tokio::test]
async fn an_app_that_was_installed_again_is_looked_up_again() {
    let installed = AtomicUsize::new(41);
    let github = Responder::start(move |asked| {
        Some(if asked.line.ends_with("/installation") {
            Answer::new(200, &json!({"id": installed.fetch_add(1, Ordering::Relaxed)}))
        } else if asked.line.ends_with("/41/access_tokens") {
            Answer::new(404, &json!({"message": "Not Found"}))
        } else if asked.line.ends_with("/access_tokens") {
            minted(1, HOUR)
        } else {
            deleted(asked)
        })
    })
    .await;
    app_client(&github, None).delete_runner(&in_organization(), RUNNER).await.unwrap();
    assert_eq!(count(&github, "/orgs/acme/installation"), 2);
}

#[tokio::test]
async fn an_app_that_is_not_installed_is_refused_by_name() {
    let github = Responder::start(|_| Some(Answer::new(404, &json!({"message": "Not Found"})))).await;
    let error = app_client(&github, None).delete_runner(&in_repository(), RUNNER).await.unwrap_err();
    assert_eq!(error.to_string(), "GitHub refuses get-installation of acme/app with 404: Not Found");
    assert_eq!(github.asked().len(), 1);
}

#[tokio::test]
async fn nothing_that_can_be_printed_shows_a_secret() {
    let github = github_with_tokens(HOUR, deleted).await;
    let credentials = Credentials::App(App {
        id: AppId::parse("1234").unwrap(),
        private_key: app_key().private_pem.clone(),
        installation: None,
    });
    let client = Client::new(github.api(), &credentials).unwrap();
    client.delete_runner(&in_repository(), RUNNER).await.unwrap();
    let token = Credentials::Token(SecretString::from(TOKEN));
    let with_token = Client::new(github.api(), &token).unwrap();
    let shown = format!("{credentials:?} {client:?} {token:?} {with_token:?}");
    for secret in ["BEGIN", "ghs_", "PRIVATE", &app_key().private_pem.expose_secret()[40..80]] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn credentials_that_cannot_work_are_refused_at_once_and_not_repeated() {
    let github = Responder::start(|_| None).await;
    for token in ["", " \n", "two words", "smörgås"] {
        let error = Client::new(github.api(), &Credentials::Token(SecretString::from(token))).unwrap_err();
        assert!(matches!(error, ClientError::Credentials(_)), "{error:?}");
    }
    let broken = app_key().private_pem.expose_secret().replace("MII", "AAA");
    for key in ["not a key", "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n", &broken] {
        let app =
            App { id: AppId::parse("12").unwrap(), private_key: SecretString::from(key), installation: None };
        let error = Client::new(github.api(), &Credentials::App(app)).unwrap_err();
        let ClientError::Credentials(cause) = &error else { panic!("{error:?}") };
        assert_eq!(cause.to_string(), "the private key of GitHub App `12` is not an RSA private key in PEM");
    }
}
