//! The just-in-time configuration: base64 of a JSON map from file name to base64 bytes.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use crate::protocol::{CredentialsFile, RunnerFile};

use super::JIT_VARIABLE;

pub(super) struct Config {
    pub runner: RunnerFile,
    pub token: SecretString,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error("Not configured. {JIT_VARIABLE} is not set")]
    Missing,
    #[error("the just-in-time configuration is not base64 of a JSON map")]
    Encoding,
    #[error("the just-in-time configuration has no readable file {0}")]
    File(&'static str),
}

/// Reads the variable. Children are started without it (the process cannot
/// unset its own: that takes unsafe code).
pub(super) fn read() -> Result<Config, ConfigError> {
    let encoded = std::env::var(JIT_VARIABLE).map_err(|_| ConfigError::Missing)?;
    let json = STANDARD.decode(encoded.trim()).map_err(|_| ConfigError::Encoding)?;
    let files: BTreeMap<String, String> = serde_json::from_slice(&json).map_err(|_| ConfigError::Encoding)?;
    let credentials: CredentialsFile = file(&files, ".credentials")?;
    Ok(Config { runner: file(&files, ".runner")?, token: credentials.data.token.into() })
}

fn file<T: DeserializeOwned>(files: &BTreeMap<String, String>, name: &'static str) -> Result<T, ConfigError> {
    let bytes = files.get(name).and_then(|text| STANDARD.decode(text).ok()).ok_or(ConfigError::File(name))?;
    serde_json::from_slice(&bytes).map_err(|_| ConfigError::File(name))
}
