//! What the agent asks of AWS: who its task is, and its boot item.
//!
//! The item is taken by deleting it, so only one task ever holds it. A request
//! is never sent twice in here, but where AWS has refused it unread: whether to
//! ask again is the agent's to decide, by [`TakeError::disposition`] and
//! [`TaskError::passes`]. Waiting and limits do not belong here. The SDK does
//! not either: this lives in a process of a few megabytes.

mod http;
mod reply;
mod table;
mod task;

use secrecy::SecretString;

pub use http::{BundleError, Http};
pub use reply::Taken;
pub use table::{BootTable, Disposition, TakeError};
pub use task::{CredentialsEndpoint, TaskEndpoints, TaskError};

/// Credentials of the task's role.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key's id, which is no secret.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: SecretString,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretString>,
}
