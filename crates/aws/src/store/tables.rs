//! Creates the tables in local mode. On AWS Terraform creates them.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use ecsrunner_core::wire::boot::attribute;
use ecsrunner_engine::ports::store::StoreError;

use super::DynamoStore;
use super::item::{
    BY_MONTH, BY_REPOSITORY, BY_RUNNER, ENDED_AT, EXPIRES_AT, MONTH, PK, REPOSITORY, RUNNER, SK,
};
use super::wire::{failed, invalid};

/// A table could not be created.
pub type TableError = StoreError;

const OPERATION: &str = "make the tables";

impl DynamoStore {
    /// Creates the tables that do not exist.
    ///
    /// # Errors
    ///
    /// A table could not be created.
    pub async fn create_tables(&self) -> Result<(), TableError> {
        let have = self.client.list_tables().send().await.map_err(|error| failed(OPERATION, error))?;
        if !have.table_names().contains(&self.tables.state) {
            self.create_state().await?;
        }
        if !have.table_names().contains(&self.tables.boot) {
            self.create_boot().await?;
        }
        Ok(())
    }

    async fn create_state(&self) -> Result<(), TableError> {
        let mut request = self
            .client
            .create_table()
            .table_name(&self.tables.state)
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key(PK, KeyType::Hash)?)
            .key_schema(key(SK, KeyType::Range)?)
            .attribute_definitions(attribute_of(ENDED_AT, ScalarAttributeType::N)?);
        for name in [PK, SK, MONTH, REPOSITORY, RUNNER] {
            request = request.attribute_definitions(attribute_of(name, ScalarAttributeType::S)?);
        }
        for (index, partition) in [(BY_MONTH, MONTH), (BY_REPOSITORY, REPOSITORY), (BY_RUNNER, RUNNER)] {
            let index = GlobalSecondaryIndex::builder()
                .index_name(index)
                .key_schema(key(partition, KeyType::Hash)?)
                .key_schema(key(ENDED_AT, KeyType::Range)?)
                .projection(Projection::builder().projection_type(ProjectionType::All).build())
                .build()
                .map_err(|error| invalid(OPERATION, error))?;
            request = request.global_secondary_indexes(index);
        }
        request.send().await.map_err(|error| failed(OPERATION, error))?;
        self.enable_ttl(&self.tables.state, EXPIRES_AT).await
    }

    async fn create_boot(&self) -> Result<(), TableError> {
        self.client
            .create_table()
            .table_name(&self.tables.boot)
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key(attribute::OWNER, KeyType::Hash)?)
            .attribute_definitions(attribute_of(attribute::OWNER, ScalarAttributeType::S)?)
            .send()
            .await
            .map_err(|error| failed(OPERATION, error))?;
        self.enable_ttl(&self.tables.boot, attribute::EXPIRES_AT).await
    }

    async fn enable_ttl(&self, table: &str, name: &str) -> Result<(), TableError> {
        let ttl = TimeToLiveSpecification::builder()
            .enabled(true)
            .attribute_name(name)
            .build()
            .map_err(|error| invalid(OPERATION, error))?;
        self.client
            .update_time_to_live()
            .table_name(table)
            .time_to_live_specification(ttl)
            .send()
            .await
            .map_err(|error| failed(OPERATION, error))?;
        Ok(())
    }
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, TableError> {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
        .map_err(|error| invalid(OPERATION, error))
}

fn attribute_of(name: &str, kind: ScalarAttributeType) -> Result<AttributeDefinition, TableError> {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(kind)
        .build()
        .map_err(|error| invalid(OPERATION, error))
}
