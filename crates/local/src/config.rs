//! The configuration of `ecsrunner local up`: one TOML file, `docs/configuration.md`.

mod runner;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ecsrunner_core::rules::class::{Catalogue, ClassError};
use ecsrunner_core::rules::service::Place;
use ecsrunner_core::rules::settings::Settings;
use ecsrunner_entries as entries;
use ecsrunner_github::{ApiUrl, App, AppId, Client, Credentials, InstallationId};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::{custody, preflight};
use runner::RunnerEntry;
pub(crate) use runner::{DockerEntry, LISTENER, TasksEntry};

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
    /// The first user id given to runners, if `users` is not set.
    pub first_uid: u32,
    /// How tasks are confined.
    pub(crate) tasks: TasksEntry,
    /// How the Docker engines of tasks are started.
    pub(crate) docker: DockerEntry,
    /// Names of hosts under which the API may be reached, besides this machine's own.
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GitHubEntry {
    #[serde(default)]
    api_url: Option<String>,
    #[serde(default)]
    token_file: Option<PathBuf>,
    #[serde(default)]
    app: Option<AppEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppEntry {
    id: Value,
    private_key_file: PathBuf,
    #[serde(default)]
    installation: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WebhookEntry {
    secret_files: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ServerEntry {
    hosts: Vec<String>,
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
        let (settings, classes) = (entries::settings(table, &mut self.mistakes)?, classes?);
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
        let settings = entries::settings(table, &mut self.mistakes);
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
            self.check_runner_dir(&runner.dir);
            preflight::check_variables(&runner.env, &mut self.mistakes);
            self.check_tasks(&runner.tasks);
            if let Err(error) = runner.docker.addresses() {
                self.mistake("runner.docker.addresses", &error);
            }
            self.check_users(runner, settings.as_ref().map(|settings| settings.limits.max_runners));
        }
        let runner = runner?;
        let first_uid = runner.first_uid();
        Some(Config {
            settings: settings?,
            catalogue: classes?,
            github_api: github_api?,
            github: github?,
            webhook_secrets,
            runner_dir: runner.dir,
            listener_env: runner.env,
            users: runner.users,
            first_uid,
            tasks: runner.tasks,
            docker: runner.docker,
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
        entries::read(key, table, &Table::from_iter(least), &mut self.mistakes).valid()
    }

    /// Returns the valid classes, with the labels of `[labels]` that are mapped to them.
    fn classes(&mut self, table: &mut Table) -> Option<Catalogue> {
        let (classes, labels) = (table.remove("classes"), table.remove("labels"));
        let classes: Table = self.section("classes", classes, &[])?;
        if classes.is_empty() {
            self.mistake("classes", &"at least one class is needed");
        }
        let names: HashSet<String> = classes.keys().cloned().collect();
        let mut catalogue = entries::classes("classes", classes, &mut self.mistakes);
        let unfit = catalogue.keep_fit(Place::OneMachine);
        self.mistakes.extend(unfit.iter().map(|error| entries::located("classes", error)));
        let labels = labels.and_then(|labels| self.section("labels", Some(labels), &[]));
        let labels: BTreeMap<String, String> = labels.unwrap_or_default();
        for error in catalogue.map_labels(&labels) {
            // What is wrong with such a class is told already.
            let is_told = matches!(&error, ClassError::MappedNowhere { class, .. } if names.contains(class));
            if !is_told {
                self.mistake("labels", &error);
            }
        }
        Some(catalogue)
    }

    fn check_warm(&mut self, catalogue: &Catalogue, settings: &Settings) {
        if let Some(mistake) = catalogue.check_warm(settings.limits.max_warm) {
            self.mistake("classes", &mistake);
        }
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

    fn api_url(&mut self, github: Option<&GitHubEntry>, overrides: &Overrides) -> Option<ApiUrl> {
        let (key, text) = match (&overrides.github_api_url, github.and_then(|github| github.api_url.as_ref()))
        {
            (Some(url), _) => ("GITHUB_API_URL", url.as_str()),
            (None, Some(url)) => ("github.api_url", url.as_str()),
            (None, None) => ("github.api_url", "https://api.github.com"),
        };
        ApiUrl::parse(text).map_err(|error| self.mistake(key, &error)).ok()
    }

    fn credentials(&mut self, github: &GitHubEntry) -> Option<Credentials> {
        match (&github.token_file, &github.app) {
            (Some(file), None) => {
                Some(Credentials::Token(SecretString::from(self.secret("github.token_file", file)?)))
            }
            (None, Some(app)) => self.app(app),
            _ => {
                self.mistake("github", &"either `token_file` or `app` is expected");
                None
            }
        }
    }

    fn client(&mut self, api_url: ApiUrl, credentials: &Credentials) -> Option<Client> {
        Client::new(api_url, credentials)
            .map_err(|error| {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                self.mistake("github", &format_args!("{error}{}", cause.unwrap_or_default()));
            })
            .ok()
    }

    fn app(&mut self, app: &AppEntry) -> Option<Credentials> {
        let id = match &app.id {
            Value::Integer(id) => id.to_string(),
            Value::String(id) => id.clone(),
            other => {
                self.mistake("github.app.id", &format_args!("`{other}` is neither a number nor a string"));
                return None;
            }
        };
        let id = AppId::parse(&id).map_err(|error| self.mistake("github.app.id", &error)).ok();
        let private_key = self.secret("github.app.private_key_file", &app.private_key_file);
        Some(Credentials::App(App {
            id: id?,
            private_key: SecretString::from(private_key?),
            installation: app.installation.map(InstallationId::new),
        }))
    }

    fn webhook_secrets(&mut self, webhook: &WebhookEntry, overrides: &Overrides) -> Vec<SecretString> {
        let (key, files) = match &overrides.webhook_secret_file {
            Some(file) => ("ECSRUNNER_WEBHOOK_SECRET_FILE", vec![file.clone()]),
            None => ("webhook.secret_files", webhook.secret_files.clone()),
        };
        if files.is_empty() {
            self.mistake(key, &"at least one file with a webhook secret is needed");
        }
        let secrets: Vec<_> = files.iter().filter_map(|file| self.secret(key, file)).collect();
        secrets.into_iter().map(SecretString::from).collect()
    }

    /// Reads a secret from a file, without the newline that editors add at the end.
    fn secret(&mut self, key: &str, file: &Path) -> Option<String> {
        let path = self.path(file);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, io::read_to_string(file)?)));
        if let Ok((metadata, _)) = &opened
            && let Err(untrusted) = custody::check_secret(&path, metadata)
        {
            self.mistake(key, &untrusted);
            return None;
        }
        if opened.is_ok() && custody::is_open_to_everyone(&path) {
            self.exposed.push(path.clone());
        }
        match opened.map(|(_, text)| text) {
            Ok(text) if text.trim().is_empty() => {
                self.mistake(key, &format_args!("{} is empty", path.display()));
                None
            }
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                self.mistake(key, &format_args!("{} cannot be read: {error}", path.display()));
                if error.kind() == io::ErrorKind::PermissionDenied {
                    self.remedies.push(Remedy::Owner(path));
                }
                None
            }
        }
    }

    /// Resolves a relative path against the directory of the configuration file.
    fn path(&self, path: &Path) -> PathBuf {
        let base = self.file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let joined = base.unwrap_or(Path::new(".")).join(path);
        std::path::absolute(&joined).unwrap_or(joined)
    }
}
