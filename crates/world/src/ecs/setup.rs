//! DescribeClusters and DescribeTaskDefinition.

use serde_json::{Value, json};

use super::launch::find_definition;
use super::reply::Refusal;
use super::state::Ecs;
use super::task::Status;

impl Ecs {
    /// Returns the requested clusters, or the default one if the request names none.
    pub(super) fn describe_clusters(&self, request: &Value) -> Value {
        let asked = request["clusters"].as_array().cloned().unwrap_or_else(|| vec![json!("default")]);
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        for asked in &asked {
            match self.cluster(asked.as_str()) {
                Ok(name) => clusters.push(self.cluster_json(&name)),
                Err(_) => failures.push(json!({"arn": asked, "reason": "MISSING"})),
            }
        }
        json!({"clusters": clusters, "failures": failures})
    }

    fn cluster_json(&self, name: &str) -> Value {
        let of_it = self.tasks.values().filter(|task| task.launch.cluster == name);
        let (mut running, mut pending) = (0_u32, 0_u32);
        for task in of_it.filter(|task| task.desired_status() == "RUNNING") {
            let count = if task.at(Status::Running).is_some() { &mut running } else { &mut pending };
            *count += 1;
        }
        json!({
            "clusterArn": format!("arn:aws:ecs:{}:{}:cluster/{name}", self.options.region, self.options.account),
            "clusterName": name,
            "status": "ACTIVE",
            "runningTasksCount": running,
            "pendingTasksCount": pending,
            "activeServicesCount": 0,
            "registeredContainerInstancesCount": 0,
            "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
        })
    }

    pub(super) fn describe_task_definition(&self, request: &Value) -> Result<Value, Refusal> {
        let asked = request["taskDefinition"].as_str().unwrap_or_default();
        let definition = find_definition(asked, &self.options)?;
        let containers: Vec<Value> = definition
            .containers
            .iter()
            .map(|name| json!({"name": name, "image": definition.image, "essential": true}))
            .collect();
        Ok(json!({"taskDefinition": {
            "family": definition.family,
            "revision": definition.revision,
            "status": "ACTIVE",
            "cpu": definition.cpu.to_string(),
            "memory": definition.memory.to_string(),
            "containerDefinitions": containers,
        }}))
    }
}
