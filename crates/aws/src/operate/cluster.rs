//! The cluster's state.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::CapacityProvider;

use super::{OperateError, Operator, failed};
use crate::fault::Fault;

const ACTION: &str = "ecs:DescribeClusters";
const PROVIDERS: &str = "ecs:DescribeCapacityProviders";

/// A cluster, as ECS describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterInfo {
    pub name: String,
    /// `ACTIVE` in normal operation.
    pub status: String,
    /// Such as `FARGATE_SPOT`.
    pub capacity_providers: Vec<String>,
    /// All its running tasks, also those of others.
    pub running_tasks: i32,
    /// All its pending tasks, also those of others.
    pub pending_tasks: i32,
}

impl Operator<'_> {
    /// Describes a cluster.
    ///
    /// # Errors
    ///
    /// Those of AWS. The cluster does not exist.
    pub async fn cluster(&self, cluster: &str) -> Result<ClusterInfo, OperateError> {
        let described = self
            .connection
            .ecs()
            .describe_clusters()
            .clusters(cluster)
            .send()
            .await
            .map_err(|error| failed(ACTION, cluster, Fault::of(&error)))?;
        let found = described.clusters.unwrap_or_default().into_iter().next();
        let found = found.ok_or_else(|| OperateError::Missing(format!("cluster `{cluster}`")))?;
        Ok(ClusterInfo {
            name: found.cluster_name.unwrap_or_default(),
            status: found.status.unwrap_or_default(),
            capacity_providers: found.capacity_providers.unwrap_or_default(),
            running_tasks: found.running_tasks_count,
            pending_tasks: found.pending_tasks_count,
        })
    }

    /// Returns the status of each of these capacity providers that the cluster has, such as `ACTIVE`, by name.
    ///
    /// # Errors
    ///
    /// Those of AWS.
    pub async fn capacity_providers(
        &self,
        cluster: &str,
        names: &[&str],
    ) -> Result<BTreeMap<String, String>, OperateError> {
        let described = self
            .connection
            .ecs()
            .describe_capacity_providers()
            .cluster(cluster)
            .set_capacity_providers(Some(names.iter().map(|name| (*name).to_owned()).collect()))
            .send()
            .await
            .map_err(|error| failed(PROVIDERS, cluster, Fault::of(&error)))?;
        let found = described.capacity_providers.unwrap_or_default().into_iter();
        let status = |found: CapacityProvider| {
            let status = found.status.map(|status| status.as_str().to_owned());
            Some((found.name?, status.unwrap_or_default()))
        };
        Ok(found.filter_map(status).collect())
    }
}
