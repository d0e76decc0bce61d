//! The compute port on the fake ECS, in ECS's own words. It does what the AWS adapter
//! does with its SDK, as far as a simulation needs it.

use ecsrunner_core::decide::sweep::{SeenStatus, SeenTask};
use ecsrunner_core::id::{HostId, InstanceId, TaskId, TaskName};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::wire::event::{StopCause, TaskChange, TaskEvent, TaskTimes};
use ecsrunner_core::wire::exit::AgentExit;
use ecsrunner_engine::ports::Clock;
use ecsrunner_engine::ports::compute::{Compute, ComputeError, TaskOrder};
use serde_json::{Value, json};

use super::outside::Shared;
use crate::ecs::{Provider, Refusal, Reply, StartFault, Status, StopCode, TaskView};
use crate::images::Fate;

pub(super) const CLUSTER: &str = "ci";
pub(super) const FAMILY: &str = "runner";
const VARIABLE: &str = "ECSRUNNER_RUNNER";
/// The subnet of tasks if the order names none.
const ANY_SUBNET: &str = "subnet-00000000";

#[derive(Clone, Debug)]
pub struct MemoryTasks(pub(super) Shared);

impl MemoryTasks {
    fn call(&self, operation: &str, request: &Value) -> Reply {
        let now = self.0.clock().now();
        let reply = self.0.lock().ecs.handle(operation, request, now);
        self.0.touch();
        reply
    }
}

impl MemoryTasks {
    fn start(&self, order: &TaskOrder<'_>) -> Result<TaskId, ComputeError> {
        if self.0.lock().ecs.faults_mut().is_missing() {
            let message = "the task definition is gone".to_owned();
            return Err(ComputeError::Unsendable { message });
        }
        match self.call("RunTask", &request(order)) {
            Reply::Answer(answer) => {
                let subnet = order.placement.subnet.as_ref().map_or(ANY_SUBNET, |subnet| subnet.as_str());
                *self.0.lock().ledger.tasks_in.entry(subnet.to_owned()).or_default() += 1;
                started(&answer)
            }
            Reply::Refusal(refusal) if refusal.code == "ConflictException" => {
                let task = refusal.resource_ids.first().and_then(|arn| task_id(arn));
                task.ok_or_else(|| unanswered("RunTask", refusal.message))
            }
            Reply::Refusal(refusal) => Err(refused("RunTask", refusal)),
            Reply::Lost => Err(unanswered("RunTask", "the connection was dropped")),
        }
    }

    /// Looks what the task's image names now. Returns whether GitHub refuses its runner.
    fn take_image(&self, order: &TaskOrder<'_>) -> bool {
        let outside = &mut *self.0.lock();
        if outside.rules.images.is_none() {
            return false;
        }
        let (image, arch) = (order.task.image.as_deref(), order.task.size.arch());
        match outside.yard.start(image, arch, order.token.as_str()) {
            Some(Fate::NoImage(reason)) => {
                let fault = StartFault { times: Some(1), subnet: None, reason, status: Status::Pending };
                outside.ecs.faults_mut().start.insert(0, fault);
                false
            }
            Some(Fate::TooOld) => true,
            Some(Fate::Starts) | None => false,
        }
    }
}

impl Compute for MemoryTasks {
    async fn run_task(&self, order: &TaskOrder<'_>) -> Result<TaskId, ComputeError> {
        let is_too_old = self.take_image(order);
        let started = self.start(order);
        if let Ok(task) = &started {
            let outside = &mut *self.0.lock();
            if is_too_old {
                outside.yard.too_old.insert(task.clone());
            }
            outside.agents.is_warm(task, order.task.warm_for);
        }
        started
    }

    async fn stop_task(&self, task: &TaskId, reason: &str) -> Result<(), ComputeError> {
        {
            let outside = &mut *self.0.lock();
            let job = outside.agents.job_of(task);
            if job.is_some_and(|job| !outside.hub.is_completed(job)) {
                outside.ledger.violations.push(format!("task {task} was stopped at work: {reason}"));
            }
        }
        let request = json!({"cluster": CLUSTER, "task": task.as_str(), "reason": reason});
        match self.call("StopTask", &request) {
            Reply::Answer(_) => Ok(()),
            Reply::Refusal(refusal) if refusal.message.contains("not found") => Ok(()),
            Reply::Refusal(refusal) => Err(refused("StopTask", refusal)),
            Reply::Lost => Err(unanswered("StopTask", "the connection was dropped")),
        }
    }

