//! What the agent is told: every environment variable that it reads.
//!
//! No other file reads an agent's variable. Those that the job-started hook
//! reads are GitHub's and belong to `hook.rs`.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ecsrunner_aws::boot::{Credentials, CredentialsEndpoint, TaskEndpoints};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::listener;

/// One variable of the agent's environment, as the documentation lists it.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds where it is not set; `None` where it must be set or nothing holds.
    pub default: Option<&'static str>,
    /// One sentence.
    pub meaning: &'static str,
}

macro_rules! variables {
    ($($id:ident = $name:literal, $default:expr, $meaning:literal;)*) => {
        $(const $id: Variable = Variable { name: $name, default: $default, meaning: $meaning };)*
        /// Every variable that the agent reads.
        pub const VARIABLES: &[Variable] = &[$($id),*];
    };
}

variables! {
    BOOT_TABLE = "ECSRUNNER_BOOT_TABLE", None, "Name of the DynamoDB table that holds the boot item.";
    BOOT_ROLE = "ECSRUNNER_BOOT_ROLE", None, "Unique id of the task's role; with the task's id behind it, the key of the boot item.";
    METADATA = "ECS_CONTAINER_METADATA_URI_V4", None, "ECS's endpoint that tells the task's id; ECS sets it.";
    RELATIVE_CREDENTIALS = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", None, "Where ECS tells the credentials of the task's role; ECS sets it.";
    FULL_CREDENTIALS = "AWS_CONTAINER_CREDENTIALS_FULL_URI", None, "The same, where the variable above is not set.";
    CREDENTIALS_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN", None, "Sent to the URL above.";
    BOOT_OWNER = "ECSRUNNER_BOOT_OWNER", None, "Key of the boot item, in place of the five above: the agent is in no task, and has an access key.";
    ENDPOINT_DYNAMODB = "AWS_ENDPOINT_URL_DYNAMODB", None, "DynamoDB's URL; the Region's own by default.";
    ENDPOINT = "AWS_ENDPOINT_URL", None, "The same, where the variable above is not set.";
    REGION = "AWS_REGION", None, "The AWS Region that requests are signed for.";
    DEFAULT_REGION = "AWS_DEFAULT_REGION", None, "The same, where the variable above is not set.";
    ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID", None, "The access key, with `ECSRUNNER_BOOT_OWNER`.";
    SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY", None, "Its secret.";
    SESSION_TOKEN = "AWS_SESSION_TOKEN", None, "Its session; may be missing.";
    CA_BUNDLE = "AWS_CA_BUNDLE", None, "A PEM file of the certificate authorities to trust, and no others; Mozilla's by default.";
    CAPACITY_PROVIDER = "ECSRUNNER_CAPACITY_PROVIDER", None, "`FARGATE_SPOT` where a signal may be the interruption of Spot capacity.";
    RUNNER_DIR = "ECSRUNNER_RUNNER_DIR", Some("/home/runner"), "Holds `bin/Runner.Listener`; the job's HOME.";
    AGENT_DIR = "ECSRUNNER_AGENT_DIR", Some("/run/ecsrunner"), "Where the hook script, its rules and the FIFO are made; for one runner alone.";
    RUNNER_UID = "ECSRUNNER_RUNNER_UID", None, "User and group id of the listener, where the agent is root; its own by default.";
    BOOT_LIMIT = "ECSRUNNER_BOOT_LIMIT_SECS", Some("300"), "How long to wait for the boot item.";
    CONNECT_LIMIT = "ECSRUNNER_CONNECT_LIMIT_SECS", Some("120"), "How long the listener may take to connect to GitHub.";
    IDLE_LIMIT = "ECSRUNNER_IDLE_LIMIT_SECS", Some("900"), "How long a connected runner waits for a job; at least 600 outside of tests, since a retired runner counts on it.";
    JOB_LIMIT = "ECSRUNNER_JOB_LIMIT_SECS", Some("21600"), "How long a job may run.";
    EXIT_LIMIT = "ECSRUNNER_EXIT_LIMIT_SECS", Some("30"), "How long the listener may take to end after its job.";
    STOP_TIMEOUT = "ECSRUNNER_STOP_TIMEOUT_SECS", Some("120"), "The container's stopTimeout, at least 6: the listener is killed 5 seconds before it ends.";
    RETRY_DELAY = "ECSRUNNER_RETRY_DELAY_MS", Some("5000"), "Pause before a listener that asks for it (exit code 2) is started again.";
    LISTENER_ENV = "ECSRUNNER_LISTENER_ENV", None, "Names of further variables to pass to the listener and its job, separated by commas.";
    PATH = "PATH", Some("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), "Passed to the listener and its job.";
    LANG = "LANG", Some("C.UTF-8"), "Passed to the listener and its job.";
    LANGUAGE = "LANGUAGE", None, "Passed to the listener and its job, where it is set.";
    LC_ALL = "LC_ALL", None, "Passed to the listener and its job, where it is set.";
    DEBIAN_FRONTEND = "DEBIAN_FRONTEND", None, "Passed to the listener and its job, where it is set.";
    IMAGE_OS = "ImageOS", None, "Passed to the listener and its job, where it is set.";
}

/// The agent's settings. `Debug` shows no secret.
#[derive(Debug)]
pub struct Config {
    /// The boot item's table and how to reach it.
    pub boot: BootConfig,
    /// What comes after the boot item, and knows nothing of AWS.
    pub supervision: Supervision,
}

/// Where the boot item is.
#[derive(Debug)]
pub struct BootConfig {
    /// The table's name.
    pub table: String,
    /// Whose item it is.
    pub identity: Identity,
    /// DynamoDB's URL.
    pub endpoint: String,
    /// The Region that requests are signed for.
    pub region: String,
    /// Whom to trust, where that is not whom browsers do.
    pub ca_bundle: Option<PathBuf>,
    /// How long to wait for the item.
    pub limit: Duration,
}

/// Who this is: the owner of a boot item, and who signs the request for it.
#[derive(Debug)]
pub enum Identity {
    /// As it was told.
    Told {
        /// The item's key.
        owner: String,
        /// Who signs.
        credentials: Credentials,
    },
    /// An ECS task.
    OfTask {
        /// The unique id of its role.
        role: String,
        /// Where ECS tells the rest.
        endpoints: TaskEndpoints,
    },
}

/// The listener's life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Supervision {
    /// What is started, and as whom.
    pub listener: ListenerConfig,
    /// Where the hook's files are made; for one runner alone.
    pub agent_dir: PathBuf,
    /// What is asked to be the hook, and the listener before it is one.
    pub executable: String,
    /// What the capacity is that the task runs on, where that is known.
    pub capacity_provider: Option<String>,
    /// How long things may take.
    pub limits: Limits,
}

