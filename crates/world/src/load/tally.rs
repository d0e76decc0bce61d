//! Figures that are kept while a load runs: aggregates only, so that memory does not
//! grow with each job's records.

use std::collections::{BTreeMap, HashMap, HashSet};

use ecsrunner_core::id::{ClassName, JobId, Repository, TaskName, Version};
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::change::Change;
use ecsrunner_core::records::job::{EndedJob, Job, JobEnding, JobState};
use ecsrunner_core::records::runner::{EndedRunner, Runner, RunnerStage, Served};
use ecsrunner_core::records::times::HeldBy;
use ecsrunner_core::records::wait::{Part, Wait};
use ecsrunner_core::records::warm::{EndedWarm, WarmTask};

use jiff::SignedDuration;

use super::time::Millis;

/// The time between two samples.
const SAMPLE: Millis = 60_000;

/// Sums of jobs with the same repository and labels.
#[derive(Clone, Default, Debug)]
pub struct KindFigures {
    /// The class that served them; `None` if none of them was admitted.
    pub class: Option<ClassName>,
    /// Jobs that were queued.
    pub queued: u64,
    /// From queued to started at GitHub, in milliseconds, in the order of starts.
    pub waits_ms: Vec<u32>,
}

/// How long jobs waited for one reason.
#[derive(Clone, Debug)]
pub struct ReasonFigures {
    /// The time of all jobs together.
    pub waited_ms: u64,
    /// How often a job began to wait for it.
    pub waits: u64,
    /// When the first job waited for it, in milliseconds since 1970.
    pub first_at_ms: i64,
    /// What the first job waited for.
    pub first: Reason,
}

/// Sums of runners that are gone.
#[derive(Clone, Copy, Default, Debug)]
pub struct RunnerFigures {
    /// Runners whose task was started.
    pub launches: u64,
    /// Runners that ended before AWS started a task for them, such as for lack of capacity.
    pub not_launched: u64,
    /// Runners whose task ended without having executed a job.
    pub without_job: u64,
    /// The billed time of tasks.
    pub task_ms: u64,
    /// The part of it in which no job was executed.
    pub idle_ms: u64,
    /// The cost of tasks, in US dollars.
    pub cost_usd: f64,
    /// The cost of tasks while they executed no job.
    pub idle_cost_usd: f64,
    /// Runners that took over a warm task.
    pub warm: u64,
    /// The cost of warm tasks before that, a part of `cost_usd` and `idle_cost_usd`.
    pub warm_cost_usd: f64,
}

/// Where the waits of jobs went.
#[derive(Clone, Default, Debug)]
pub struct WaitFigures {
    /// The lengths of each part that is known, in milliseconds, in the order of starts.
    pub parts_ms: BTreeMap<Part, Vec<u32>>,
    /// The times that belong to no known part.
    pub unknown_ms: Vec<u32>,
    /// How many jobs were held back, by what.
    pub held_by: BTreeMap<HeldBy, u64>,
}

impl WaitFigures {
    pub(super) fn add(&mut self, wait: &Wait) {
        let millis = |length: SignedDuration| u32::try_from(length.as_millis()).unwrap_or(u32::MAX);
        for (part, length) in wait.parts() {
            self.parts_ms.entry(part).or_default().push(millis(length));
        }
        self.unknown_ms.push(millis(wait.unknown()));
        if let Some(by) = wait.held_by {
            *self.held_by.entry(by).or_default() += 1;
        }
    }
}

/// The most of each within a minute.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sample {
    /// When the minute began, in milliseconds since 1970.
    pub at_ms: i64,
    /// Jobs that wait for a runner.
    pub queued: u32,
    /// Runners that take a slot.
    pub runners: u32,
    /// Jobs that run.
    pub busy: u32,
    /// CPU units of the tasks that AWS has started.
    pub cpu: u32,
}

impl Sample {
    fn raise(&mut self, now: &Self) {
        self.queued = self.queued.max(now.queued);
        self.runners = self.runners.max(now.runners);
        self.busy = self.busy.max(now.busy);
        self.cpu = self.cpu.max(now.cpu);
    }
}

/// All figures of a load.
#[derive(Default, Debug)]
pub struct Tally {
    /// By kind, in the order of the load.
    pub kinds: Vec<KindFigures>,
    pub reasons: HashMap<Code, ReasonFigures>,
    pub runners: RunnerFigures,
    /// Where the waits of jobs went.
    pub waits: WaitFigures,
    /// The cost by class and repository of the job for which the runner was launched.
    pub costs: BTreeMap<(ClassName, Repository), f64>,
    /// Refused jobs by reason.
    pub refused: HashMap<Code, u64>,
    pub succeeded: u64,
    pub failed: u64,
    /// Jobs that were still waiting at the end.
    pub still_queued: u64,
    pub samples: Vec<Sample>,
    now: Sample,
    waiting: HashMap<JobId, Waiting>,
    slots: HashSet<TaskName>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    kind: usize,
    reason: Code,
    since: Millis,
}

