//! The embedded DynamoDB. It is called in process and listens on no port.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use dynoxide::{Database, DynoxideError};
use ecsrunner_aws::store::{Answer, Transport};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Only its owner can read and write.
const PRIVATE: u32 = 0o600;

/// An embedded database with DynamoDB's JSON protocol.
#[derive(Clone)]
pub(crate) struct Embedded {
    database: Arc<Database>,
    /// Told after each transaction.
    committed: Arc<Notify>,
}

#[derive(Debug, thiserror::Error)]
#[error("the database {path} cannot be opened: {message}")]
pub(crate) struct OpenError {
    path: String,
    message: String,
}

impl Embedded {
    /// Opens the database, which only its owner can read: it holds configurations
    /// that no task has taken yet, and jobs can reach its directory.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let fault = |message: String| OpenError { message, path: path.display().to_string() };
        keep_private(path).map_err(|error| fault(error.to_string()))?;
        let database = Database::new(&path.display().to_string());
        let database = Arc::new(database.map_err(|error| fault(error.to_string()))?);
        Ok(Self { database, committed: Arc::default() })
    }

    /// Waits for the next transaction that is committed after this call.
    pub(crate) fn next_commit(&self) -> Notified<'_> {
        self.committed.notified()
    }

    /// Counts the items of a table.
    pub(crate) fn count(&self, table: &str) -> Result<u64, String> {
        let request = serde_json::json!({"TableName": table, "Select": "COUNT", "ConsistentRead": true});
        let request = serde_json::from_value(request).map_err(|error| error.to_string())?;
        let counted = self.database.scan(request).map_err(|error| error.to_string())?;
        let counted = serde_json::to_value(&counted).map_err(|error| error.to_string())?;
        counted.get("Count").and_then(serde_json::Value::as_u64).ok_or_else(|| "no count".to_owned())
    }

    /// Deletes expired items, which an embedded database does not do by itself.
    pub(crate) async fn sweep_expired(&self) -> Result<usize, String> {
        let database = Arc::clone(&self.database);
        let swept = tokio::task::spawn_blocking(move || database.sweep_ttl()).await;
        swept.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

/// Makes the database private. SQLite creates its other files with the same mode.
fn keep_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path)?;
    for beside in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(beside);
        match fs::set_permissions(Path::new(&name), Permissions::from_mode(PRIVATE)) {
            // The other files exist only while the database is open.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            set => set?,
        }
    }
    Ok(())
}

impl Transport for Embedded {
    async fn call(&self, operation: &str, body: &[u8]) -> Answer {
        let database = Arc::clone(&self.database);
        let (name, body) = (operation.to_owned(), body.to_vec());
        let answered = tokio::task::spawn_blocking(move || answer(&database, &name, &body)).await;
        if operation == "TransactWriteItems" {
            self.committed.notify_waiters();
        }
        answered.unwrap_or_else(|error| refusal("InternalServerError", &error.to_string(), 500))
    }
}

fn answer(database: &Database, operation: &str, body: &[u8]) -> Answer {
    match operation {
        "GetItem" => perform(body, |request| database.get_item(request)),
        "BatchGetItem" => perform(body, |request| database.batch_get_item(request)),
        "Query" => perform(body, |request| database.query(request)),
        "PutItem" => perform(body, |request| database.put_item(request)),
        "UpdateItem" => perform(body, |request| database.update_item(request)),
        "DeleteItem" => perform(body, |request| database.delete_item(request)),
        "TransactWriteItems" => perform(body, |request| database.transact_write_items(request)),
        "ListTables" => perform(body, |request| database.list_tables(request)),
        "CreateTable" => perform(body, |request| database.create_table(request)),
        "UpdateTimeToLive" => perform(body, |request| database.update_time_to_live(request)),
        other => refusal("UnknownOperationException", &format!("{other} is not embedded"), 400),
    }
}

fn perform<Request: DeserializeOwned, Response: Serialize>(
    body: &[u8],
    call: impl FnOnce(Request) -> Result<Response, DynoxideError>,
) -> Answer {
    let request = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => return refusal("SerializationException", &error.to_string(), 400),
    };
    match call(request) {
        Ok(response) => match serde_json::to_vec(&response) {
            Ok(body) => Answer { status: 200, body },
            Err(error) => refusal("InternalServerError", &error.to_string(), 500),
        },
        Err(error) => Answer { status: error.status_code(), body: error.to_json().into_bytes() },
    }
}

fn refusal(code: &str, message: &str, status: u16) -> Answer {
    let body =
        serde_json::json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": message});
    Answer { status, body: body.to_string().into_bytes() }
}

#[cfg(test)]
mod tests;