/// The listener and its surroundings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerConfig {
    /// Holds `bin/Runner.Listener`; its working directory and its HOME.
    pub runner_dir: PathBuf,
    /// User and group of the listener, where the agent is root.
    pub uid: Option<u32>,
    /// Variables that come from outside, as they are given to it.
    pub environment: Vec<(String, OsString)>,
}

/// Each is measured by a monotonic clock: one that is set changes nothing.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// From the listener's first start to its connection.
    pub connect: Duration,
    /// From the first connection to the job.
    pub idle: Duration,
    /// From the job's start to its end.
    pub job: Duration,
    /// From the job's end to the listener's.
    pub exit: Duration,
    /// From a signal to the container's death.
    pub stop: Duration,
    /// Before a listener is started again.
    pub retry: Duration,
}

/// Every fault of the environment at once.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the environment through `lookup`, usually [`std::env::var_os`].
    /// `executable` is the one at hand.
    ///
    /// # Errors
    ///
    /// All variables that are missing or wrong, by name; never a secret's value.
    pub fn from_env(
        lookup: impl Fn(&str) -> Option<OsString>,
        executable: &str,
    ) -> Result<Self, ConfigError> {
        let mut read = Reader { lookup, faults: Vec::new() };
        let config = read.config(executable);
        if read.faults.is_empty() { Ok(config) } else { Err(ConfigError(read.faults)) }
    }
}

