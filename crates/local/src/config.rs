//! The configuration of `ecsrunner local up`: one TOML file, `docs/configuration.md`.

mod entries;
mod github;
mod rules;
mod runner;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::settings::Settings;
use ecsrunner_github::{ApiUrl, Client};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use self::entries::{GitHubEntry, ServerEntry, WebhookEntry};
use self::runner::RunnerEntry;
pub(crate) use self::runner::{DockerEntry, LISTENER, NetworkEntry, TasksEntry};
use crate::custody;

/// Values from the environment, which override the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `GITHUB_API_URL`
    pub github_api_url: Option<String>,
    /// `ECSRUNNER_WEBHOOK_SECRET_FILE`
    pub webhook_secret_file: Option<PathBuf>,
}

/// A valid configuration.
#[derive(Debug)]
pub struct Config {
    pub settings: Settings,
    pub catalogue: Catalogue,
    pub github_api: ApiUrl,
    /// A client of `github_api` with the configured credentials.
    pub github: Client,
    /// The webhook's secrets. A delivery signed with any of them is accepted.
    pub webhook_secrets: Vec<SecretString>,
    pub runner_dir: PathBuf,
    /// Variables of this process's environment that the listener may see.
    pub listener_env: Vec<String>,
    /// Names of the accounts that runners run as, if the server is root.
    pub users: Option<Vec<String>>,
    /// The first user id given to runners, if `users` is not set. Without it, one that this machine gives to nobody.
    pub first_uid: Option<u32>,
    /// How tasks are confined.
    pub(crate) tasks: TasksEntry,
    /// How the Docker engines of tasks are started.
    pub(crate) docker: DockerEntry,
    /// The network namespaces of tasks.
    pub(crate) network: NetworkEntry,
    /// Names of hosts under which the API may be reached, in addition to this machine's own.
    pub hosts: Vec<String>,
    /// Files with secrets that every user of this machine can read.
    pub exposed: Vec<PathBuf>,
}

/// Every mistake in a configuration file, each with its key.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    file: PathBuf,
    mistakes: Vec<String>,
    remedies: Vec<Remedy>,
}

/// What removes a mistake, other than a correction of its key.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Remedy {
    /// The GitHub App has to be made.
    Setup,
    /// This process's user may not read the file.
    Owner(PathBuf),
}

impl ConfigError {
    pub(crate) fn new(file: &Path, mistakes: Vec<String>) -> Self {
        Self { file: file.to_owned(), mistakes, remedies: Vec::new() }
    }

    /// Returns what the operator can do.
    #[must_use]
    pub fn hint(&self) -> String {
        let hints: Vec<String> = self.remedies.iter().map(|remedy| match remedy {
            Remedy::Setup => format!(
                "run `ecsrunner setup --config {}` to make a GitHub App: it adds the sections `github` and `webhook`",
                self.file.display()
            ),
            Remedy::Owner(file) => format!("start the server as the user who owns {}", file.display()),
        }).collect();
        if hints.is_empty() {
            return "see docs/configuration.md for every key and a complete example".to_owned();
        }
        hints.join("; ")
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mistakes.len();
        let (file, s) = (self.file.display(), if count == 1 { "" } else { "s" });
        write!(f, "{count} mistake{s} in the configuration {file}")?;
        for mistake in &self.mistakes {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads a file and the files it names.
    ///
    /// # Errors
    ///
    /// Returns all mistakes at once.
    pub fn read(file: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut reader = Reader::of(file);
        let config = reader.config(overrides);
        match config {
            Some(config) if reader.mistakes.is_empty() => Ok(config),
            _ => Err(reader.error()),
        }
    }

    /// Reads only settings and classes, and no secret.
    ///
    /// # Errors
    ///
    /// Returns all mistakes in them at once.
    pub fn rules(file: &Path) -> Result<(Settings, Catalogue), ConfigError> {
        let mut reader = Reader::of(file);
        let rules = reader.rules();
        match rules {
            Some(rules) if reader.mistakes.is_empty() => Ok(rules),
            _ => Err(reader.error()),
        }
    }
}

struct Reader<'a> {
    file: &'a Path,
    mistakes: Vec<String>,
    remedies: Vec<Remedy>,
    exposed: Vec<PathBuf>,
}

impl<'a> Reader<'a> {
    fn of(file: &'a Path) -> Self {
        Self { file, mistakes: Vec::new(), remedies: Vec::new(), exposed: Vec::new() }
    }

    fn error(self) -> ConfigError {
        ConfigError { file: self.file.to_owned(), mistakes: self.mistakes, remedies: self.remedies }
    }

