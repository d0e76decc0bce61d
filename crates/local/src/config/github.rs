//! GitHub's address and credentials, and the secrets of webhooks.

use std::fs::File;
use std::io;
use std::path::Path;

use ecsrunner_github::{ApiUrl, App, AppId, Client, Credentials, InstallationId};
use secrecy::SecretString;
use toml::Value;

use super::entries::{AppEntry, GitHubEntry, WebhookEntry};
use super::{Overrides, Reader, Remedy};
use crate::custody;

impl Reader<'_> {
    pub(super) fn api_url(&mut self, github: Option<&GitHubEntry>, overrides: &Overrides) -> Option<ApiUrl> {
        let (key, text) = match (&overrides.github_api_url, github.and_then(|github| github.api_url.as_ref()))
        {
            (Some(url), _) => ("GITHUB_API_URL", url.as_str()),
            (None, Some(url)) => ("github.api_url", url.as_str()),
            (None, None) => ("github.api_url", "https://api.github.com"),
        };
        ApiUrl::parse(text).map_err(|error| self.mistake(key, &error)).ok()
    }

    pub(super) fn credentials(&mut self, github: &GitHubEntry) -> Option<Credentials> {
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

    pub(super) fn client(&mut self, api_url: ApiUrl, credentials: &Credentials) -> Option<Client> {
        Client::new(api_url, credentials)
            .map_err(|error| {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                self.mistake("github", &format_args!("{error}{}", cause.unwrap_or_default()));
            })
            .ok()
    }

    pub(super) fn app(&mut self, app: &AppEntry) -> Option<Credentials> {
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

    pub(super) fn webhook_secrets(
        &mut self,
        webhook: &WebhookEntry,
        overrides: &Overrides,
    ) -> Vec<SecretString> {
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
}
