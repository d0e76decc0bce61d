//! Container instances of ECS Managed Instances.
//!
//! AWS packs: a task is placed on an instance that has room, and an instance stays for a while after its last task, whatever
//! the capacity provider says. Only an instance that is DRAINING gets no more tasks.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::reply::Refusal;
use super::request;
use super::state::{Ecs, Number};
use super::task::{Provider, StopCode, Task};

/// How long AWS keeps an idle instance although it is to end at once.
const KEPT: Duration = Duration::from_secs(90);

/// A container instance.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    id: String,
    /// The EC2 instance.
    host: String,
    provider: Provider,
    cpu: u32,
    draining: bool,
    /// When its last task stopped; `None` while one is alive.
    idle_since: Option<Timestamp>,
}

impl Ecs {
    /// Places a task of Managed Instances when it becomes PENDING.
    pub(super) fn place(&mut self, number: Number, now: Timestamp) {
        let Some((provider, cpu)) = self
            .tasks
            .get(&number)
            .filter(|task| task.provider.is_managed() && task.instance.is_none())
            .map(|task| (task.provider, task.launch.size.cpu()))
        else {
            return;
        };
        let faults = self.options.faults.instances;
        let crowds = self.random.happens(faults.crowd);
        let fits = |instance: &Instance| {
            let used: u32 = self
                .tasks
                .values()
                .filter(|task| task.is_alive() && task.instance.as_deref() == Some(&*instance.id))
                .map(|task| task.launch.size.cpu())
                .sum();
            let kept = instance.idle_since.is_none_or(|since| now < since + KEPT);
            instance.provider == provider
                && (crowds || kept && !instance.draining && used + cpu <= instance.cpu)
        };
        let found = self.instances.iter().position(fits);
        let index = found.unwrap_or_else(|| {
            // The task reserves more than half of the smallest instance that holds it.
            let (id, host) = (self.random.hex(32), format!("i-{}", self.random.hex(17)));
            let cpu = cpu.next_power_of_two();
            self.instances.push(Instance { id, host, provider, cpu, draining: false, idle_since: None });
            self.instances.len() - 1
        });
        if found.is_some() && self.random.happens(faults.reregister) {
            let again =
                Instance { id: self.random.hex(32), draining: false, ..self.instances[index].clone() };
            self.instances.push(again);
        }
        let index = if found.is_some() { self.latest_of_host(index) } else { index };
        self.instances[index].idle_since = None;
        if let Some(task) = self.tasks.get_mut(&number) {
            task.instance = Some(self.instances[index].id.clone());
        }
    }

    /// The newest registration of the same EC2 instance.
    fn latest_of_host(&self, index: usize) -> usize {
        let host = &self.instances[index].host;
        self.instances.iter().rposition(|instance| instance.host == *host).unwrap_or(index)
    }

    /// Notes that a task has stopped.
    pub(super) fn leave(&mut self, number: Number, now: Timestamp) {
        let Some(id) = self.tasks.get(&number).and_then(|task| task.instance.clone()) else { return };
        let in_use = self.tasks.values().any(|task| task.is_alive() && task.instance.as_ref() == Some(&id));
        if let Some(instance) = self.instances.iter_mut().find(|instance| instance.id == id && !in_use) {
            instance.idle_since = Some(now);
        }
    }

    /// Returns the EC2 instance of a task, whatever its registration is.
    #[must_use]
    pub fn host_of_task(&self, task: &str) -> Option<&str> {
        let (_, task) = self.find(task)?;
        let id = task.instance.as_ref()?;
        self.instances.iter().find(|instance| instance.id == *id).map(|instance| instance.host.as_str())
    }

    /// The container instances that are ACTIVE: ECS may place tasks there.
    #[must_use]
    pub fn open_instances(&self, now: Timestamp) -> usize {
        let is_open = |instance: &&Instance| {
            !instance.draining && instance.idle_since.is_none_or(|since| now < since + KEPT)
        };
        self.instances.iter().filter(is_open).count()
    }

    pub(super) fn describe_container_instances(&self, request: &Value) -> Result<Value, Refusal> {
        let request: request::ContainerInstances = request::parse(request)?;
        let cluster = self.cluster(request.cluster.as_deref())?;
        let (mut instances, mut failures) = (Vec::new(), Vec::new());
        for asked in &request.container_instances {
            match self.instances.iter().find(|instance| is_named(instance, asked)) {
                Some(instance) => instances.push(self.instance_json(&cluster, instance)),
                None => failures.push(json!({"arn": asked, "reason": "MISSING"})),
            }
        }
        Ok(json!({"containerInstances": instances, "failures": failures}))
    }

    pub(super) fn update_container_instances_state(
        &mut self,
        request: &Value,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let request: request::ContainerInstances = request::parse(request)?;
        let cluster = self.cluster(request.cluster.as_deref())?;
        let draining = match request.status.as_deref() {
            Some("DRAINING") => true,
            Some("ACTIVE") => false,
            _ => return Err(Refusal::invalid("status should be one of ACTIVE,DRAINING.")),
        };
        let (mut updated, mut failures) = (Vec::new(), Vec::new());
        for asked in &request.container_instances {
            let Some(index) = self.instances.iter().position(|instance| is_named(instance, asked)) else {
                failures.push(json!({"arn": asked, "reason": "MISSING"}));
                continue;
            };
            // AWS has ended it meanwhile.
            if self.instances[index].idle_since.is_some_and(|since| now >= since + KEPT) {
                failures.push(json!({"arn": asked, "reason": "INACTIVE"}));
                continue;
            }
            self.instances[index].draining = draining;
            if draining {
                self.stop_tasks_of(index, now);
            }
            updated.push(self.instance_json(&cluster, &self.instances[index]));
        }
        Ok(json!({"containerInstances": updated, "failures": failures}))
    }

    /// AWS does not say that tasks on a managed instance that drains go on, and its guide for Batch says that they are stopped.
    fn stop_tasks_of(&mut self, index: usize, now: Timestamp) {
        let id = &self.instances[index].id;
        let is_there =
            |task: &Task| task.instance.as_ref() == Some(id) && task.is_alive() && task.stop.is_none();
        let stopped: Vec<Number> =
            self.tasks.iter().filter(|(_, task)| is_there(task)).map(|(number, _)| *number).collect();
        for number in stopped {
            self.stop(number, StopCode::UserInitiated, "Task stopped during instance draining", now);
        }
    }

    fn instance_json(&self, cluster: &str, instance: &Instance) -> Value {
        json!({
            "containerInstanceArn": self.options.instance_arn(cluster, &instance.id),
            "ec2InstanceId": instance.host,
            "capacityProviderName": instance.provider.as_str(),
            "status": if instance.draining { "DRAINING" } else { "ACTIVE" },
            "agentConnected": true,
        })
    }
}

/// Whether a request names the instance, by its id or its ARN.
fn is_named(instance: &Instance, asked: &str) -> bool {
    asked.rsplit('/').next() == Some(&instance.id)
}