    fn table(&mut self) -> Option<Table> {
        let opened = File::open(self.file).and_then(|file| Ok((file.metadata()?, io::read_to_string(file)?)));
        let (metadata, text) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.mistake("cannot be read", &error);
                if error.kind() == io::ErrorKind::PermissionDenied {
                    self.remedies.push(Remedy::Owner(self.file.to_owned()));
                }
                return None;
            }
        };
        // It says where credentials are sent.
        custody::check_secret(self.file, &metadata)
            .map_err(|error| self.mistake("cannot be trusted", &error))
            .ok()?;
        toml::from_str(&text).map_err(|error| self.mistake("is not TOML", &error)).ok()
    }

    fn rules(&mut self) -> Option<(Settings, Catalogue)> {
        let mut table = self.table()?;
        let classes = self.classes(&mut table);
        for section in ["github", "webhook", "runner", "server"] {
            table.remove(section);
        }
        let (settings, classes) = (ecsrunner_entries::settings(table, &mut self.mistakes)?, classes?);
        self.check_warm(&classes, &settings);
        Some((settings, classes))
    }

    fn config(&mut self, overrides: &Overrides) -> Option<Config> {
        let mut table = self.table()?;
        let classes = self.classes(&mut table);
        if !table.contains_key("github") {
            self.remedies.push(Remedy::Setup);
        }
        let github = self.section::<GitHubEntry>("github", table.remove("github"), &[]);
        let webhook = Some(table.remove("webhook").unwrap_or(Table::new().into()));
        let webhook = self.section::<WebhookEntry>("webhook", webhook, &[]);
        let runner = self.section::<RunnerEntry>("runner", table.remove("runner"), &["dir"]);
        let hosts = self.hosts(table.remove("server"));
        let settings = ecsrunner_entries::settings(table, &mut self.mistakes);
        if let (Some(classes), Some(settings)) = (&classes, &settings) {
            self.check_warm(classes, settings);
        }
        let api_url = self.api_url(github.as_ref(), overrides);
        let credentials = github.and_then(|github| self.credentials(&github));
        let github_api = api_url.clone();
        let github = match (api_url, credentials) {
            (Some(api_url), Some(credentials)) => self.client(api_url, &credentials),
            _ => None,
        };
        let webhook_secrets = match (&webhook, &overrides.webhook_secret_file) {
            (None, None) => Vec::new(),
            _ => self.webhook_secrets(&webhook.unwrap_or_default(), overrides),
        };
        let runner = runner.map(|mut runner| {
            runner.dir = self.path(&runner.dir);
            // Tasks see these directories, and files are removed from them, by the paths behind links.
            runner
                .tasks
                .writable
                .iter_mut()
                .for_each(|dir| *dir = dir.canonicalize().unwrap_or_else(|_| dir.clone()));
            runner
        });
        if let Some(runner) = &runner {
            self.check_runner(
                runner,
                classes.as_ref(),
                settings.as_ref().map(|settings| settings.limits.max_runners),
            );
        }
        let runner = runner?;
        Some(Config {
            settings: settings?,
            catalogue: classes?,
            github_api: github_api?,
            github: github?,
            webhook_secrets,
            runner_dir: runner.dir,
            listener_env: runner.env,
            users: runner.users,
            first_uid: runner.first_uid,
            tasks: runner.tasks,
            docker: runner.docker,
            network: runner.network,
            exposed: std::mem::take(&mut self.exposed),
            hosts,
        })
    }

    fn mistake(&mut self, key: &str, what: &dyn fmt::Display) {
        // One line for each mistake, even if the parser's error has several lines.
        let what = what.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        self.mistakes.push(format!("{key}: {what}"));
    }

    /// Reads a section that has to be there. `required` are its keys without a default.
    fn section<T: DeserializeOwned>(
        &mut self,
        key: &str,
        value: Option<Value>,
        required: &[&str],
    ) -> Option<T> {
        let Some(value) = value else {
            self.mistake(key, &"this section is missing");
            return None;
        };
        let Value::Table(table) = value else {
            self.mistake(key, &format_args!("invalid type: {}, a table is expected", value.type_str()));
            return None;
        };
        let least = required.iter().map(|key| ((*key).to_owned(), Value::from("")));
        let least = Table::from_iter(least);
        let is_hidden = |own: &str| matches!((key, own), ("github" | "webhook", _) | ("runner", "env"));
        ecsrunner_entries::read_hiding(key, table, &least, is_hidden, &mut self.mistakes).valid()
    }

    fn hosts(&mut self, value: Option<Value>) -> Vec<String> {
        let entry = value.map(|value| self.section::<ServerEntry>("server", Some(value), &[]));
        let hosts = entry.flatten().unwrap_or_default().hosts;
        let is_name = |host: &String| {
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        };
        for host in hosts.iter().filter(|host| !is_name(host)) {
            let what = format_args!(
                "`{host}` is no host name: a name such as `ci.example.com` is expected, without scheme and port"
            );
            self.mistake("server.hosts", &what);
        }
        hosts
    }

    /// Resolves a relative path against the directory of the configuration file.
    fn path(&self, path: &Path) -> PathBuf {
        let base = self.file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let joined = base.unwrap_or(Path::new(".")).join(path);
        std::path::absolute(&joined).unwrap_or(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_where_its_file_belongs_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ecsrunner.toml");
        let text = "version = 1\ndeployment = 'ci'\nrepositories = 7\n\
                    [github]\napp = \"\"\"-----BEGIN KEY-----\nhunter2\"\"\"\n\
                    [webhook]\nsecret_files = 'hunter2'\n\
                    [runner]\ndir = 'runner'\nenv = 'HTTPS_PROXY=http://ann:hunter2@proxy'\n";
        std::fs::write(&file, text).unwrap();
        let told = Config::read(&file, &Overrides::default()).unwrap_err().to_string();
        for mistake in [
            "github.app: invalid type: string, expected a table",
            "webhook.secret_files: invalid type: string, expected a list",
            "runner.env: invalid type: string, expected a list",
            "repositories: invalid type: integer `7`, expected a list",
        ] {
            assert!(told.lines().any(|line| line.trim() == mistake), "{mistake}: {told}");
        }
        assert!(!told.contains("hunter2") && !told.contains("BEGIN"), "{told}");
    }
}
