//! Every environment variable of the command line, including those that clap reads.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use secrecy::SecretString;

use crate::machine::Overrides;

/// The state directory of a local server.
pub(crate) const STATE: &str = "ECSRUNNER_STATE";
/// The configuration file of a local server.
pub(crate) const CONFIG: &str = "ECSRUNNER_CONFIG";
/// A file with the webhook's secret. It replaces those of the configuration.
pub(crate) const WEBHOOK_SECRET_FILE: &str = "ECSRUNNER_WEBHOOK_SECRET_FILE";
/// The URL of GitHub's API. It overrides the configuration.
pub(crate) const GITHUB_API_URL: &str = "GITHUB_API_URL";
/// The deployment on AWS that commands act on.
pub(crate) const DEPLOYMENT: &str = "ECSRUNNER_DEPLOYMENT";
/// The local server that commands act on. It overrides [`DEPLOYMENT`].
pub(crate) const LOCAL: &str = "ECSRUNNER_LOCAL";
/// The token of a local server that is named by its URL.
pub(crate) const LOCAL_TOKEN: &str = "ECSRUNNER_LOCAL_TOKEN";
/// The table of a deployment's state. It names the deployment, or overrides the deployment's parameter.
pub(crate) const STATE_TABLE: &str = "RUNNER_STATE_TABLE";
/// The operator's own token for GitHub, as `gh` reads it.
pub(crate) const GH_TOKEN: &str = "GH_TOKEN";
/// The operator's own token, if [`GH_TOKEN`] is not set.
pub(crate) const GITHUB_TOKEN: &str = "GITHUB_TOKEN";
/// Set by an SSH server: both ends' addresses and ports.
pub(crate) const SSH_CONNECTION: &str = "SSH_CONNECTION";
/// The X display. A browser needs one, or the next.
#[cfg(not(any(target_os = "macos", windows)))]
pub(crate) const DISPLAY: &str = "DISPLAY";
/// The Wayland display.
#[cfg(not(any(target_os = "macos", windows)))]
pub(crate) const WAYLAND_DISPLAY: &str = "WAYLAND_DISPLAY";
/// Where programs keep their state: a failed setup leaves its file there.
pub(crate) const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// The home directory, where the variable above is not set.
pub(crate) const HOME: &str = "HOME";
/// On Windows: the directory for data of this user's programs, where the variables above are not set.
pub(crate) const LOCAL_APP_DATA: &str = "LOCALAPPDATA";
/// The caller's name, for the command that forwards a port by SSH.
pub(crate) const USER: &str = "USER";
/// A profile of AWS's configuration files.
#[cfg(feature = "aws")]
pub(crate) const AWS_PROFILE: &str = "AWS_PROFILE";
/// GitHub's fee for a minute on a self-hosted runner, in US dollars.
pub(crate) const SELF_HOSTED_FEE: &str = "ECSRUNNER_SELF_HOSTED_FEE";
/// OpenTelemetry's own variables: where the traces of a local server go.
pub(crate) const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
pub(crate) const OTLP_TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
pub(crate) const OTLP_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
pub(crate) const OTLP_TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
pub(crate) const OTEL_SDK_DISABLED: &str = "OTEL_SDK_DISABLED";
/// Headers of the endpoint, a secret.
pub(crate) const OTLP_HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
pub(crate) const OTLP_TRACES_HEADERS: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
/// A file with them.
pub(crate) const OTLP_HEADERS_FILE: &str = "ECSRUNNER_OTLP_HEADERS_FILE";

/// Returns one of OpenTelemetry's variables.
pub(crate) fn otlp(name: &str) -> Option<String> {
    let declared = [
        OTLP_ENDPOINT,
        OTLP_TRACES_ENDPOINT,
        OTLP_PROTOCOL,
        OTLP_TRACES_PROTOCOL,
        OTEL_SDK_DISABLED,
        OTLP_HEADERS,
        OTLP_TRACES_HEADERS,
        OTLP_HEADERS_FILE,
    ];
    debug_assert!(declared.contains(&name), "{name} is not declared");
    text(name)
}

/// The log filter, in the syntax of `tracing`'s filters.
pub(crate) const LOG: &str = "ECSRUNNER_LOG";

/// Returns the variables that override the configuration file.
pub(crate) fn overrides() -> Overrides {
    Overrides {
        github_api_url: github_api_url(),
        webhook_secret_file: variable(WEBHOOK_SECRET_FILE).map(PathBuf::from),
    }
}

/// The URL of a flag, which stands above the variable.
static GITHUB_API: OnceLock<String> = OnceLock::new();

/// Uses this URL in place of [`GITHUB_API_URL`]. Only the first call has an effect.
pub(crate) fn use_github_api(url: &str) {
    let _the_first = GITHUB_API.set(url.to_owned());
}

/// Returns the URL of GitHub's API, if a flag or the environment names one.
pub(crate) fn github_api_url() -> Option<String> {
    GITHUB_API.get().cloned().or_else(|| text(GITHUB_API_URL))
}

/// Returns the configuration file of a local server.
pub(crate) fn config() -> Option<PathBuf> {
    variable(CONFIG).map(PathBuf::from)
}

/// Returns the directory for state of this user's programs.
pub(crate) fn state_home() -> Option<PathBuf> {
    let named = variable(XDG_STATE_HOME).map(PathBuf::from).filter(|path| path.is_absolute());
    let at_home = || Some(PathBuf::from(variable(HOME)?).join(".local/state"));
    named.or_else(at_home).or_else(|| variable(LOCAL_APP_DATA).map(PathBuf::from))
}

/// Returns the operator's own token for GitHub.
pub(crate) fn own_token() -> Option<SecretString> {
    [GH_TOKEN, GITHUB_TOKEN].into_iter().find_map(text).map(SecretString::from)
}

/// Returns the token of a local server that is named by its URL.
pub(crate) fn local_token() -> Option<SecretString> {
    text(LOCAL_TOKEN).map(SecretString::from)
}

pub(crate) fn log_filter() -> Option<String> {
    text(LOG)
}

/// Returns the AWS variables that the `aws` crate reads.
#[cfg(feature = "aws")]
pub(crate) fn of_aws() -> std::collections::HashMap<String, String> {
    let names = ecsrunner_aws::connection::VARIABLES.iter().map(|variable| variable.name);
    names.filter_map(|name| Some((name.to_owned(), text(name)?))).collect()
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns a variable that is set and not empty.
pub(crate) fn text(name: &str) -> Option<String> {
    variable(name)?.into_string().ok()
}
