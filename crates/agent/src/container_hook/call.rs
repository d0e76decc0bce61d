//! Reads what the official runner asks of a container hook.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

use ecsrunner_core::id::ServiceName;
use ecsrunner_core::rules::service::demand::Asked;
use serde::Deserialize;
use serde_json::Value;

/// Registries for which the runner fills in credentials, `github.actor` and the
/// job's token, if the workflow gives none (actions/runner, `ContainerOperationProvider`).
const TOKEN_REGISTRIES: [&str; 2] = ["ghcr.io", "containers.pkg.github.com"];
/// Variables that the runner adds to each service if it has a proxy itself
/// (actions/runner, `ContainerInfo`). It also sets all of them in its own environment.
const PROXY_VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];

/// One call of the runner.
pub(super) enum Call {
    Prepare(Prepare),
    /// The job is over. Names the services that `prepare_job` has answered.
    Cleanup {
        services: Vec<ServiceName>,
    },
    /// Something is to be executed in a container.
    Execute {
        what: &'static str,
    },
}

/// A `prepare_job`.
pub(super) struct Prepare {
    pub(super) has_container: bool,
    pub(super) services: Vec<Asked>,
    /// Where the answer is expected.
    pub(super) response_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    command: String,
    #[serde(default)]
    response_file: Option<PathBuf>,
    #[serde(default)]
    state: Value,
    #[serde(default)]
    args: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawService {
    image: String,
    #[serde(default)]
    create_options: Option<String>,
    #[serde(default)]
    environment_variables: Option<BTreeMap<String, String>>,
    #[serde(default)]
    port_mappings: Option<Vec<String>>,
    #[serde(default)]
    registry: Value,
    #[serde(default)]
    user_mount_volumes: Value,
    #[serde(default)]
    entry_point: Value,
    #[serde(default)]
    entry_point_args: Value,
    #[serde(default)]
    working_directory: Value,
    #[serde(default)]
    dockerfile: Value,
}

impl Call {
    /// Reads a call. The error is one sentence, and quotes nothing. `variable` looks
    /// up the runner's own environment.
    pub(super) fn read(
        input: impl Read,
        variable: &impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let raw: Raw = serde_json::from_reader(input).map_err(|_| unknown("call"))?;
        match raw.command.as_str() {
            "cleanup_job" => {
                let services = raw.state.get("services").cloned().unwrap_or_default();
                Ok(Self::Cleanup { services: serde_json::from_value(services).unwrap_or_default() })
            }
            "prepare_job" => raw.prepare(variable).map(Self::Prepare).ok_or_else(|| unknown("`prepare_job`")),
            "run_script_step" => Ok(Self::Execute { what: "a step in a container" }),
            "run_container_step" => Ok(Self::Execute { what: "a container action or `docker://` step" }),
            _ => Err(unknown("command")),
        }
    }
}

fn unknown(what: &str) -> String {
    format!(
        "This runner has no Docker: GitHub's runner asks for something in a container by a {what} that this release of \
         ecsrunner does not know"
    )
}

impl Raw {
    fn prepare(self, variable: &impl Fn(&str) -> Option<OsString>) -> Option<Prepare> {
        let services = match self.args.get("services") {
            None | Some(Value::Null) => Vec::new(),
            Some(services) => Vec::<RawService>::deserialize(services).ok()?,
        };
        Some(Prepare {
            has_container: self.args.get("container").is_some_and(|container| !container.is_null()),
            services: services.into_iter().map(|service| service.asked(variable)).collect(),
            response_file: self.response_file.unwrap_or_default(),
        })
    }
}

impl RawService {
    fn asked(self, variable: &impl Fn(&str) -> Option<OsString>) -> Asked {
        let has_credentials = !self.gets_the_token()
            && ["username", "password"].iter().any(|key| is_given(self.registry.get(*key)));
        let env = self.environment_variables.unwrap_or_default();
        let is_added = |name: &&str| {
            env.get(*name).is_some_and(|value| variable(name).is_some_and(|own| own == value.as_str()))
        };
        let added = PROXY_VARIABLES.iter().copied().filter(is_added).map(str::to_owned).collect();
        let impossible = [
            (is_given(Some(&self.user_mount_volumes)), "volumes"),
            (has_credentials, "credentials"),
            (is_given(Some(&self.entry_point)) || is_given(Some(&self.entry_point_args)), "command"),
            (is_given(Some(&self.working_directory)), "working directory"),
            (is_given(Some(&self.dockerfile)), "Dockerfile"),
        ];
        Asked {
            image: self.image,
            ports: self.port_mappings.unwrap_or_default(),
            env,
            added,
            options: self.create_options.unwrap_or_default(),
            impossible: impossible.into_iter().filter(|(given, _)| *given).map(|(_, what)| what).collect(),
        }
    }

    /// Whether its registry is one whose credentials the runner fills in, so that
    /// nobody can tell them from the workflow's.
    fn gets_the_token(&self) -> bool {
        let named = self.registry.get("serverUrl").and_then(Value::as_str).filter(|url| !url.is_empty());
        let server = named.or_else(|| self.image.split('/').next()).unwrap_or_default();
        TOKEN_REGISTRIES.iter().any(|registry| registry.eq_ignore_ascii_case(server))
    }
}

fn is_given(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(entries)) => !entries.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => true,
    }
}
