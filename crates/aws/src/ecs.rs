//! Tasks on ECS Fargate, behind the engine's port.
//!
//! Converts an order to RunTask's parameters, which are the same for the same
//! order, and ECS's answers to the port's. No decision is made here.

pub mod agent;
pub mod definition;
mod answer;
pub(crate) mod list;
mod request;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_ecs::Client;
use ecsrunner_core::decide::sweep::SeenTask;
use ecsrunner_core::id::{Deployment, SubnetId, TaskId};
use ecsrunner_core::records::task::TaskFacts;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::image::OFFICIAL;
use ecsrunner_engine::ports::compute::{Compute, ComputeError, TaskOrder};

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
    /// Those of classes with services, which take the place of the above.
    pub service_definitions: ServiceDefinitions,
    /// The agent's variables for a task. None is a secret, since every caller of
    /// DescribeTasks can read them. Must return the same for the same task.
    pub environment: AgentEnvironment,
    /// The agents for tasks that start from GitHub's own image.
    pub agents: BTreeMap<Arch, AgentObject>,
}

/// The agent's variables for a task, by name and value.
pub type AgentEnvironment = Arc<dyn Fn(&TaskFacts) -> Vec<(String, String)> + Send + Sync>;

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
}
