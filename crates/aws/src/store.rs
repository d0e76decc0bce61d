//! The control plane's state in DynamoDB.
//!
//! One table holds the open records (one partition, read consistently), the
//! history (by id, with indexes by month, repository and runner), the sums of what
//! was spent, and the dispatcher's lease. A second table holds the boot items, so that a task's role
//! can be limited to it.

mod history;
mod item;
mod lease;
mod levels;
mod progress;
mod records;
mod spend;
mod stored;
mod tables;
mod transport;
mod wire;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::{ReconnectMode, RetryConfig};
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use ecsrunner_core::wire::boot::TaskRole;

pub use tables::TableError;
pub use transport::{Answer, Transport};

/// The state of one deployment.
#[derive(Clone, Debug)]
pub struct DynamoStore {
    client: Client,
    tables: Tables,
}

/// The tables of a deployment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tables {
    /// Records, history and lease.
    pub state: String,
    pub boot: String,
    /// The prefixes of the task id in a boot item's key.
    pub boot_owners: BootOwners,
}

/// The task roles' unique ids. `<id>:<task id>` is `${aws:userid}` in a task of
/// that role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BootOwners {
    /// Of the role without ECS Exec.
    pub plain: String,
    /// Of the role with ECS Exec.
    pub exec: String,
}

impl BootOwners {
    #[must_use]
    pub fn of(&self, role: TaskRole) -> &str {
        match role {
            TaskRole::Plain => &self.plain,
            TaskRole::Exec => &self.exec,
        }
    }
}

impl Tables {
    /// The names that Terraform gives, if all tasks have the same role.
    #[must_use]
    pub fn of(deployment: &ecsrunner_core::id::Deployment, boot_owner: &str) -> Self {
        Self {
            state: format!("ecsrunner-{deployment}-state"),
            boot: format!("ecsrunner-{deployment}-boot"),
            boot_owners: BootOwners { plain: boot_owner.to_owned(), exec: boot_owner.to_owned() },
        }
    }
}

impl DynamoStore {
    /// A store in AWS's DynamoDB.
    #[cfg(feature = "control-plane")]
    #[must_use]
    pub fn new(connection: &crate::connection::Connection, tables: Tables) -> Self {
        Self { client: connection.dynamodb().clone(), tables }
    }

    /// A store over a transport in this process, without network and credentials.
    #[must_use]
    pub fn embedded(transport: impl Transport, tables: Tables) -> Self {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .endpoint_url("http://embedded.invalid")
            .credentials_provider(Credentials::new("embedded", "embedded", None, None, "embedded"))
            .http_client(transport::http_client(transport))
            // There is no connection to close after a fault, and the SDK would log an error about that.
            .retry_config(RetryConfig::standard().with_reconnect_mode(ReconnectMode::ReuseAllConnections))
            .build();
        Self { client: Client::from_conf(config), tables }
    }

    /// The key of a task's boot item.
    #[must_use]
    pub fn boot_owner(&self, task: &ecsrunner_core::id::TaskId, role: TaskRole) -> String {
        // The id is the part of an ARN after the last slash.
        let id = task.as_str().rsplit('/').next().unwrap_or(task.as_str());
        format!("{}:{id}", self.tables.boot_owners.of(role))
    }
}
