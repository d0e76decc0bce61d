//! GitHub's REST API behind the engine's port: github.com, a GitHub Enterprise
//! Server or a stand-in, by its base URL.
//!
//! When to call and what to make of an answer does not belong here but in
//! `ecsrunner-engine`; webhooks are read in `ecsrunner-core`.

mod client;

mod auth;
mod jobs;
mod runners;
mod deliveries;
pub mod operator;
pub mod logs;

mod http;
mod rates;
mod reply;

pub use auth::{App, AppId, AppIdError, Credentials, CredentialsError, InstallationId};
pub use client::{Client, ClientError};
pub use http::{ApiUrl, ApiUrlError, CALL_LIMIT};
