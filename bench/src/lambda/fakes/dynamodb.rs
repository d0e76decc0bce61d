//! DynamoDB: a real implementation in process, which reports the billed units of each call.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use dynoxide::{Database, DynoxideError};
use ecsrunner_aws::store::{Answer, DynamoStore, Tables, Transport};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Asked, Reply};
use crate::lambda::calls::Units;

/// A database that can be replaced by an empty one.
#[derive(Clone)]
pub(crate) struct Dynamo(Arc<Mutex<Database>>);

impl std::fmt::Debug for Dynamo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dynamo")
    }
}

impl Dynamo {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(empty()?))))
    }

    /// Drops everything, and creates a deployment's tables as Terraform does.
    pub(crate) async fn reset(&self, tables: &Tables) -> anyhow::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = empty()?;
        DynamoStore::embedded(self.clone(), tables.clone()).create_tables().await?;
        Ok(())
    }

    /// Deletes a table's items, as the agents of the tasks do with their boot items.
    pub(crate) async fn clear(&self, table: &str, key: &str) -> anyhow::Result<usize> {
        let found = self.call("Scan", json!({"TableName": table})).await?;
        let items = found.get("Items").and_then(Value::as_array).cloned().unwrap_or_default();
        for item in &items {
            let value = item.get(key).with_context(|| format!("an item of {table} has no {key}"))?;
            self.call("DeleteItem", json!({"TableName": table, "Key": {key: value}})).await?;
        }
        Ok(items.len())
    }

    /// The items of a partition.
    pub(crate) async fn partition(&self, table: &str, pk: &str) -> anyhow::Result<Vec<Value>> {
        let request = json!({
            "TableName": table, "ConsistentRead": true, "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": pk}},
        });
        let found = self.call("Query", request).await?;
        Ok(found.get("Items").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    async fn call(&self, operation: &str, request: Value) -> anyhow::Result<Value> {
        let (status, answer) = self.perform(operation.to_owned(), request).await;
        anyhow::ensure!(status == 200, "{operation}: {answer}");
        Ok(answer)
    }

    async fn perform(&self, operation: String, request: Value) -> (u16, Value) {
        let database = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answered = tokio::task::spawn_blocking(move || perform(&database, &operation, request)).await;
        answered.unwrap_or_else(|error| refusal("InternalServerError", &error.to_string(), 500))
    }

    pub(super) async fn answer(&self, asked: Asked) -> Reply {
        let mut request = asked.json();
        let wanted = request.get("ReturnConsumedCapacity").is_some();
        if let Some(request) = request.as_object_mut() {
            request.entry("ReturnConsumedCapacity").or_insert_with(|| "TOTAL".into());
        }
        let (status, mut answer) = self.perform(asked.target().to_owned(), request).await;
        let units = units(asked.target(), answer.get("ConsumedCapacity"));
        if let (Some(answer), false) = (answer.as_object_mut(), wanted) {
            answer.remove("ConsumedCapacity");
        }
        let body = answer.to_string().into_bytes();
        Reply { status, content_type: "application/x-amz-json-1.0", body, units }
    }
}

impl Transport for Dynamo {
    async fn call(&self, operation: &str, body: &[u8]) -> Answer {
        let request = serde_json::from_slice(body).unwrap_or(Value::Null);
        let (status, answer) = self.perform(operation.to_owned(), request).await;
        Answer { status, body: answer.to_string().into_bytes() }
    }
}

fn empty() -> anyhow::Result<Database> {
    Database::memory().map_err(|error| anyhow::anyhow!("no database in memory: {error}"))
}

/// The units that a call consumed. On demand, the operation decides whether they are read or write units.
fn units(operation: &str, consumed: Option<&Value>) -> Units {
    let of_table = |table: &Value| table.get("CapacityUnits").and_then(Value::as_f64).unwrap_or_default();
    let total = match consumed {
        Some(Value::Array(tables)) => tables.iter().map(of_table).sum(),
        Some(table) => of_table(table),
        None => 0.0,
    };
    match operation {
        "GetItem" | "BatchGetItem" | "Query" | "Scan" | "TransactGetItems" => {
            Units { read: total, write: 0.0 }
        }
        _ => Units { read: 0.0, write: total },
    }
}

fn perform(database: &Database, operation: &str, request: Value) -> (u16, Value) {
    match operation {
        "GetItem" => with(request, |request| database.get_item(request)),
        "BatchGetItem" => with(request, |request| database.batch_get_item(request)),
        "BatchWriteItem" => with(request, |request| database.batch_write_item(request)),
        "Query" => with(request, |request| database.query(request)),
        "Scan" => with(request, |request| database.scan(request)),
        "PutItem" => with(request, |request| database.put_item(request)),
        "UpdateItem" => with(request, |request| database.update_item(request)),
        "DeleteItem" => with(request, |request| database.delete_item(request)),
        "TransactGetItems" => with(request, |request| database.transact_get_items(request)),
        "TransactWriteItems" => with(request, |request| database.transact_write_items(request)),
        "ListTables" => with(without_capacity(request), |request| database.list_tables(request)),
        "CreateTable" => with(without_capacity(request), |request| database.create_table(request)),
        "DescribeTable" => with(without_capacity(request), |request| database.describe_table(request)),
        "UpdateTimeToLive" => {
            with(without_capacity(request), |request| database.update_time_to_live(request))
        }
        other => refusal("UnknownOperationException", &format!("{other} is not embedded"), 400),
    }
}

fn without_capacity(mut request: Value) -> Value {
    if let Some(request) = request.as_object_mut() {
        request.remove("ReturnConsumedCapacity");
    }
    request
}

fn with<Request: DeserializeOwned, Response: Serialize>(
    request: Value,
    call: impl FnOnce(Request) -> Result<Response, DynoxideError>,
) -> (u16, Value) {
    let request = match serde_json::from_value(request) {
        Ok(request) => request,
        Err(error) => return refusal("SerializationException", &error.to_string(), 400),
    };
    match call(request) {
        Ok(response) => match serde_json::to_value(&response) {
            Ok(answer) => (200, answer),
            Err(error) => refusal("InternalServerError", &error.to_string(), 500),
        },
        Err(error) => (error.status_code(), serde_json::from_str(&error.to_json()).unwrap_or(Value::Null)),
    }
}

fn refusal(code: &str, message: &str, status: u16) -> (u16, Value) {
    (status, json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": message}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_transaction_consumes_of_each_table_is_written() {
        let consumed =
            json!([{"TableName": "a", "CapacityUnits": 4.0}, {"TableName": "b", "CapacityUnits": 2.0}]);
        let units = units("TransactWriteItems", Some(&consumed));
        assert_eq!((units.read, units.write), (0.0, 6.0));
    }
}
