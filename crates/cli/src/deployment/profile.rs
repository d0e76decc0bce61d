//! The caller's AWS credentials and Region, found as AWS's SDKs find them. The AWS
//! CLI is not needed.

use std::path::Path;

use ecsrunner_aws::connection::caller::{self, CallerError};
use ecsrunner_aws::connection::{Connection, Environment};
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

/// Connects as the caller, with AWS's other variables from the environment. Keys are renewed before they expire.
pub(super) async fn connect(profile: Option<&str>, region: Option<&str>) -> Result<Connection, Failure> {
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
    let environment = Environment::read(|name| variables.get(name).cloned()).map_err(Failure::usage)?;
    Ok(Connection::of_caller(environment, found.credentials)?)
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