/// Collects faults; what it returns beside a fault is thrown away with it.
struct Reader<F> {
    lookup: F,
    faults: Vec<String>,
}

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    fn config(&mut self, executable: &str) -> Config {
        Config {
            boot: self.boot(),
            supervision: Supervision {
                listener: self.listener(),
                agent_dir: self.directory(AGENT_DIR),
                executable: executable.to_owned(),
                capacity_provider: self.optional(CAPACITY_PROVIDER),
                limits: Limits {
                    connect: self.secs(CONNECT_LIMIT, 1),
                    idle: self.secs(IDLE_LIMIT, 1),
                    job: self.secs(JOB_LIMIT, 1),
                    exit: self.secs(EXIT_LIMIT, 1),
                    stop: self.secs(STOP_TIMEOUT, 6),
                    retry: Duration::from_millis(self.number(RETRY_DELAY, 0, 60_000)),
                },
            },
        }
    }

    fn boot(&mut self) -> BootConfig {
        let region = self.optional(REGION).or_else(|| self.optional(DEFAULT_REGION));
        let region = region.unwrap_or_else(|| self.required(REGION));
        let endpoint = self.optional(ENDPOINT_DYNAMODB).or_else(|| self.optional(ENDPOINT));
        if let Some(endpoint) = &endpoint {
            self.check_url(endpoint, "an endpoint");
        }
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        BootConfig {
            table: self.required(BOOT_TABLE),
            identity: self.identity(),
            endpoint: endpoint.unwrap_or_else(|| format!("https://dynamodb.{region}.{domain}")),
            region,
            ca_bundle: self.raw(CA_BUNDLE).map(PathBuf::from),
            limit: self.secs(BOOT_LIMIT, 1),
        }
    }

    fn identity(&mut self) -> Identity {
        if let Some(owner) = self.optional(BOOT_OWNER) {
            let credentials = Credentials {
                access_key_id: self.required(ACCESS_KEY_ID),
                secret_access_key: SecretString::from(self.required(SECRET_ACCESS_KEY)),
                session_token: self.optional(SESSION_TOKEN).map(SecretString::from),
            };
            return Identity::Told { owner, credentials };
        }
        let role = self.required(BOOT_ROLE);
        let metadata = self.required(METADATA);
        if !metadata.is_empty() {
            self.check_url(&metadata, METADATA.name);
        }
        let credentials = match (self.optional(RELATIVE_CREDENTIALS), self.optional(FULL_CREDENTIALS)) {
            (Some(uri), _) => CredentialsEndpoint::relative(&uri),
            (None, Some(url)) => {
                let token = self.optional(CREDENTIALS_TOKEN).map(SecretString::from);
                CredentialsEndpoint::full(SecretString::from(url), token)
            }
            (None, None) => {
                self.faults.push(format!("{} is not set", RELATIVE_CREDENTIALS.name));
                CredentialsEndpoint::relative("")
            }
        };
        Identity::OfTask { role, endpoints: TaskEndpoints::new(&metadata, credentials) }
    }

    fn check_url(&mut self, url: &str, what: &str) {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            self.faults.push(format!("`{url}` is not {what}: an http or https URL is expected"));
        }
    }

    fn listener(&mut self) -> ListenerConfig {
        let mut environment = Vec::new();
        for variable in [PATH, LANG, LANGUAGE, LC_ALL, DEBIAN_FRONTEND, IMAGE_OS] {
            let value = self.raw(variable).or_else(|| variable.default.map(OsString::from));
            environment.extend(value.map(|value| (variable.name.to_owned(), value)));
        }
        let names = self.optional(LISTENER_ENV).unwrap_or_default();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if may_pass(name) {
                environment.extend((self.lookup)(name).map(|value| (name.to_owned(), value)));
            } else {
                self.faults.push(format!("{} must not name `{name}`", LISTENER_ENV.name));
            }
        }
        ListenerConfig {
            runner_dir: self.directory(RUNNER_DIR),
            uid: self.optional(RUNNER_UID).and_then(|text| self.parse(RUNNER_UID, &text)),
            environment,
        }
    }

    fn raw(&self, variable: Variable) -> Option<OsString> {
        (self.lookup)(variable.name).filter(|value| !value.is_empty())
    }

    fn optional(&mut self, variable: Variable) -> Option<String> {
        let text = self.raw(variable)?.into_string();
        text.map_err(|_| self.faults.push(format!("{} is not UTF-8", variable.name))).ok()
    }

    fn required(&mut self, variable: Variable) -> String {
        let faults = self.faults.len();
        let text = self.optional(variable).or_else(|| variable.default.map(str::to_owned));
        if text.is_none() && self.faults.len() == faults {
            self.faults.push(format!("{} is not set", variable.name));
        }
        text.unwrap_or_default()
    }

    fn directory(&mut self, variable: Variable) -> PathBuf {
        let path = PathBuf::from(self.required(variable));
        if path.is_relative() {
            self.faults.push(format!("{} is not an absolute path: `{}`", variable.name, path.display()));
        }
        path
    }

    fn parse<T: FromStr>(&mut self, variable: Variable, text: &str) -> Option<T> {
        let number = text.parse().ok();
        if number.is_none() {
            self.faults.push(format!("{} is no whole number: `{text}`", variable.name));
        }
        number
    }

    fn number(&mut self, variable: Variable, least: u64, most: u64) -> u64 {
        let text = self.required(variable);
        let Some(number) = self.parse(variable, &text) else { return least };
        if !(least..=most).contains(&number) {
            self.faults.push(format!("{} is {number}; {least} to {most} is expected", variable.name));
        }
        number
    }

    fn secs(&mut self, variable: Variable, least: u64) -> Duration {
        // A week is longer than GitHub lets any job run.
        Duration::from_secs(self.number(variable, least, 7 * 24 * 3600))
    }
}

