//! Credentials for reading from GitHub: the deployment's, or the caller's token.

use ecsrunner_github::Client;

use crate::deployment::{Deployment, github};
use crate::exit::Failure;

/// Returns a client that reads with the deployment's permissions, or with the caller's token if the caller may not use
/// them.
pub(super) async fn for_reading(deployment: &Deployment) -> Result<Client, Failure> {
    or_own_token(deployment.github().await, deployment)
}

/// Returns a client for logs of jobs, which a deployment does not pass on: with its credentials, or with the caller's
/// token if the caller may not read them.
pub(super) async fn for_logs(deployment: &Deployment) -> Result<Client, Failure> {
    or_own_token(deployment.github_directly().await, deployment)
}

fn or_own_token(client: Result<Client, Failure>, deployment: &Deployment) -> Result<Client, Failure> {
    match client {
        Ok(client) => Ok(client),
        Err(failure) => github::by_own_token(deployment.github_api()?)?.ok_or(failure),
    }
}
