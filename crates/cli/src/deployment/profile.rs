//! The caller's AWS credentials and Region, found as AWS's SDKs find them. The AWS
//! CLI is not needed.

use std::collections::HashMap;
use std::path::Path;

use ecsrunner_aws::connection::caller::{self, CallerError};
use secrecy::ExposeSecret;

use crate::environment;
use crate::exit::Failure;

const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
const REGION: &str = "AWS_REGION";
const DEFAULT_REGION: &str = "AWS_DEFAULT_REGION";
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
const HINT: &str = "sign in, for example with `aws sso login` or `aws login`, or set AWS_ACCESS_KEY_ID and \
                    AWS_SECRET_ACCESS_KEY; `--profile` or AWS_PROFILE selects a profile";

/// Returns AWS's variables from the environment, with the caller's credentials and Region.
pub(super) async fn variables(
    profile: Option<&str>,
    region: Option<&str>,
) -> Result<HashMap<String, String>, Failure> {
    let mut variables = environment::of_aws();
    // As in the AWS CLI, a Region in the environment stands above that of the profile.
    let named = [REGION, DEFAULT_REGION].into_iter().find_map(|name| variables.get(name));
    let region = region.map(str::to_owned).or_else(|| named.cloned());
    let bundle = variables.get(CA_BUNDLE).map(Path::new);
    let found = caller::find(profile, region.as_deref(), bundle).await.map_err(told)?;
    for name in [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN] {
        variables.remove(name);
    }
    let key = found.access_key;
    variables.insert(ACCESS_KEY_ID.to_owned(), key.id);
    variables.insert(SECRET_ACCESS_KEY.to_owned(), key.secret.expose_secret().to_owned());
    let token = key.session_token.map(|token| token.expose_secret().to_owned());
    variables.extend(token.map(|token| (SESSION_TOKEN.to_owned(), token)));
    variables.insert(REGION.to_owned(), found.region);
    Ok(variables)
}

fn told(error: CallerError) -> Failure {
    match error {
        CallerError::Connection(error) => Failure::usage(error),
        CallerError::NoRegion => {
            Failure::usage(error).hint("use `--region`, AWS_REGION, or a profile with a Region")
        }
        error => Failure::permission(error).hint(HINT),
    }
}
