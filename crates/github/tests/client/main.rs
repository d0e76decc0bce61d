//! Tests the requests that the client sends and how it handles each reply, with
//! answers that each test makes up. `fake.rs` tests against the stateful fake.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod github;
mod responder;

mod app_manifest;
mod auth;
mod conformance;
mod deliveries;
mod fake;
mod jobs;
mod logs;
mod refusals;
mod releases;
mod repositories;
mod runners;
mod tls;

use ecsrunner_core::id::{Deployment, Organization, PoolId, Repository, RunnerGroupId, RunnerName};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::github::{GitHub, RemoteJob, RunPart};
use ecsrunner_github::{Client, Credentials};
use secrecy::SecretString;

use crate::responder::Responder;

/// As long as the longest installation tokens.
const TOKEN: &str = concat!(
    "ghs_0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345",
);

fn client(github: &Responder) -> Client {
    Client::new(github.api(), &Credentials::Token(SecretString::from(TOKEN))).unwrap()
}

/// Returns the queued jobs of all active runs of `acme/app`.
async fn queued(client: &Client) -> Vec<RemoteJob> {
    let part = RunPart { after: None, most: 1000 };
    client.queued_jobs(&app(), part).await.unwrap().jobs
}

fn app() -> Repository {
    Repository::parse("acme/app").unwrap()
}

fn in_repository() -> Scope {
    Scope::Repository(app())
}

fn in_organization() -> Scope {
    Scope::Organization { organization: Organization::parse("acme").unwrap(), group: RunnerGroupId::new(7) }
}

fn runner_name() -> RunnerName {
    let pool = PoolId::parse("abcdefg234").unwrap();
    RunnerName::new(&Deployment::parse("ci").unwrap(), &pool, "01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap()
}
