//! The configuration of a server on one machine, and the files beside it.
//!
//! A file that exists is never overwritten. The configuration is only added to, where a
//! section is missing; otherwise the lines are printed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use ecsrunner_core::rules::Rules;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::settings::Settings;
use ecsrunner_github::app_manifest::{NewApp, Registrar};
use ecsrunner_github::{ApiUrl, App, CALL_LIMIT, Client, Credentials};
use secrecy::{ExposeSecret, SecretString};
use toml::{Table, Value};

use super::section::{self, Section};
use super::{Held, quoted};
use crate::environment;
use crate::exit::Failure;
use crate::machine::Config;
use crate::output::say;
use crate::setup::private_file;

pub(crate) struct Machine {
    file: PathBuf,
    table: Table,
    settings: Settings,
    catalogue: Catalogue,
    api: ApiUrl,
    webhook_url: Option<String>,
}

impl Machine {
    /// Reads the settings of a configuration. Its sections on GitHub and the webhook can be missing.
    pub(super) fn read(file: &Path, webhook_url: Option<&str>) -> Result<Self, Failure> {
        let file = std::path::absolute(file)?;
        // A relative path in it is relative to the directory that it is really in.
        let file = file.canonicalize().unwrap_or(file);
        let (settings, catalogue) = Config::rules(&file).map_err(|error| {
            Failure::usage(error).hint(
                "write at least `version`, `deployment`, `repositories` and one class: see docs/configuration.md",
            )
        })?;
        let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let table: Table = toml::from_str(&text).map_err(Failure::usage)?;
        let configured = text_at(&table, &["github", "api_url"]);
        let api = environment::github_api_url().or(configured);
        let api = ApiUrl::parse(api.as_deref().unwrap_or(ApiUrl::GITHUB_COM)).map_err(Failure::usage)?;
        Ok(Self { file, table, settings, catalogue, api, webhook_url: webhook_url.map(str::to_owned) })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn rules(&self) -> Rules<'_> {
        Rules { settings: &self.settings, catalogue: &self.catalogue }
    }

    pub(super) fn api(&self) -> &ApiUrl {
        &self.api
    }

    pub(super) fn registrar(&self) -> Result<Registrar, Failure> {
        Ok(Registrar::new(self.api.clone(), CALL_LIMIT, None)?)
    }

    pub(super) fn place(&self) -> String {
        self.file.display().to_string()
    }

    pub(super) fn webhook_url(&self) -> Option<&str> {
        self.webhook_url.as_deref()
    }

    pub(super) fn held(&self) -> Held {
        if text_at(&self.table, &["github", "token_file"]).is_some() {
            return Held::Token;
        }
        let Some(app) = at(&self.table, &["github", "app"]) else { return Held::Nothing };
        match self.client_of(app) {
            Ok((id, client)) => Held::App { id, client: Box::new(client) },
            Err(failure) => Held::Unusable(failure.to_string()),
        }
    }

    fn client_of(&self, app: &Value) -> Result<(String, Client), Failure> {
        let id = match app.get("id") {
            Some(Value::Integer(id)) => id.to_string(),
            Some(Value::String(id)) => id.clone(),
            _ => return Err(anyhow!("github.app.id is missing").into()),
        };
        let key = app.get("private_key_file").and_then(Value::as_str);
        let key = self.path(key.ok_or_else(|| anyhow!("github.app.private_key_file is missing"))?);
        let key = fs::read_to_string(&key).with_context(|| format!("{} cannot be read", key.display()))?;
        let installation = app.get("installation").and_then(Value::as_integer);
        let installation = installation.and_then(|id| u64::try_from(id).ok());
        let client = self.client(&id, SecretString::from(key), installation)?;
        Ok((id, client))
    }

    fn client(&self, id: &str, key: SecretString, installation: Option<u64>) -> Result<Client, Failure> {
        Ok(Client::new(self.api.clone(), &Credentials::App(App::new(id, key, installation)?))?)
    }

    pub(super) fn webhook_secret(&self) -> Option<SecretString> {
        // Read again: setup may have added the section.
        let table: Table = fs::read_to_string(&self.file).ok()?.parse().ok()?;
        let files = at(&table, &["webhook", "secret_files"])?.as_array()?;
        let text = fs::read_to_string(self.path(files.first()?.as_str()?)).ok()?;
        let text = text.trim_end_matches(['\r', '\n']);
        (!text.is_empty()).then(|| SecretString::from(text))
    }

    pub(super) fn store(&self, app: &NewApp, webhook_secret: &SecretString) -> Result<Client, Failure> {
        // The client first: a key that cannot be used must not be written.
        let client = self.client(&app.id.to_string(), app.private_key.clone(), None)?;
        let key = self.beside(&format!("{}.private-key.pem", app.slug), &app.private_key)?;
        let secret = self.beside(&format!("{}.webhook-secret", app.slug), webhook_secret)?;
        self.add(&[Section::app(app.id, &key), Section::webhook(&secret)])?;
        Ok(client)
    }

    pub(super) fn store_webhook_secret(&self, secret: &SecretString) -> Result<(), Failure> {
        let name = format!("{}.webhook-secret", self.settings.deployment);
        let file = self.beside(&name, secret)?;
        self.add(&[Section::webhook(&file)])
    }

    /// Writes a secret beside the configuration, for its owner alone. Returns the file's name.
    fn beside(&self, name: &str, secret: &SecretString) -> Result<String, Failure> {
        let path = self.path(name);
        let content = format!("{}\n", secret.expose_secret().trim_end());
        match private_file::create(&path, content.as_bytes()) {
            Ok(()) => say(&format!("wrote {}", path.display())),
            // An earlier attempt has written it.
            Err(_) if fs::read_to_string(&path).is_ok_and(|there| there == content) => {}
            Err(error) => {
                let error =
                    anyhow::Error::new(error).context(format!("{} cannot be written", path.display()));
                return Err(Failure::from(error)
                    .hint("move a file that is in the way, or make the directory writable"));
            }
        }
        Ok(name.to_owned())
    }

    /// Adds sections to the configuration, or prints those that it has already.
    fn add(&self, sections: &[Section]) -> Result<(), Failure> {
        let text = fs::read_to_string(&self.file)
            .with_context(|| format!("{} cannot be read", self.file.display()))?;
        let (text, left) = section::add(&text, sections);
        if let Some(text) = text {
            section::replace(&self.file, &text)
                .with_context(|| format!("{} cannot be written", self.file.display()))?;
            say(&format!("added the new sections to {}", self.file.display()));
        }
        if !left.is_empty() {
            let lines: Vec<String> = left.iter().map(ToString::to_string).collect();
            say(&format!("note: change {} so that it has\n\n{}", self.file.display(), lines.join("\n\n")));
        }
        Ok(())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new(".")).join(path)
    }

    pub(super) fn say_next(&self) {
        let poll = if self.webhook_url.is_none() { " --poll" } else { "" };
        let file = quoted(&self.file.display().to_string());
        say(&format!("next: `ecsrunner local up --state DIR --config {file}{poll}` starts the server"));
    }
}

fn at<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))
}

fn text_at(table: &Table, keys: &[&str]) -> Option<String> {
    at(table, keys)?.as_str().map(str::to_owned)
}
