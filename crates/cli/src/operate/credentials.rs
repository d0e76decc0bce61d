//! The credentials for questions to GitHub: the deployment's, or the caller's token.

use ecsrunner_github::Client;

use crate::deployment::{Deployment, github};
use crate::exit::Failure;

/// GitHub by the deployment's own credentials or, where the caller may not read them, by the caller's token.
pub(super) async fn for_reading(deployment: &Deployment) -> Result<Client, Failure> {
    match deployment.github().await {
        Ok(client) => Ok(client),
        Err(failure) => github::by_own_token(deployment.github_api()?)?.ok_or(failure),
    }
}