    async fn tasks(&self) -> Result<Vec<SeenTask>, ComputeError> {
        Ok(self.0.lock().ecs.tasks().filter_map(seen).collect())
    }

    async fn host_of(
        &self,
        instance: &InstanceId,
        placement: &Placement,
    ) -> Result<Option<HostId>, ComputeError> {
        let request = json!({"cluster": CLUSTER, "containerInstances": [instance.as_str()]});
        match self.call("DescribeContainerInstances", &request) {
            Reply::Answer(answer) => {
                let found = &answer["containerInstances"][0];
                let is_of_provider = found["capacityProviderName"] == provider(placement).as_str();
                let host = found["ec2InstanceId"].as_str().filter(|_| is_of_provider);
                Ok(host.and_then(|host| HostId::parse(host).ok()))
            }
            Reply::Refusal(refusal) => Err(refused("DescribeContainerInstances", refusal)),
            Reply::Lost => Err(unanswered("DescribeContainerInstances", "the connection was dropped")),
        }
    }

    async fn drain(&self, instance: &InstanceId) -> Result<(), ComputeError> {
        let request =
            json!({"cluster": CLUSTER, "containerInstances": [instance.as_str()], "status": "DRAINING"});
        match self.call("UpdateContainerInstancesState", &request) {
            Reply::Answer(_) => Ok(()),
            Reply::Refusal(refusal) => Err(refused("UpdateContainerInstancesState", refusal)),
            Reply::Lost => Err(unanswered("UpdateContainerInstancesState", "the connection was dropped")),
        }
    }
}

fn request(order: &TaskOrder<'_>) -> Value {
    let (task, placement) = (order.task, order.placement);
    let subnet = placement.subnet.as_ref().map_or(ANY_SUBNET, |subnet| subnet.as_str());
    json!({
        "cluster": CLUSTER,
        "taskDefinition": FAMILY,
        "count": 1,
        "clientToken": order.token.as_str(),
        "startedBy": "ecsrunner/sim",
        "capacityProviderStrategy": [{"capacityProvider": provider(placement).as_str(), "weight": 1}],
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet]}},
        "overrides": {
            "cpu": task.size.cpu().to_string(),
            "memory": task.size.memory().to_string(),
            "containerOverrides": [{
                "name": "runner",
                "environment": [{"name": VARIABLE, "value": task.name.as_str()}],
            }],
        },
    })
}

/// All classes on managed instances share one capacity provider here, which packs more than one for each class does.
fn provider(placement: &Placement) -> Provider {
    match (&placement.managed, placement.market) {
        (None, Market::OnDemand) => Provider::Fargate,
        (None, Market::Spot) => Provider::FargateSpot,
        (Some(_), Market::OnDemand) => Provider::Managed,
        (Some(_), Market::Spot) => Provider::ManagedSpot,
    }
}

fn started(answer: &Value) -> Result<TaskId, ComputeError> {
    if let Some(task) = answer["tasks"][0]["taskArn"].as_str().and_then(task_id) {
        return Ok(task);
    }
    let reason = answer["failures"][0]["reason"].as_str().unwrap_or("no reason");
    let refusal = Refusal { code: String::new(), message: reason.to_owned(), resource_ids: Vec::new() };
    Err(refused("RunTask", refusal))
}

fn refused(operation: &'static str, refusal: Refusal) -> ComputeError {
    let Refusal { code, message, .. } = refusal;
    if is_capacity(&message) {
        ComputeError::NoCapacity { message }
    } else if code == "ThrottlingException" || message.contains("Rate exceeded") {
        ComputeError::Throttled { message, after: None }
    } else if code == "ServerException" {
        unanswered(operation, message)
    } else {
        ComputeError::Refused { message }
    }
}

fn unanswered(operation: &'static str, why: impl Into<String>) -> ComputeError {
    ComputeError::Unanswered { operation, source: why.into().into() }
}

fn is_capacity(words: &str) -> bool {
    words.contains("Capacity is unavailable") || words.contains("limit on the number of vCPUs")
}

fn task_id(arn: &str) -> Option<TaskId> {
    TaskId::parse(arn.rsplit('/').next()?).ok()
}

