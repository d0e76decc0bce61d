//! The fake as a state machine: calls and times go in, answers and events come out.
//!
//! It reads no clock and does no I/O, so that a test in virtual time plays
//! against the very fake that [`super::FakeEcs`] serves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::Value;

use crate::random::Random;

use super::events::Outbox;
use super::faults::{CallFault, FaultAnswer, Faults};
use super::launch::cluster_name;
use super::options::{Options, Rate};
use super::rate::Bucket;
use super::reply::{Refusal, Reply};
use super::request;
use super::task::{Provider, Task};
use super::tokens::Tokens;
use super::view::TaskView;

/// A task's place in the order of launches.
pub(super) type Number = u64;

/// An ECS of one account in one Region.
#[derive(Debug)]
pub struct Ecs {
    pub(super) options: Options,
    pub(super) random: Random,
    pub(super) tasks: BTreeMap<Number, Task>,
    pub(super) numbers: HashMap<String, Number>,
    pub(super) launched: Number,
    /// Tasks whose next step is due by itself.
    pub(super) timers: BTreeSet<(Timestamp, Number)>,
    /// When stopped tasks are forgotten.
    pub(super) forget_at: BTreeSet<(Timestamp, Number)>,
    pub(super) tokens: Tokens,
    pub(super) launches: BTreeMap<Provider, Bucket>,
    pub(super) outbox: Outbox,
    calls_allowed: BTreeMap<&'static str, Bucket>,
    calls: BTreeMap<String, u64>,
    now: Timestamp,
}

impl Ecs {
    /// An ECS without tasks.
    #[must_use]
    pub fn new(options: Options, now: Timestamp) -> Self {
        let seed = options.seed.unwrap_or_else(|| now.as_microsecond().cast_unsigned());
        Self {
            options,
            random: Random::seeded(seed),
            tasks: BTreeMap::new(),
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

    /// Answers a call of the API, such as `RunTask`. A time before an earlier one counts as that one.
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
                    // Its effect is all that is wanted of it.
                    drop(self.perform(operation, request, None, now));
                }
                match answer {
                    FaultAnswer::Error { code, message } => Reply::Refusal(Refusal::new(&code, message)),
                    FaultAnswer::Lost | FaultAnswer::Failure { .. } => Reply::Lost,
                }
            }
        }
    }

    /// Does what is due until `now`; the events that are delivered by then, in
    /// the order of their delivery.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Value> {
        let now = self.settle(now);
        self.outbox.take(now)
    }

    /// When a task's next step or an event's delivery is due; `None` while nothing will happen by itself.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        let step = self.timers.first().map(|(at, _)| *at);
        step.into_iter().chain(self.outbox.next_at()).min()
    }

    /// The tasks that can still be described, the oldest first, without any lag, as of the latest time given.
    pub fn tasks(&self) -> impl Iterator<Item = TaskView> + '_ {
        self.tasks.values().map(TaskView::of)
    }

    /// A task by its id or ARN.
    #[must_use]
    pub fn task(&self, task: &str) -> Option<TaskView> {
        self.find(task).map(|(_, task)| TaskView::of(task))
    }

    /// How many tasks are not STOPPED.
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

    /// What goes wrong, to be changed.
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

    /// Time never goes back.
    pub(super) fn not_before(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        self.now
    }

    pub(super) fn cluster(&self, asked: Option<&str>) -> Result<String, Refusal> {
        cluster_name(asked, &self.options)
    }

    /// A task by its id or ARN.
    pub(super) fn find(&self, task: &str) -> Option<(Number, &Task)> {
        let id = task.rsplit_once('/').map_or(task, |(_, id)| id);
        let number = *self.numbers.get(id)?;
        let found = self.tasks.get(&number)?;
        (task == id || task == found.arn).then_some((number, found))
    }
}