/// Nothing of AWS's, of ECS's or of the agent's own reaches a job, and nothing
/// that the agent itself decides on.
fn may_pass(name: &str) -> bool {
    !name.starts_with("AWS_")
        && !name.starts_with("ECS_")
        && !name.starts_with("ACTIONS_RUNNER_")
        && !listener::OWN_VARIABLES.contains(&name)
        && VARIABLES.iter().all(|variable| variable.name != name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ECS sets them, and the control plane.
    const TASK: [(&str, &str); 5] = [
        ("ECSRUNNER_BOOT_TABLE", "boot"),
        ("ECSRUNNER_BOOT_ROLE", "AROA"),
        ("AWS_REGION", "eu-west-1"),
        ("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/1"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/s3cret"),
    ];

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let lookup = |name: &str| {
            variables.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        Config::from_env(lookup, "/agent")
    }

    fn with(variables: &[(&'static str, &'static str)]) -> Result<Config, ConfigError> {
        read(&[&TASK[..], variables].concat())
    }

    #[test]
    fn every_fault_of_the_environment_is_told_at_once() {
        let error = read(&[("ECSRUNNER_JOB_LIMIT_SECS", "soon"), ("ECSRUNNER_AGENT_DIR", "here")]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "AWS_REGION is not set; ECSRUNNER_BOOT_TABLE is not set; ECSRUNNER_BOOT_ROLE is not set; \
             ECS_CONTAINER_METADATA_URI_V4 is not set; AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set; \
             ECSRUNNER_AGENT_DIR is not an absolute path: `here`; \
             ECSRUNNER_JOB_LIMIT_SECS is no whole number: `soon`"
        );
        let error =
            read(&[("ECSRUNNER_BOOT_OWNER", "AROA:1"), ("AWS_REGION", "r"), ("ECSRUNNER_BOOT_TABLE", "t")]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "AWS_ACCESS_KEY_ID is not set; AWS_SECRET_ACCESS_KEY is not set"
        );
    }

    #[test]
    fn defaults_hold_where_nothing_is_said() {
        let config = with(&[]).unwrap();
        assert_eq!(config.boot.endpoint, "https://dynamodb.eu-west-1.amazonaws.com");
        assert_eq!(config.boot.limit, Duration::from_secs(300));
        assert_eq!(config.supervision.limits.idle, Duration::from_secs(900));
        assert_eq!(config.supervision.agent_dir, PathBuf::from("/run/ecsrunner"));
        assert!(config.supervision.listener.uid.is_none());
    }

    #[test]
    fn the_variable_of_one_service_or_region_comes_before_that_of_all() {
        let config =
            with(&[("AWS_ENDPOINT_URL", "http://a"), ("AWS_ENDPOINT_URL_DYNAMODB", "http://b")]).unwrap();
        assert_eq!(config.boot.endpoint, "http://b");
        assert_eq!(with(&[("AWS_DEFAULT_REGION", "us-east-1")]).unwrap().boot.region, "eu-west-1");
        let default = with(&[("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "us-east-1")]).unwrap();
        assert_eq!(default.boot.region, "us-east-1");
    }

    #[test]
    fn no_variable_of_ours_or_of_aws_can_be_passed_to_a_job() {
        for name in ["AWS_SECRET_ACCESS_KEY", "ECS_CONTAINER_METADATA_URI_V4", "ECSRUNNER_BOOT_ROLE", "HOME"]
        {
            assert!(!may_pass(name), "{name}");
        }
        let config = with(&[("ECSRUNNER_LISTENER_ENV", "A, B"), ("B", "2")]).unwrap();
        assert!(config.supervision.listener.environment.contains(&("B".to_owned(), OsString::from("2"))));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", with(&[]).unwrap()).contains("s3cret"));
        let told = with(&[
            ("ECSRUNNER_BOOT_OWNER", "AROA:1"),
            ("AWS_ACCESS_KEY_ID", "AKIA"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ]);
        assert!(!format!("{:?}", told.unwrap()).contains("s3cret"));
    }
}
