//! Reads the variables and collects every fault in them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ecsrunner_aws::boot::{Credentials, CredentialsEndpoint, TaskEndpoints};
use ecsrunner_aws::partition::known_domain;
use secrecy::SecretString;

use super::*;
use crate::listener;
use crate::paths;

/// Collects faults. If there is one, the values that were read are discarded.
pub(super) struct Reader<F> {
    lookup: F,
    faults: Vec<String>,
}

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    pub(super) fn read(lookup: F, executable: &str) -> Result<Config, ConfigError> {
        let mut read = Self { lookup, faults: Vec::new() };
        let config = read.config(executable);
        if read.faults.is_empty() { Ok(config) } else { Err(ConfigError(read.faults)) }
    }

    fn config(&mut self, executable: &str) -> Config {
        Config {
            boot: self.boot(),
            supervision: Supervision {
                listener: self.listener(),
                agent_dir: self.directory(AGENT_DIR),
                executable: self.executable(executable),
                service_dir: self.raw(SERVICE_DIR).map(|_| self.directory(SERVICE_DIR)),
                docker: self.docker(),
                network: self.network(),
                in_task: self.raw(BOOT_OWNER).is_none(),
                cgroup: self.optional(CGROUP),
                metadata: self.optional(METADATA),
                capacity_provider: self.optional(CAPACITY_PROVIDER),
                limits: Limits {
                    connect: self.secs(CONNECT_LIMIT, 1),
                    idle: self.secs(IDLE_LIMIT, 1),
                    hook: self.secs(HOOK_LIMIT, 1),
                    job: self.secs(JOB_LIMIT, 1),
                    exit: self.secs(EXIT_LIMIT, 1),
                    worker: self.secs(WORKER_LIMIT, 1),
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
        let domain = known_domain(&region);
        BootConfig {
            table: self.required(BOOT_TABLE),
            identity: self.identity(),
            endpoint: endpoint.unwrap_or_else(|| format!("https://dynamodb.{region}.{domain}")),
            region,
            ca_bundle: self.raw(CA_BUNDLE).map(PathBuf::from),
            limit: self.secs(BOOT_LIMIT, 1),
            // A day more than the longest `max_age_hours`.
            warm_limit: self
                .raw(WARM_LIMIT)
                .map(|_| Duration::from_secs(self.number(WARM_LIMIT, 1, 8 * 24 * 3600))),
        }
    }

    fn identity(&mut self) -> Identity {
        if let Some(owner) = self.optional(BOOT_OWNER) {
            let credentials = Credentials {
                access_key_id: self.required(ACCESS_KEY_ID),
                secret_access_key: SecretString::from(self.required(SECRET_ACCESS_KEY)),
                session_token: self.optional(SESSION_TOKEN).map(SecretString::from),
                expires_at: None,
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

    fn docker(&mut self) -> Option<DockerConfig> {
        self.raw(DOCKER_DIR)?;
        let arguments = self.optional(DOCKER_ARGS).and_then(|text| {
            let parsed = serde_json::from_str(&text);
            let told =
                |_| self.faults.push(format!("{} is not a JSON list of texts: `{text}`", DOCKER_ARGS.name));
            parsed.map_err(told).ok()
        });
        let addresses = self.optional(DOCKER_ADDRESSES).and_then(|text| {
            let parsed = text.parse();
            let told = |error| self.faults.push(format!("{}: {error}", DOCKER_ADDRESSES.name));
            parsed.map_err(told).ok()
        });
        Some(DockerConfig {
            dir: self.directory(DOCKER_DIR),
            arguments: arguments.unwrap_or_default(),
            addresses,
            limit: self.secs(DOCKER_LIMIT, 1),
        })
    }

    fn network(&mut self) -> Option<NetworkConfig> {
        self.raw(NETWORK_DIR)?;
        let addresses = self.required(NETWORK_ADDRESSES).parse().map_err(|error| {
            self.faults.push(format!("{}: {error}", NETWORK_ADDRESSES.name));
        });
        let text = self.optional(NETWORK_LOOPBACK).unwrap_or_default();
        let mut loopback = Vec::new();
        for text in text.split(',').filter(|text| !text.is_empty()) {
            match text.parse::<SocketAddr>() {
                Ok(address) if address.ip().is_loopback() => loopback.push(address),
                _ => self.faults.push(format!(
                    "{} has `{text}`: an address on loopback with a port is expected, such as `127.0.0.1:3128`",
                    NETWORK_LOOPBACK.name
                )),
            }
        }
        Some(NetworkConfig { addresses: addresses.ok()?, loopback })
    }

    fn check_url(&mut self, url: &str, what: &str) {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            self.faults.push(format!("`{url}` is not {what}: an http or https URL is expected"));
        }
    }

    fn listener(&mut self) -> ListenerConfig {
        let mut environment = Vec::new();
        for variable in [PATH, LANG, LANGUAGE, LC_ALL, DEBIAN_FRONTEND, IMAGE_OS, ACTION_ARCHIVE_CACHE] {
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
            tmp_dir: self.raw(TMP_DIR).map(|_| self.directory(TMP_DIR)),
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
        } else {
            self.check_path(variable.name, &path);
        }
        path
    }

    /// The agent's own path is part of the hook's command line.
    fn executable(&mut self, executable: &str) -> String {
        self.check_path("the agent's executable", Path::new(executable));
        executable.to_owned()
    }

    fn check_path(&mut self, name: &str, path: &Path) {
        if let Err(error) = paths::check(path) {
            self.faults.push(format!("{name} is {error}"));
        }
    }

    fn parse<T: FromStr>(&mut self, variable: Variable, text: &str) -> Option<T> {
        let number = text.parse().ok();
        if number.is_none() {
            self.faults.push(format!("{} is not a whole number: `{text}`", variable.name));
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

/// Whether `ECSRUNNER_LISTENER_ENV` may name a variable, which then reaches a job.
/// Variables of AWS, of ECS and of the agent itself never reach one, nor do those
/// that the agent sets or removes.
pub fn may_pass(name: &str) -> bool {
    listener::PASSED_VARIABLES.contains(&name)
        || !(name.starts_with("AWS_")
            || name.starts_with("ECS_")
            || listener::is_reserved(name)
            || VARIABLES.iter().any(|variable| variable.name == name))
}
