//! Implements the engine's port to GitHub's REST API. The base URL selects
//! github.com, a GitHub Enterprise Server or a stand-in.
//!
//! `ecsrunner-engine` decides when to call and how to use an answer, and
//! `ecsrunner-core` parses webhooks.

mod client;

mod auth;
mod jobs;
mod runners;
mod deliveries;
mod repositories;
pub mod releases;
pub mod operator;
pub mod app_manifest;
pub mod permissions;
pub mod logs;
pub mod steps;

pub mod relay;

mod http;
mod rates;
mod reply;

pub use auth::{App, AppId, AppIdError, Credentials, CredentialsError, InstallationId};
pub use client::{Client, ClientError};
pub use ecsrunner_engine::ports::github::CALL_LIMIT;
pub use http::{ApiUrl, ApiUrlError};
