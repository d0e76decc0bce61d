//! The fake ECS: mostly as a state machine, in the test's own time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_world::ecs::{Durations, Ecs, Options, Reply, TaskDefinition, TaskView};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

mod capacity;
mod events;
mod http;
mod life;
mod reads;
mod run_task;
mod tokens;

/// 2026-11-01T00:00:00Z.
const START: i64 = 1_793_491_200;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn options() -> Options {
    let mut arm = TaskDefinition::new("runner-arm64", 1);
    arm.arch = Arch::Arm64;
    Options {
        seed: Some(7),
        clusters: vec!["default".to_owned(), "runners".to_owned()],
        task_definitions: vec![
            TaskDefinition::new("runner-x64", 1),
            TaskDefinition::new("runner-x64", 2),
            arm,
        ],
        ..Options::default()
    }
}

/// Returns a request that ECS accepts, with changed members.
fn request(changes: Value) -> Value {
    let mut request = json!({
        "cluster": "runners",
        "taskDefinition": "runner-x64",
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-a"]}},
        "startedBy": "ecsrunner/demo",
    });
    merge(&mut request, changes);
    request
}

/// Changes members of a request. A null removes a member.
fn merge(request: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else { return };
    for (name, value) in changes {
        request[name] = value;
    }
}

/// Returns the changes for Spot capacity.
fn spot() -> Value {
    json!({"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]})
}

/// An ECS, its time, and the events that it has delivered.
struct Cloud {
    ecs: Ecs,
    now: Timestamp,
    events: Vec<Value>,
}

impl Cloud {
    fn new() -> Self {
        Self::with(options())
    }

    fn with(options: Options) -> Self {
        let now = Timestamp::from_second(START).unwrap();
        Self { ecs: Ecs::new(options, now), now, events: Vec::new() }
    }

    fn call(&mut self, operation: &str, request: &Value) -> Reply {
        self.ecs.handle(operation, request, self.now)
    }

    fn answer(&mut self, operation: &str, request: &Value) -> Value {
        match self.call(operation, request) {
            Reply::Answer(answer) => answer,
            other => panic!("{operation}: {other:?}"),
        }
    }

    /// Returns the exception's name and message.
    fn refusal(&mut self, operation: &str, request: &Value) -> String {
        match self.call(operation, request) {
            Reply::Refusal(refusal) => format!("{}: {}", refusal.code, refusal.message),
            other => panic!("{operation}: {other:?}"),
        }
    }

    /// Starts one task and returns its id.
    fn run(&mut self, changes: Value) -> String {
        let answer = self.answer("RunTask", &request(changes));
        let arn = answer["tasks"][0]["taskArn"].as_str().unwrap_or_else(|| panic!("{answer}"));
        arn.rsplit('/').next().unwrap().to_owned()
    }

    /// Calls RunTask. Returns the number of tasks and the reasons of failures.
    fn launched(&mut self, changes: Value) -> (usize, Vec<String>) {
        let answer = self.answer("RunTask", &request(changes));
        let reason = |failure: &Value| failure["reason"].as_str().unwrap().to_owned();
        let failures = answer["failures"].as_array().unwrap().iter().map(reason).collect();
        (answer["tasks"].as_array().unwrap().len(), failures)
    }

    /// Advances time from one due step to the next.
    fn pass(&mut self, time: SignedDuration) {
        let until = self.now + time;
        while let Some(at) = self.ecs.next_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.events.extend(self.ecs.advance(self.now));
        }
        self.now = until;
        self.events.extend(self.ecs.advance(until));
    }

    fn task(&self, id: &str) -> TaskView {
        self.ecs.task(id).unwrap()
    }

    /// Starts a task, waits until it runs, and returns its id.
    fn running(&mut self, changes: Value) -> String {
        let id = self.run(changes);
        while self.task(&id).started_at.is_none() {
            self.pass(SECOND);
        }
        id
    }

    /// Advances time until the task has stopped. Returns how many seconds that took.
    fn stopped(&mut self, id: &str) -> i64 {
        let begun = self.now;
        while self.ecs.next_at().is_some() && self.task(id).stopped_at.is_none() {
            self.pass(SECOND);
        }
        self.now.duration_since(begun).as_secs()
    }

    /// Returns `lastStatus desiredStatus` of each delivered event of a task.
    fn seen(&self, id: &str) -> Vec<String> {
        let of_task = |event: &&Value| event["detail"]["taskArn"].as_str().unwrap().ends_with(id);
        let words = |event: &Value| {
            let word = |name: &str| event["detail"][name].as_str().unwrap().to_owned();
            format!("{} {}", word("lastStatus"), word("desiredStatus"))
        };
        self.events.iter().filter(of_task).map(words).collect()
    }

    fn describe(&mut self, id: &str) -> Value {
        let request = json!({"cluster": "runners", "tasks": [id], "include": ["TAGS"]});
        self.answer("DescribeTasks", &request)["tasks"][0].clone()
    }
}

/// Returns durations of one second for each status.
fn by_seconds() -> Durations {
    Durations::each(std::time::Duration::from_secs(1))
}
