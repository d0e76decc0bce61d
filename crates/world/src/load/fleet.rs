//! The compute service: Fargate tasks with their vCPU quotas and launch rates.

use std::collections::HashMap;
use std::time::Duration;

use ecsrunner_core::decide::sweep::{SeenStatus, SeenTask};
use ecsrunner_core::id::JobId;
use ecsrunner_core::id::{HostId, InstanceId, RunnerId, TaskId, TaskName};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::wire::event::{StopCause, TaskTimes};
use ecsrunner_core::wire::exit_record::AgentTimes;
use ecsrunner_engine::ports::compute::{Compute, ComputeError, TaskOrder};

use super::happening::{Happening, TaskStep};
use super::state::{Shared, State};
use super::time::{Millis, millis, timestamp};
use crate::ecs::VCPU_LIMIT_REACHED;
use crate::faults::Method;

/// A task's number in the order of launches.
pub(super) type TaskNumber = u64;

/// Fargate's launch rate for each kind of capacity in AWS's older Regions: launches at once, and the time for another.
const LAUNCH_BURST: Millis = 100;
const LAUNCH_INTERVAL: Millis = 50;

/// A task that has not stopped.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: TaskId,
    pub(super) name: TaskName,
    /// How long a warm task waits for its boot item.
    pub(super) warm_for: Option<Duration>,
    pub(super) market: Market,
    is_managed: bool,
    pub(super) cpu: u32,
    pub(super) max_job: Duration,
    token: String,
    pub(super) phase: Phase,
    /// Increases whenever the scheduled step changes.
    turn: u32,
    /// The version of its last event.
    pub(super) version: u64,
    /// When it reached its steps, and its agent.
    pub(super) times: TaskTimes,
    pub(super) agent: AgentTimes,
}

impl Task {
    /// On managed instances each task has one of its own here.
    pub(super) fn instance(&self) -> Option<InstanceId> {
        InstanceId::parse(self.id.as_str()).ok().filter(|_| self.is_managed)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Accepted; its container has not started.
    Pending,
    /// The agent asks for its boot item until that time.
    Booting {
        until: Millis,
    },
    Connecting(RunnerId),
    /// Connected, and without a job until that time at most.
    Listening {
        registration: RunnerId,
        until: Millis,
    },
    Busy {
        registration: RunnerId,
        job: JobId,
        end: JobEnd,
    },
    /// Its job has ended.
    Leaving,
    /// Its container has ended.
    Stopping(StopCause),
}

/// How the job in a task will end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum JobEnd {
    Done,
    /// It runs longer than its limit.
    Timeout,
    /// AWS takes the Spot capacity back.
    Interrupted,
}

#[derive(Debug, Default)]
pub(super) struct Fleet {
    tasks: HashMap<TaskNumber, Task>,
    by_token: HashMap<String, TaskNumber>,
    launched: TaskNumber,
    /// CPU units in use, and when the launch bucket will be full again, on On-Demand and on Spot.
    used: [u32; 2],
    full_at: [Millis; 2],
}

fn index(market: Market) -> usize {
    match market {
        Market::OnDemand => 0,
        Market::Spot => 1,
    }
}

impl Fleet {
    pub(super) fn task(&self, number: TaskNumber) -> Option<&Task> {
        self.tasks.get(&number)
    }

    pub(super) fn task_mut(&mut self, number: TaskNumber) -> Option<&mut Task> {
        self.tasks.get_mut(&number)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn number_of(&self, task: &TaskId) -> Option<TaskNumber> {
        TaskNumber::from_str_radix(task.as_str(), 16).ok()
    }

    /// Removes a task that has stopped.
    pub(super) fn remove(&mut self, number: TaskNumber) -> Option<Task> {
        let task = self.tasks.remove(&number)?;
        self.by_token.remove(&task.token);
        self.used[index(task.market)] -= if task.is_managed { 0 } else { task.cpu };
        Some(task)
    }

    fn takes_launch(&mut self, market: Market, now: Millis) -> bool {
        let full_at = &mut self.full_at[index(market)];
        let after = (*full_at).max(now) + LAUNCH_INTERVAL;
        let fits = after <= now + LAUNCH_INTERVAL * LAUNCH_BURST;
        if fits {
            *full_at = after;
        }
        fits
    }

    fn launch(&mut self, order: &TaskOrder<'_>) -> (TaskNumber, TaskId) {
        self.launched += 1;
        let number = self.launched;
        #[expect(clippy::expect_used, reason = "hexadecimal digits are visible ASCII characters")]
        let id = TaskId::parse(&format!("{number:032x}")).expect("a task id");
        let token = order.token.as_str().to_owned();
        self.by_token.insert(token.clone(), number);
        let is_managed = order.placement.managed.is_some();
        self.used[index(order.placement.market)] += if is_managed { 0 } else { order.task.size.cpu() };
        let task = Task {
            id: id.clone(),
            name: order.task.name.clone(),
            warm_for: order.task.warm_for.and_then(|waits| Duration::try_from(waits).ok()),
            market: order.placement.market,
            is_managed,
            cpu: order.task.size.cpu(),
            max_job: Duration::from_secs(u64::from(order.task.max_job_minutes) * 60),
            token,
            phase: Phase::Pending,
            turn: 0,
            version: 0,
            times: TaskTimes::default(),
            agent: AgentTimes::default(),
        };
        self.tasks.insert(number, task);
        (number, id)
    }

    /// Returns whether the task has had no other turn since the step was scheduled.
    pub(super) fn is_current(&self, number: TaskNumber, turn: u32) -> bool {
        self.tasks.get(&number).is_some_and(|task| task.turn == turn)
    }
}

impl State {
    /// Brings a task to a phase, and schedules its next step in place of the one that was scheduled before.
    pub(super) fn turn(&mut self, number: TaskNumber, phase: Phase, next: Option<(Millis, TaskStep)>) {
        let Some(task) = self.fleet.task_mut(number) else { return };
        task.phase = phase;
        task.turn += 1;
        let turn = task.turn;
        if let Some((at, step)) = next {
            self.agenda.add(at, Happening::Task { task: number, turn, step });
        }
    }