fn seen(task: TaskView) -> Option<SeenTask> {
    let name = TaskName::parse(task.environment.get(VARIABLE)?).ok()?;
    let status = match task.last_status {
        Status::Stopped => {
            let code = task.stop_code.map(|code| code.to_string());
            SeenStatus::Stopped(cause(code.as_deref(), task.exit_code, task.stopped_reason.as_deref()))
        }
        status if status < Status::Running || task.started_at.is_none() => SeenStatus::Pending,
        _ => SeenStatus::Running,
    };
    let times = TaskTimes {
        created: Some(task.created_at),
        pull_started: task.pull_started_at,
        pull_stopped: task.pull_stopped_at,
        started: task.started_at,
    };
    let instance = task.instance.as_deref().and_then(|id| InstanceId::parse(id).ok());
    Some(SeenTask { task: TaskId::parse(&task.id).ok()?, name, status, times, instance })
}

/// The meaning of an event for the agent in the task.
pub(super) enum TaskNews {
    Began(TaskId),
    /// The container got SIGTERM.
    Terminated(TaskId),
    Stopped(TaskId),
}

pub(super) fn news(event: &Value) -> Option<TaskNews> {
    let detail = &event["detail"];
    let task = task_id(detail["taskArn"].as_str()?)?;
    let is_over = !detail["containers"][0]["exitCode"].is_null();
    match detail["lastStatus"].as_str()? {
        "RUNNING" if !is_over => Some(TaskNews::Began(task)),
        "STOPPING" if !is_over => Some(TaskNews::Terminated(task)),
        "STOPPED" => Some(TaskNews::Stopped(task)),
        _ => None,
    }
}

/// Converts ECS's event to core's, if it is relevant.
pub(super) fn event(event: &Value) -> Option<TaskEvent> {
    let detail = &event["detail"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let name = &detail["overrides"]["containerOverrides"][0]["environment"][0]["value"];
    let exit = detail["containers"][0]["exitCode"].as_i64().and_then(|code| i32::try_from(code).ok());
    let change = match detail["lastStatus"].as_str()? {
        "RUNNING" if detail["desiredStatus"] == "RUNNING" => TaskChange::Running,
        "STOPPED" => {
            let (code, reason) = (text(&detail["stopCode"]), text(&detail["stoppedReason"]));
            TaskChange::Stopped(cause(code.as_deref(), exit, reason.as_deref()))
        }
        _ => return None,
    };
    Some(TaskEvent {
        name: TaskName::parse(name.as_str()?).ok()?,
        task: task_id(detail["taskArn"].as_str()?)?,
        version: detail["version"].as_u64()?,
        change,
        times: times(detail),
        instance: detail["containerInstanceArn"]
            .as_str()
            .and_then(|arn| InstanceId::parse(arn.rsplit('/').next()?).ok()),
        at: detail["updatedAt"].as_str()?.parse().ok()?,
    })
}

/// The times in an event, which may lack any of them.
fn times(detail: &Value) -> TaskTimes {
    let time = |name: &str| detail[name].as_str().and_then(|time| time.parse().ok());
    TaskTimes {
        created: time("createdAt"),
        pull_started: time("pullStartedAt"),
        pull_stopped: time("pullStoppedAt"),
        started: time("startedAt"),
    }
}

fn cause(stop_code: Option<&str>, exit_code: Option<i32>, reason: Option<&str>) -> StopCause {
    let agent = exit_code.and_then(AgentExit::from_code);
    let words = reason.unwrap_or("ECS gave no reason");
    let is = |code: StopCode| stop_code == Some(code.to_string().as_str());
    match agent {
        Some(AgentExit::Completed) => StopCause::Agent(AgentExit::Completed),
        _ if is(StopCode::SpotInterruption) => StopCause::SpotInterrupted,
        Some(exit) => StopCause::Agent(exit),
        None if is(StopCode::TaskFailedToStart) && is_capacity(words) => StopCause::NoCapacity(words.into()),
        None if is(StopCode::TaskFailedToStart) => StopCause::FailedToStart(words.into()),
        None if is(StopCode::UserInitiated) => StopCause::StoppedByUser,
        None => StopCause::Unknown(match exit_code {
            Some(code) => format!("exit code {code}: {words}").into(),
            None => words.into(),
        }),
    }
}
