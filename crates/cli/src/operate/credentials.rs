//! Credentials for reading from GitHub: the deployment's, or the caller's token.

use ecsrunner_github::Client;

use crate::deployment::{Deployment, github};
use crate::exit::Failure;

/// Returns a client with the deployment's credentials, or with the caller's token if the caller may not
/// read them.
pub(super) async fn for_reading(deployment: &Deployment) -> Result<Client, Failure> {
    match deployment.github().await {
        Ok(client) => Ok(client),
        Err(failure) => github::by_own_token(deployment.github_api()?)?.ok_or(failure),
    }
}
