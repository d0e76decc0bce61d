//! DescribeTasks and ListTasks, which are eventually consistent.

use std::ops::Bound;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::reply::Refusal;
use super::representation::{Form, task_json};
use super::request;
use super::state::{Ecs, Number};
use super::task::{Status, Task};

/// The most tasks that one call can describe or list.
const MAX_TASKS: usize = 100;

impl Ecs {
    pub(super) fn describe_tasks(&self, request: &Value, now: Timestamp) -> Result<Value, Refusal> {
        let request: request::DescribeTasks = request::parse(request)?;
        let cluster = self.cluster(request.cluster.as_deref())?;
        if request.tasks.is_empty() {
            return Err(Refusal::invalid("Tasks cannot be empty."));
        }
        if request.tasks.len() > MAX_TASKS {
            return Err(Refusal::invalid("Tasks cannot have more than 100 elements."));
        }
        if let Some(other) = request.include.iter().find(|field| *field != "TAGS") {
            return Err(Refusal::invalid(format!("Unknown task field: {other}")));
        }
        let form = Form::Api { tags: !request.include.is_empty() };
        let mut tasks = Vec::new();
        let mut failures = Vec::new();
        for asked in &request.tasks {
            if !asked.starts_with("arn:") && ![32, 36].contains(&asked.len()) {
                return Err(Refusal::invalid("taskId length should be one of [32,36]"));
            }
            let lag = self.options.lags.describe;
            match self.find(asked) {
                Some((_, task)) if task.launch.cluster == cluster && task.created_at() + lag <= now => {
                    tasks.push(task_json(task, &self.options, form));
                }
                _ => failures.push(json!({"arn": self.arn_of(&cluster, asked), "reason": "MISSING"})),
            }
        }
        Ok(json!({"tasks": tasks, "failures": failures}))
    }

    /// Opens a channel to a running container, without a process at its other end.
    pub(super) fn execute_command(&self, request: &Value) -> Result<Value, Refusal> {
        let request: request::ExecuteCommand = request::parse(request)?;
        let cluster = self.cluster(request.cluster.as_deref())?;
        if !request.interactive {
            return Err(Refusal::invalid("Interactive is the only mode supported currently."));
        }
        let found = self.find(&request.task).map(|(_, task)| task);
        let task = found.filter(|task| task.launch.cluster == cluster && task.at(Status::Running).is_some());
        let Some(task) = task.filter(|task| task.launch.execute_command) else {
            return Err(Refusal::invalid(
                "The execute command failed because execute command was not enabled when the task was run \
                 or the execute command agent isn\u{2019}t running.",
            ));
        };
        Ok(json!({
            "clusterArn": format!("arn:aws:ecs:{}:{}:cluster/{cluster}", self.options.region, self.options.account),
            "taskArn": task.arn,
            "containerName": request.container,
            "interactive": true,
            "session": {
                "sessionId": format!("ecs-execute-command-{}", task.id),
                "streamUrl": format!("wss://ssmmessages.{}.amazonaws.com/v1/data-channel/{}", self.options.region, task.id),
                "tokenValue": format!("the token of a session in {}: {}", task.id, request.command),
            },
        }))
    }

    pub(super) fn list_tasks(&self, request: &Value, now: Timestamp) -> Result<Value, Refusal> {
        let request: request::ListTasks = request::parse(request)?;
        let cluster = self.cluster(request.cluster.as_deref())?;
        let wanted = Filter::new(&request)?;
        let most = usize::try_from(request.max_results.unwrap_or(100)).unwrap_or(0);
        if !(1..=MAX_TASKS).contains(&most) {
            return Err(Refusal::invalid("maxResults must be between 1 and 100."));
        }
        let after = request.next_token.as_deref().map_or(Ok(0), number_of)?;
        let lag = self.options.lags.list;
        let mut listed = self
            .tasks
            .range((Bound::Excluded(after), Bound::Unbounded))
            .filter(|(_, task)| task.launch.cluster == cluster && task.created_at() + lag <= now)
            .filter(|(_, task)| wanted.fits(task))
            .peekable();
        let page: Vec<(Number, &str)> =
            listed.by_ref().take(most).map(|(number, task)| (*number, task.arn.as_str())).collect();
        let arns: Vec<&str> = page.iter().map(|(_, arn)| *arn).collect();
        let mut answer = json!({"taskArns": arns});
        if let (Some(_), Some((last, _))) = (listed.peek(), page.last()) {
            answer["nextToken"] = json!(URL_SAFE_NO_PAD.encode(last.to_be_bytes()));
        }
        Ok(answer)
    }

    fn arn_of(&self, cluster: &str, asked: &str) -> String {
        if asked.starts_with("arn:") {
            return asked.to_owned();
        }
        format!("arn:aws:ecs:{}:{}:task/{cluster}/{asked}", self.options.region, self.options.account)
    }
}

/// Returns the number in a `nextToken`.
fn number_of(token: &str) -> Result<Number, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Number::from_be_bytes).ok_or_else(|| Refusal::invalid("Invalid token"))
}

/// The filter of ListTasks.
struct Filter<'a> {
    desired_status: &'a str,
    started_by: Option<&'a str>,
    family: Option<&'a str>,
    nothing: bool,
}

impl<'a> Filter<'a> {
    fn new(request: &'a request::ListTasks) -> Result<Self, Refusal> {
        let others =
            [&request.family, &request.container_instance, &request.service_name, &request.launch_type];
        // "it must be the only filter that you use" (ListTasks' reference);
        // callers still rely on its combination with `desiredStatus`.
        if request.started_by.is_some() && others.iter().any(|filter| filter.is_some()) {
            return Err(Refusal::invalid("startedBy must be the only filter."));
        }
        let desired_status = request.desired_status.as_deref().unwrap_or("RUNNING");
        if !["RUNNING", "PENDING", "STOPPED"].contains(&desired_status) {
            return Err(Refusal::invalid(format!("Unknown desired status: {desired_status}")));
        }
        // The fake has neither instances nor services, and only Fargate.
        let nothing = request.container_instance.is_some()
            || request.service_name.is_some()
            || request.launch_type.as_deref().is_some_and(|launch_type| launch_type != "FARGATE");
        Ok(Self {
            desired_status,
            started_by: request.started_by.as_deref(),
            family: request.family.as_deref(),
            nothing,
        })
    }

    fn fits(&self, task: &Task) -> bool {
        !self.nothing
            && task.desired_status() == self.desired_status
            && self.started_by.is_none_or(|wanted| task.launch.started_by.as_deref() == Some(wanted))
            && self.family.is_none_or(|wanted| task.launch.definition.family == wanted)
    }
}
