use std::collections::BTreeMap;

use ecsrunner_aws::store::{DynamoStore, Tables};
use ecsrunner_core::id::{Deployment, Epoch, TaskId};
use ecsrunner_core::wire::boot::TaskRole;
use ecsrunner_engine::ports::store::{Leases, Revocation, Store, StoreError};
use serde_json::{Value, json};

use crate::aws::Aws;

fn fault() -> (u16, Value) {
    (500, json!({"__type": "InternalServerError", "message": "try again"}))
}

#[tokio::test]
async fn the_state_is_where_the_endpoint_says_and_each_call_is_counted() {
    let kicked = json!({"Attributes": {"n": {"N": "7"}}});
    let aws = Aws::answering([fault(), (200, kicked), (200, json!({}))]);
    let connection = aws.connection().await;
    let tables = Tables::of(&Deployment::parse("ci").unwrap(), "AROAEXAMPLE");
    let store = DynamoStore::new(&connection, tables);
    assert_eq!(store.kick().await.unwrap(), 7);
    assert!(store.release(Epoch::new(1), Some(7), None).await.unwrap());
    assert_eq!(aws.requests()[1].1["TableName"], "ecsrunner-ci-state");
    let counted = [("dynamodb:TransactWriteItems", 1), ("dynamodb:UpdateItem", 2)]
        .map(|(name, n)| (name.to_owned(), n));
    assert_eq!(connection.calls().named(), BTreeMap::from(counted));
}

#[tokio::test]
async fn a_revocation_is_asked_for_once_by_the_key_that_the_task_knows() {
    let given_back = json!({"Attributes": {"owner": {"S": "AROAEXAMPLE:0a"}}});
    let aws = Aws::answering([fault(), (200, given_back)]);
    let mut tables = Tables::of(&Deployment::parse("ci").unwrap(), "AROAPLAIN");
    tables.boot_owners.exec = "AROAEXAMPLE".to_owned();
    let store = DynamoStore::new(&aws.connection().await, tables);
    let task = TaskId::parse("0a").unwrap();
    assert!(matches!(store.revoke(&task, TaskRole::Exec).await, Err(StoreError::Unavailable { .. })));
    assert_eq!(aws.requests().len(), 1);
    assert_eq!(store.revoke(&task, TaskRole::Exec).await.unwrap(), Revocation::GivenBack);
    assert_eq!(aws.requests()[1].1["Key"], json!({"owner": {"S": "AROAEXAMPLE:0a"}}));
}
