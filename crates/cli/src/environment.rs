//! Every variable that the command line reads beside clap's, in one place.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use ecsrunner_local::config::Overrides;
use secrecy::SecretString;

/// The state directory of a local server.
pub(crate) const STATE: &str = "ECSRUNNER_STATE";
/// The configuration file of a local server.
pub(crate) const CONFIG: &str = "ECSRUNNER_CONFIG";
/// A file with the webhook's secret, before those of the configuration.
pub(crate) const WEBHOOK_SECRET_FILE: &str = "ECSRUNNER_WEBHOOK_SECRET_FILE";
/// GitHub's API, before the configuration.
pub(crate) const GITHUB_API_URL: &str = "GITHUB_API_URL";
/// The deployment on AWS that commands are carried out on.
pub(crate) const DEPLOYMENT: &str = "ECSRUNNER_DEPLOYMENT";
/// The local server that commands are carried out on, before a deployment.
pub(crate) const LOCAL: &str = "ECSRUNNER_LOCAL";
/// The table of a deployment's state, before what its parameter says.
pub(crate) const STATE_TABLE: &str = "RUNNER_STATE_TABLE";
/// An operator's own token for GitHub, as `gh` reads it.
pub(crate) const GH_TOKEN: &str = "GH_TOKEN";
/// The same, where the variable above is not set.
pub(crate) const GITHUB_TOKEN: &str = "GITHUB_TOKEN";
/// A profile of the AWS CLI's.
pub(crate) const AWS_PROFILE: &str = "AWS_PROFILE";
/// What is logged, in the syntax of `tracing`'s filters.
pub(crate) const LOG: &str = "ECSRUNNER_LOG";

/// What the environment says before the configuration file.
pub(crate) fn overrides() -> Overrides {
    Overrides {
        github_api_url: text(GITHUB_API_URL),
        webhook_secret_file: variable(WEBHOOK_SECRET_FILE).map(PathBuf::from),
    }
}

/// An operator's own token for GitHub.
pub(crate) fn own_token() -> Option<SecretString> {
    [GH_TOKEN, GITHUB_TOKEN].into_iter().find_map(text).map(SecretString::from)
}

/// The log filter.
pub(crate) fn log_filter() -> Option<String> {
    text(LOG)
}

/// Those of AWS's variables that its adapter reads.
pub(crate) fn of_aws() -> HashMap<String, String> {
    let names = ecsrunner_aws::connection::VARIABLES.iter().map(|variable| variable.name);
    names.filter_map(|name| Some((name.to_owned(), text(name)?))).collect()
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// A variable that is set, and not to nothing.
pub(crate) fn text(name: &str) -> Option<String> {
    variable(name)?.into_string().ok()
}
