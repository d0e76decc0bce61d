//! The just-in-time configuration: base64 of a JSON map from file name to base64 bytes.

use std::collections::BTreeMap;

use aws_lc_rs::rsa::{KeyPair, KeyPairComponents, PublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// The files that make a configuration.
pub const FILES: [&str; 3] = [".runner", ".credentials", ".credentials_rsaparams"];

pub type Files = BTreeMap<String, Vec<u8>>;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// It is not base64 of a JSON map.
    #[error("the configuration is not base64 of a JSON map from file names to base64")]
    Encoding,
    /// It lacks a file.
    #[error("the configuration has no file {0}")]
    Missing(&'static str),
    /// A file has the wrong content.
    #[error("the file {0} of the configuration cannot be read: {1}")]
    File(&'static str, String),
}

/// The identity and addresses of a runner.
#[derive(Debug)]
pub struct Configuration {
    /// GitHub's id of the runner.
    pub agent_id: u64,
    pub agent_name: String,
    /// The broker's base URL, which ends with `/`.
    pub server_url: String,
    /// The work folder of jobs, relative to the runner's root.
    pub work_folder: String,
    /// The URL for token requests.
    pub authorization_url: String,
    /// The identity of the runner in token requests.
    pub client_id: String,
    /// The key that signs token requests.
    pub(super) key: KeyPair,
}

/// GitHub sends every value as text. Numbers are accepted too, as by the official runner.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RunnerFile {
    agent_id: Value,
    agent_name: String,
    server_url_v2: String,
    work_folder: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsFile {
    data: CredentialsData,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsData {
    client_id: String,
    authorization_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    d: String,
    dp: String,
    dq: String,
    exponent: String,
    inverse_q: String,
    modulus: String,
    p: String,
    q: String,
}

impl Configuration {
    /// Decodes the files of a configuration.
    ///
    /// # Errors
    ///
    /// Fails if it is not in GitHub's encoding.
    pub fn files(encoded: &str) -> Result<Files, ConfigurationError> {
        let json = STANDARD.decode(encoded.trim()).map_err(|_| ConfigurationError::Encoding)?;
        let files: BTreeMap<String, String> =
            serde_json::from_slice(&json).map_err(|_| ConfigurationError::Encoding)?;
        files
            .into_iter()
            .map(|(name, text)| Ok((name, STANDARD.decode(text).map_err(|_| ConfigurationError::Encoding)?)))
            .collect()
    }

    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Fails if a file is missing or wrong.
    pub fn read(files: &Files) -> Result<Self, ConfigurationError> {
        let [runner_name, credentials_name, parameters_name] = FILES;
        let runner: RunnerFile = file(files, runner_name)?;
        let credentials: CredentialsFile = file(files, credentials_name)?;
        let parameters: Parameters = file(files, parameters_name)?;
        let wrong = |why: &str| ConfigurationError::File(parameters_name, why.to_owned());
        let key = parameters.key().ok_or_else(|| wrong("it holds no RSA key"))?;
        let agent_id = match &runner.agent_id {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        Ok(Self {
            agent_id: agent_id
                .ok_or_else(|| ConfigurationError::File(runner_name, "AgentId is not a number".to_owned()))?,
            agent_name: runner.agent_name,
            server_url: runner.server_url_v2,
            work_folder: runner.work_folder,
            authorization_url: credentials.data.authorization_url,
            client_id: credentials.data.client_id,
            key,
        })
    }
}

impl Parameters {
    fn key(&self) -> Option<KeyPair> {
        let number = |text: &str| STANDARD.decode(text).ok();
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: number(&self.modulus)?, e: number(&self.exponent)? },
            d: number(&self.d)?,
            p: number(&self.p)?,
            q: number(&self.q)?,
            dP: number(&self.dp)?,
            dQ: number(&self.dq)?,
            qInv: number(&self.inverse_q)?,
        };
        KeyPair::from_components(&components).ok()
    }
}

fn file<T: for<'de> Deserialize<'de>>(files: &Files, name: &'static str) -> Result<T, ConfigurationError> {
    let bytes = files.get(name).ok_or(ConfigurationError::Missing(name))?;
    serde_json::from_slice(bytes).map_err(|error| ConfigurationError::File(name, error.to_string()))
}
