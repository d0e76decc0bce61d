//! The sections `[github]`, `[webhook]` and `[server]`, as they are written.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GitHubEntry {
    #[serde(default)]
    pub(super) api_url: Option<String>,
    #[serde(default)]
    pub(super) token_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) app: Option<AppEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppEntry {
    pub(super) id: Value,
    pub(super) private_key_file: PathBuf,
    #[serde(default)]
    pub(super) installation: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WebhookEntry {
    pub(super) secret_files: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServerEntry {
    pub(super) hosts: Vec<String>,
}