    /// Schedules a further step in the same phase.
    pub(super) fn also(&mut self, number: TaskNumber, at: Millis, step: TaskStep) {
        if let Some(task) = self.fleet.task(number) {
            self.agenda.add(at, Happening::Task { task: number, turn: task.turn, step });
        }
    }

    fn run_task(&mut self, order: &TaskOrder<'_>, now: Millis) -> Result<TaskId, ComputeError> {
        if let Some(task) = self.fleet.by_token.get(order.token.as_str()) {
            let task = self.fleet.task(*task).map(|task| task.id.clone());
            return task
                .ok_or_else(|| ComputeError::TokenSpent { message: "the task has stopped".to_owned() });
        }
        let market = order.placement.market;
        if !self.fleet.takes_launch(market, now) {
            return Err(ComputeError::Throttled { message: "Rate exceeded".to_owned(), after: None });
        }
        // The quotas are those of Fargate.
        let quota = match market {
            _ if order.placement.managed.is_some() => None,
            Market::OnDemand => self.surroundings.on_demand_vcpus,
            Market::Spot => self.surroundings.spot_vcpus,
        };
        let wanted = self.fleet.used[index(market)] + order.task.size.cpu();
        if quota.is_some_and(|vcpus| wanted > vcpus * 1024) {
            return Err(ComputeError::NoCapacity { message: VCPU_LIMIT_REACHED.to_owned() });
        }
        let (number, id) = self.fleet.launch(order);
        self.tally.task_started(order.task.size.cpu(), now);
        let starts = self.surroundings.task_start.draw(&mut self.random);
        let pull = self.surroundings.pull.draw(&mut self.random).min(starts);
        let runs_at = now + millis(starts);
        if let Some(task) = self.fleet.task_mut(number) {
            let time = |at: Millis| Some(timestamp(at));
            let (pull_started, pull_stopped) = (time(runs_at - millis(pull)), time(runs_at));
            task.times = TaskTimes { created: time(now), pull_started, pull_stopped, started: time(runs_at) };
        }
        self.turn(number, Phase::Pending, Some((runs_at, TaskStep::Run)));
        Ok(id)
    }

    fn seen(&self) -> Vec<SeenTask> {
        let seen = |task: &Task| SeenTask {
            task: task.id.clone(),
            name: task.name.clone(),
            status: match &task.phase {
                Phase::Pending => SeenStatus::Pending,
                _ => SeenStatus::Running,
            },
            times: task.times,
            instance: task.instance(),
        };
        let mut tasks: Vec<(&TaskNumber, &Task)> = self.fleet.tasks.iter().collect();
        tasks.sort_unstable_by_key(|(number, _)| **number);
        tasks.into_iter().map(|(_, task)| seen(task)).collect()
    }
}

#[derive(Clone, Debug)]
pub struct LoadCompute(pub(super) Shared);

impl Compute for LoadCompute {
    async fn run_task(&self, order: &TaskOrder<'_>) -> Result<TaskId, ComputeError> {
        self.0.call(Method::RunTask).await;
        let now = self.0.now();
        self.0.lock().run_task(order, now)
    }

    async fn stop_task(&self, task: &TaskId, _reason: &str) -> Result<(), ComputeError> {
        self.0.call(Method::StopTask).await;
        let now = self.0.now();
        let mut state = self.0.lock();
        if let Some(number) = state.fleet.number_of(task) {
            state.terminate(number, now);
        }
        Ok(())
    }

    async fn tasks(&self) -> Result<Vec<SeenTask>, ComputeError> {
        self.0.call(Method::Tasks).await;
        Ok(self.0.lock().seen())
    }

    async fn host_of(
        &self,
        instance: &InstanceId,
        _placement: &Placement,
    ) -> Result<Option<HostId>, ComputeError> {
        self.0.call(Method::HostOf).await;
        let digits = instance.as_str();
        Ok(HostId::parse(&format!("i-{}", &digits[digits.len().saturating_sub(17)..])).ok())
    }

    async fn drain(&self, _instance: &InstanceId) -> Result<(), ComputeError> {
        self.0.call(Method::Drain).await;
        Ok(())
    }
}
