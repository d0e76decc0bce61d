//! The fake as a state machine: it takes calls with times, and returns answers and
//! events.
//!
//! It reads no clock and does no I/O, so that tests in virtual time use the same
//! fake that `ecsrunner_sim::ecs` serves over HTTP.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::Value;

use crate::random::Random;

use super::events::Outbox;
use super::faults::{CallFault, FaultAnswer, Faults};
use super::instances::Instance;
use super::launch::cluster_name;
use super::options::{Options, Rate};
use super::rate::Bucket;
use super::reply::{Refusal, Reply};
use super::request;
use super::task::{Provider, Task};
use super::tokens::Tokens;
use super::view::TaskView;

/// A task's number in the order of launches.
pub(super) type Number = u64;

/// The ECS of one account in one Region.
#[derive(Debug)]
pub struct Ecs {
    pub(super) options: Options,
    pub(super) random: Random,
    pub(super) tasks: BTreeMap<Number, Task>,
    /// Container instances of Managed Instances, the oldest first.
    pub(super) instances: Vec<Instance>,
    pub(super) numbers: HashMap<String, Number>,
    pub(super) launched: Number,
    /// Tasks by the time of their next step.
    pub(super) timers: BTreeSet<(Timestamp, Number)>,
    /// Stopped tasks by the time at which they are deleted.
    pub(super) forget_at: BTreeSet<(Timestamp, Number)>,
    pub(super) tokens: Tokens,
    pub(super) launches: BTreeMap<Provider, Bucket>,
    pub(super) outbox: Outbox,
    calls_allowed: BTreeMap<&'static str, Bucket>,
    calls: BTreeMap<String, u64>,
    now: Timestamp,
}

impl Ecs {
    /// Makes an ECS without tasks.
    #[must_use]
    pub fn new(options: Options, now: Timestamp) -> Self {
        let seed = options.seed.unwrap_or_else(|| now.as_microsecond().cast_unsigned());
        Self {
            options,
            random: Random::seeded(seed),
            tasks: BTreeMap::new(),
            instances: Vec::new(),
            numbers: HashMap::new(),
            launched: 0,
            timers: BTreeSet::new(),
            forget_at: BTreeSet::new(),
            tokens: Tokens::default(),
            launches: BTreeMap::new(),
            outbox: Outbox::default(),
            calls_allowed: BTreeMap::new(),
            calls: BTreeMap::new(),
            now,
        }
    }

    /// Answers a call of the API, such as `RunTask`. A time before an earlier call counts as the time of that call.
    pub fn handle(&mut self, operation: &str, request: &Value, now: Timestamp) -> Reply {
        let now = self.settle(now);
        *self.calls.entry(operation.to_owned()).or_default() += 1;
        match self.options.faults.call_fault(operation) {
            None => self.perform(operation, request, None, now).into(),
            Some(CallFault { answer: FaultAnswer::Failure { reason, detail }, .. }) => {
                self.perform(operation, request, Some((&reason, detail.as_deref())), now).into()
            }
            Some(CallFault { answer, after_effect, .. }) => {
                if after_effect {
                    // Only the effect is wanted, and not the answer.
                    drop(self.perform(operation, request, None, now));
                }
                match answer {
                    FaultAnswer::Error { code, message } => Reply::Refusal(Refusal::new(&code, message)),
                    FaultAnswer::Lost | FaultAnswer::Failure { .. } => Reply::Lost,
                }
            }
        }
    }

    /// Runs steps that are due until `now`. Returns the events that are delivered by
    /// then, in order of delivery.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Value> {
        let now = self.settle(now);
        self.outbox.take(now)
    }

    /// Returns when the next step of a task or delivery of an event is due; `None` if none is scheduled.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        let step = self.timers.first().map(|(at, _)| *at);
        step.into_iter().chain(self.outbox.next_at()).min()
    }

    /// Returns the tasks that can still be described, the oldest first, without any lag, as of the latest time.
    pub fn tasks(&self) -> impl Iterator<Item = TaskView> + '_ {
        self.tasks.values().map(TaskView::of)
    }

    /// Whether RunTask has accepted a task that has this variable in the environment of its overrides.
    #[must_use]
    pub fn has_accepted(&self, variable: &str, value: &str) -> bool {
        // The newest first, since that is what callers mostly look for.
        let mut tasks = self.tasks.values().rev();
        tasks.any(|task| task.launch.environment.get(variable).is_some_and(|set| set == value))
    }

    /// Finds a task by its id or ARN.
    #[must_use]
    pub fn task(&self, task: &str) -> Option<TaskView> {
        self.find(task).map(|(_, task)| TaskView::of(task))
    }

    /// Counts the tasks that are not STOPPED.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.tasks.values().filter(|task| task.is_alive()).count()
    }

    #[must_use]
    pub fn calls(&self) -> &BTreeMap<String, u64> {
        &self.calls
    }

    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.options.faults
    }

    /// Returns the faults for changes.
    pub fn faults_mut(&mut self) -> &mut Faults {
        &mut self.options.faults
    }

    fn perform(
        &mut self,
        operation: &str,
        request: &Value,
        failure: Option<(&str, Option<&str>)>,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let request = request::without_nulls(request);
        let rates = self.options.rates;
        match operation {
            "RunTask" => {
                self.allow("RunTask", rates.run_task, now)?;
                self.run_task(&request, failure, now)
            }
            "StopTask" => {
                self.allow("StopTask", rates.stop_task, now)?;
                self.stop_task(&request, now)
            }
            "DescribeContainerInstances" => self.describe_container_instances(&request),
            "UpdateContainerInstancesState" => self.update_container_instances_state(&request, now),
            "DescribeClusters" => Ok(self.describe_clusters(&request)),
            "DescribeTaskDefinition" => self.describe_task_definition(&request),
            "DescribeTasks" => self.describe_tasks(&request, now),
            "ExecuteCommand" => self.execute_command(&request),
            "ListTasks" => self.list_tasks(&request, now),
            _ => Err(Refusal::new("UnknownOperationException", "")),
        }
    }

    fn allow(&mut self, operation: &'static str, rate: Rate, now: Timestamp) -> Result<(), Refusal> {
        let bucket = self.calls_allowed.entry(operation).or_default();
        if bucket.take(rate, 1, now) { Ok(()) } else { Err(Refusal::throttled()) }
    }

    /// Returns the later of `now` and the latest time, because time never goes back.
    pub(super) fn not_before(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        self.now
    }

    pub(super) fn cluster(&self, asked: Option<&str>) -> Result<String, Refusal> {
        cluster_name(asked, &self.options)
    }

    /// Finds a task by its id or ARN.
    pub(super) fn find(&self, task: &str) -> Option<(Number, &Task)> {
        let id = task.rsplit_once('/').map_or(task, |(_, id)| id);
        let number = *self.numbers.get(id)?;
        let found = self.tasks.get(&number)?;
        (task == id || task == found.arn).then_some((number, found))
    }
}