impl Tally {
    pub(super) fn new(kinds: usize) -> Self {
        Self { kinds: vec![KindFigures::default(); kinds], ..Self::default() }
    }

    /// Takes the sample of each minute that has begun.
    pub(super) fn pass(&mut self, now: Millis) {
        let begun = now - now.rem_euclid(SAMPLE);
        let mut last = self.samples.last().map_or(begun - SAMPLE, |sample| sample.at_ms);
        while last < begun {
            last += SAMPLE;
            self.samples.push(Sample { at_ms: last, ..self.now });
        }
    }

    fn count(&mut self, now: Millis, change: impl FnOnce(&mut Sample)) {
        self.pass(now);
        change(&mut self.now);
        if let Some(sample) = self.samples.last_mut() {
            sample.raise(&self.now);
        }
    }

    pub(super) fn queued(&mut self, job: JobId, kind: usize, now: Millis) {
        self.kinds[kind].queued += 1;
        self.wait_for(job, kind, &Code::ToPlan.into(), now);
        self.count(now, |sample| sample.queued += 1);
    }

    pub(super) fn started(&mut self, job: JobId, kind: usize, queued_at: Millis, now: Millis) {
        self.kinds[kind].waits_ms.push(u32::try_from(now - queued_at).unwrap_or(u32::MAX));
        self.stop_waiting(job, now);
        self.count(now, |sample| {
            sample.queued = sample.queued.saturating_sub(1);
            sample.busy += 1;
        });
    }

    pub(super) fn completed(&mut self, succeeded: bool, now: Millis) {
        *(if succeeded { &mut self.succeeded } else { &mut self.failed }) += 1;
        self.count(now, |sample| sample.busy = sample.busy.saturating_sub(1));
    }

    /// Counts a committed change.
    pub(super) fn changed(&mut self, change: &Change, now: Millis) {
        match change {
            Change::Job(job) => self.changed_job(job, now),
            Change::JobEnded(job) => self.ended_job(job, now),
            Change::Runner(runner) => self.changed_runner(runner, now),
            Change::RunnerGone(runner) => self.gone_runner(runner, now),
            Change::Warm(warm) => self.changed_warm(warm, now),
            Change::WarmGone(warm) => self.gone_warm(warm, now),
            Change::JobAmended(_)
            | Change::RunnerAmended(_)
            | Change::JobReopened(_)
            | Change::Hold(_)
            | Change::Released(_)
            | Change::Rerun(_)
            | Change::RerunOver(_)
            | Change::Image(_)
            | Change::Overspent(_)
            | Change::BudgetOpen(_)
            | Change::Claimed(_) => {}
        }
    }

    fn changed_job(&mut self, job: &Job, now: Millis) {
        let (assignment, wait) = match &job.state {
            JobState::Queued { assignment, wait } => (assignment, wait),
            JobState::Refused { reason } => return self.refused(job.id(), reason.code(), now),
            JobState::Waiting | JobState::InProgress { .. } => return,
        };
        let Some(waiting) = self.waiting.get(&job.id()).copied() else { return };
        let kind = &mut self.kinds[waiting.kind];
        if kind.class.is_none() {
            kind.class = Some(assignment.class.clone());
        }
        self.explained(job.id(), wait, now);
    }

    /// Whether a job waits, as far as is known.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A job waits for this reason from now on.
    pub(super) fn explained(&mut self, job: JobId, reason: &Reason, now: Millis) {
        let Some(waiting) = self.waiting.get(&job).copied() else { return };
        if waiting.reason != reason.code() {
            self.stop_waiting(job, now);
            self.wait_for(job, waiting.kind, reason, now);
        }
    }

    fn ended_job(&mut self, job: &EndedJob, now: Millis) {
        if let JobEnding::Refused { reason, .. } = &job.ending {
            self.refused(job.facts.id, reason.code(), now);
        }
    }

    /// Counts a job that is not served. Each one counts once.
    pub(super) fn refused(&mut self, job: JobId, code: Code, now: Millis) {
        if self.stop_waiting(job, now) {
            *self.refused.entry(code).or_default() += 1;
            self.count(now, |sample| sample.queued = sample.queued.saturating_sub(1));
        }
    }

