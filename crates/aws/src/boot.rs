//! The agent's requests to AWS: its task's id and credentials, and its boot item.
//!
//! The item is taken by deleting it, so only one task ever gets it. No request is
//! sent twice, except after AWS has refused it unread for its time. The agent
//! decides whether to retry, by [`TakeError::disposition`] and
//! [`TaskError::passes`]. Waiting and limits do not belong here. Nor does the SDK,
//! because the agent must stay at a few megabytes.

mod http;
mod table;
mod task;

use jiff::Timestamp;
use secrecy::SecretString;

pub use crate::boot_item::Taken;
pub use http::{BundleError, Http};
pub use table::{BootTable, Disposition, TakeError};
pub use task::containers::{Container, containers};
pub use task::stats::{ContainerStats, container_stats};
pub use task::{CredentialsEndpoint, TaskEndpoints, TaskError};

/// Credentials of the task's role.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key's id, which is not a secret.
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretString>,
    /// When they stop being valid, by AWS's clock; `None` if that is not known.
    pub expires_at: Option<Timestamp>,
}
