//! Tasks on ECS, on Fargate and on Managed Instances, behind the engine's port.
//!
//! Converts an order to RunTask's parameters, which are the same for the same
//! order, and ECS's answers to the port's. No decision is made here.

pub mod agent;
pub mod definition;
mod answer;
mod instance;
pub(crate) mod list;
mod request;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_ecs::Client;
use ecsrunner_core::decide::sweep::SeenTask;
use ecsrunner_core::id::{ClassName, Deployment, HostId, InstanceId, SubnetId, TaskId};
use ecsrunner_core::records::task::TaskFacts;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::image::OFFICIAL;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_engine::ports::compute::{Compute, ComputeError, TaskOrder};

use serde::Deserialize;

use crate::connection::Connection;
use crate::task::started_by;
use agent::{AgentObject, Links};
use definition::{ServiceDefinitions, TaskDefinitions};

#[derive(Clone, Debug)]
pub struct EcsTasks {
    client: Client,
    fleet: Arc<Fleet>,
    links: Links,
}

/// The settings that all tasks of a deployment share.
pub struct Fleet {
    pub deployment: Deployment,
    /// The cluster, by name or ARN.
    pub cluster: String,
    pub network: Network,
    pub task_definitions: TaskDefinitions,
    /// Those of classes with services or on managed instances, which take the place of the above.
    pub service_definitions: ServiceDefinitions,
    /// Of classes on managed instances.
    pub capacity_providers: CapacityProviders,
    /// The agent's variables for a task. None is a secret, since every caller of
    /// DescribeTasks can read them. Must return the same for the same task.
    pub environment: AgentEnvironment,
    /// The agents for tasks that start from GitHub's own image.
    pub agents: BTreeMap<Arch, AgentObject>,
}

/// The agent's variables for a task, by name and value.
pub type AgentEnvironment = Arc<dyn Fn(&TaskFacts) -> Vec<(String, String)> + Send + Sync>;

/// Capacity providers of ECS Managed Instances by class.
pub type CapacityProviders = BTreeMap<ClassName, CapacityProvider>;

/// The names of a class's capacity providers, for the markets that it uses.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct CapacityProvider {
    #[serde(rename = "on-demand", default)]
    pub on_demand: Option<String>,
    #[serde(default)]
    pub spot: Option<String>,
}

impl CapacityProvider {
    #[must_use]
    pub fn of(&self, market: Market) -> Option<&str> {
        match market {
            Market::OnDemand => self.on_demand.as_deref(),
            Market::Spot => self.spot.as_deref(),
        }
    }

    /// Returns all that there are.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        [&self.on_demand, &self.spot].into_iter().flatten().map(String::as_str)
    }
}

/// The network of a deployment's tasks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// All subnets. A placement names one of them.
    pub subnets: Vec<SubnetId>,
    /// At most five.
    pub security_groups: Vec<String>,
    /// Whether tasks get a public IPv4 address, which they need in a public subnet.
    pub assign_public_ip: bool,
}

impl Fleet {
    /// `startedBy` of every task.
    #[must_use]
    pub fn started_by(&self) -> String {
        started_by(&self.deployment)
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("deployment", &self.deployment)
            .field("cluster", &self.cluster)
            .field("network", &self.network)
            .field("task_definitions", &self.task_definitions)
            .finish_non_exhaustive()
    }
}

impl EcsTasks {
    #[must_use]
    pub fn new(connection: &Connection, fleet: Arc<Fleet>) -> Self {
        let links = Links::new(connection, fleet.agents.clone());
        Self { client: connection.ecs().clone(), fleet, links }
    }
}

impl Compute for EcsTasks {
    async fn run_task(&self, order: &TaskOrder<'_>) -> Result<TaskId, ComputeError> {
        // Each call has a link of its own. If one is repeated, ECS answers with a conflict that names the task.
        let link = match order.task.image.as_deref() {
            Some(OFFICIAL) => Some(self.links.make(order.task.size.arch(), SystemTime::now())?),
            _ => None,
        };
        let request = request::run_task(&self.fleet, order, link.as_deref())?;
        match request.send_with(&self.client).await {
            Ok(output) => answer::started(&output),
            Err(error) => answer::not_started(&error),
        }
    }

    async fn stop_task(&self, task: &TaskId, reason: &str) -> Result<(), ComputeError> {
        let stopped = self
            .client
            .stop_task()
            .cluster(&self.fleet.cluster)
            .task(task.as_str())
            .reason(request::stop_reason(reason))
            .send()
            .await;
        match stopped {
            Ok(_) => Ok(()),
            Err(error) => answer::not_stopped(&error),
        }
    }

    async fn tasks(&self) -> Result<Vec<SeenTask>, ComputeError> {
        list::tasks(&self.client, &self.fleet).await
    }

    async fn host_of(
        &self,
        instance: &InstanceId,
        placement: &Placement,
    ) -> Result<Option<HostId>, ComputeError> {
        let provider = request::provider(&self.fleet, placement)?;
        instance::host_of(&self.client, &self.fleet.cluster, instance, provider).await
    }

    async fn drain(&self, instance: &InstanceId) -> Result<(), ComputeError> {
        instance::drain(&self.client, &self.fleet.cluster, instance).await
    }
}