    /// Counts a task that AWS has started.
    pub(super) fn task_started(&mut self, cpu: u32, now: Millis) {
        self.count(now, |sample| sample.cpu += cpu);
    }

    /// Counts a task that has stopped.
    pub(super) fn task_stopped(&mut self, cpu: u32, now: Millis) {
        self.count(now, |sample| sample.cpu = sample.cpu.saturating_sub(cpu));
    }

    fn wait_for(&mut self, job: JobId, kind: usize, reason: &Reason, now: Millis) {
        self.waiting.insert(job, Waiting { kind, reason: reason.code(), since: now });
        let first = || ReasonFigures { waited_ms: 0, waits: 0, first_at_ms: now, first: reason.clone() };
        self.reasons.entry(reason.code()).or_insert_with(first).waits += 1;
    }

    /// Adds a wait that is over to its reason. Returns whether the job was waiting.
    fn stop_waiting(&mut self, job: JobId, now: Millis) -> bool {
        let Some(Waiting { reason, since, .. }) = self.waiting.remove(&job) else { return false };
        let waited = u64::try_from(now - since).unwrap_or(0);
        if let Some(figures) = self.reasons.get_mut(&reason) {
            figures.waited_ms += waited;
        }
        true
    }

    fn changed_runner(&mut self, runner: &Runner, now: Millis) {
        if runner.version == Version::FIRST {
            self.runners.launches += 1;
            self.runners.warm += u64::from(runner.facts.warm.is_some());
            self.take_slot(runner.name().clone().into(), now);
        } else if !runner.takes_slot() {
            self.free_slot(&runner.name().clone().into(), now);
        }
    }

    fn changed_warm(&mut self, warm: &WarmTask, now: Millis) {
        if warm.version == Version::FIRST {
            self.take_slot(warm.name().clone().into(), now);
        } else if !warm.takes_slot() {
            self.free_slot(&warm.name().clone().into(), now);
        }
    }

    fn gone_warm(&mut self, warm: &EndedWarm, now: Millis) {
        self.free_slot(&warm.facts.name.clone().into(), now);
        let cost = warm.cost_usd.unwrap_or_default();
        self.runners.warm_cost_usd += cost;
        self.runners.cost_usd += cost;
        self.runners.idle_cost_usd += cost;
    }

    fn take_slot(&mut self, name: TaskName, now: Millis) {
        self.slots.insert(name);
        self.count(now, |sample| sample.runners += 1);
    }

    fn free_slot(&mut self, name: &TaskName, now: Millis) {
        if self.slots.remove(name) {
            self.count(now, |sample| sample.runners = sample.runners.saturating_sub(1));
        }
    }

    fn gone_runner(&mut self, runner: &EndedRunner, now: Millis) {
        self.free_slot(&runner.facts.name.clone().into(), now);
        let figures = &mut self.runners;
        if runner.task.is_none() {
            figures.launches = figures.launches.saturating_sub(1);
            figures.not_launched += 1;
            return;
        }
        figures.without_job += u64::from(matches!(runner.served, Served::Nothing));
        let (Some(from), Some(to), Some(cost)) = (runner.billed_from(), runner.stopped_at, runner.cost_usd)
        else {
            return;
        };
        figures.cost_usd += cost;
        *self.costs.entry((runner.facts.class.clone(), runner.facts.repository.clone())).or_default() += cost;
        let length = |from: jiff::Timestamp, to: jiff::Timestamp| {
            u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
        };
        let billed = length(from, to);
        let stage = |stage| runner.timeline.at(stage);
        let at_work = match (stage(RunnerStage::Busy), stage(RunnerStage::Ending)) {
            (Some(busy), Some(ending)) => length(busy, ending).min(billed),
            _ => 0,
        };
        figures.task_ms += billed;
        figures.idle_ms += billed - at_work;
        // A task that stopped before its pull costs AWS's minimum.
        #[expect(clippy::cast_precision_loss, reason = "a share needs few digits")]
        let share = if billed == 0 { 1.0 } else { (billed - at_work) as f64 / billed as f64 };
        figures.idle_cost_usd += cost * share;
    }

    /// Ends the tally: jobs that still wait are counted up to now.
    pub(super) fn finish(&mut self, now: Millis) {
        self.pass(now);
        let mut waiting: Vec<JobId> = self.waiting.keys().copied().collect();
        waiting.sort_unstable();
        self.still_queued = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
        for job in waiting {
            self.stop_waiting(job, now);
        }
    }
}
