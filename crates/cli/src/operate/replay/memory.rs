//! A deployment in memory: its open records, and the plans that a dispatcher
//! would make. Every effect is assumed to succeed.
//!
//! A recording names the runners of the recorded deployment. Each of them is
//! matched with a runner that was launched here.

use std::collections::{HashMap, HashSet};

use ecsrunner_core::decide::learn::learn;
use ecsrunner_core::decide::plan::{DOUBT, Launch, Mark, Means, Question, Retirement, plan};
use ecsrunner_core::decide::record::{Outcome, record};
use ecsrunner_core::id::{Epoch, JobId, PoolId, RunnerId, RunnerName, TaskId};
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::change::{Change, Records};
use ecsrunner_core::records::job::{EndedJob, Failing, Job, JobRecord, JobState};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::{Runner, RunnerStage, RunnerState};
use ecsrunner_core::rules::pace::Bucket;
use ecsrunner_core::wire::event::{Event, Keys};
use ecsrunner_core::wire::job::TakenBy;
use ecsrunner_engine::Ruleset;
use jiff::Timestamp;

use super::decision::Decision;

/// The most plans that are made between two events.
const MAX_ROUNDS: usize = 10_000;

pub(super) struct Memory<'a> {
    rules: &'a Ruleset,
    open: Open,
    ended: HashMap<JobId, EndedJob>,
    gone: HashSet<RunnerName>,
    /// Runners that were launched here and not yet named by an event, the oldest first.
    unheard: Vec<Unheard>,
    /// Questions that were already reported: each is reported once.
    asked: HashSet<Question>,
    launches: u64,
    /// When the first event came.
    began: Option<Timestamp>,
    /// When the plan next changes without an event.
    next_at: Option<Timestamp>,
}

struct Unheard {
    /// An invented name.
    name: RunnerName,
    pool: PoolId,
    launched_for: JobId,
}

impl<'a> Memory<'a> {
    pub(super) fn new(rules: &'a Ruleset) -> Self {
        Self {
            rules,
            open: Open::default(),
            ended: HashMap::new(),
            gone: HashSet::new(),
            unheard: Vec::new(),
            asked: HashSet::new(),
            launches: 0,
            began: None,
            next_at: None,
        }
    }

    /// Makes the plans that are due before `until`. Returns their times and decisions.
    pub(super) fn pass(&mut self, until: Timestamp) -> Vec<(Timestamp, Vec<Decision>)> {
        let mut rounds = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let Some(at) = self.next_at.filter(|at| *at < until) else { break };
            let decisions = self.plan(at);
            if !decisions.is_empty() {
                rounds.push((at, decisions));
            }
        }
        rounds
    }

    /// Records an event, and makes a new plan if the event can change it.
    pub(super) fn record(&mut self, event: &Event, now: Timestamp) -> (Outcome, Vec<Decision>) {
        self.began.get_or_insert(now);
        let keys = event.keys();
        self.match_runner(event, &keys, now);
        let recorded = record(event, &self.records(&keys), self.rules.rules());
        let mut decisions = Vec::new();
        for change in recorded.changes {
            decisions.extend(held_back(&change));
            self.write(&change);
        }
        let freed = keys.runner.is_some_and(|runner| self.end_without_task_events(&runner));
        if recorded.replan || freed {
            decisions.extend(self.plan(now));
        }
        (recorded.outcome, decisions)
    }

    /// Matches the runner that an event names with one launched here, and brings it to the state that
    /// the event implies.
    fn match_runner(&mut self, event: &Event, keys: &Keys, now: Timestamp) {
        let deployment = &self.rules.settings.deployment;
        let Some(name) = keys.runner.as_ref().filter(|name| name.belongs_to(deployment)) else { return };
        if !self.open.runners.contains_key(name) && !self.gone.contains(name) {
            self.assign_name(name, keys.job);
        }
        let task = match event {
            Event::Task(event) => Some(&event.task),
            _ => None,
        };
        if let Some(runner) = self.open.runners.get_mut(name) {
            *runner = begun(runner, task, now);
        }
    }

    /// Gives the name to the unnamed runner that was launched here for the job,
    /// or else to the oldest unnamed one of its pool.
    fn assign_name(&mut self, name: &RunnerName, job: Option<JobId>) {
        let is_open = |unheard: &Unheard| self.open.runners.contains_key(&unheard.name);
        let for_job =
            self.unheard.iter().position(|unheard| Some(unheard.launched_for) == job && is_open(unheard));
        // A runner from before the recording was launched for a job that is not in the recording.
        let is_older = name.given_at().zip(self.began).is_some_and(|(given, began)| given < began);
        // A task event may name a runner that was retired here before its container ran.
        let of_pool = self.unheard.iter().position(|unheard| {
            !is_older && name.is_of(&unheard.pool) && (job.is_none() || is_open(unheard))
        });
        let Some(index) = for_job.or(of_pool) else { return };
        let unheard = self.unheard.remove(index);
        match self.open.runners.remove(&unheard.name) {
            Some(mut runner) => {
                runner.facts.name = name.clone();
                self.open.add_runner(runner);
            }
            None => {
                self.gone.insert(name.clone());
            }
        }
    }

    /// Ends a runner whose job has ended, if the recording has no events of its
    /// task. Returns whether there was such a runner.
    fn end_without_task_events(&mut self, name: &RunnerName) -> bool {
        let Some(runner) = self.open.runners.get(name) else { return false };
        let ended = runner.stage() == RunnerStage::Ending && has_no_task_event(runner);
        if ended {
            self.lose(name);
        }
        ended
    }

    fn records(&self, keys: &Keys) -> Records {
        let job = keys.job.and_then(|id| {
            let open = self.open.jobs.get(&id).cloned().map(JobRecord::Open);
            open.or_else(|| self.ended.get(&id).cloned().map(JobRecord::Ended))
        });
        let runner = keys.runner.as_ref().and_then(|name| self.open.runners.get(name)).cloned();
        Records { job, runner, ..Records::default() }
    }

    fn write(&mut self, change: &Change) {
        self.open.apply(change);
        match change {
            Change::JobReopened(job) => {
                self.ended.remove(&job.id());
            }
            Change::JobEnded(job) | Change::JobAmended(job) => {
                self.ended.insert(job.facts.id, job.clone());
            }
            Change::RunnerGone(runner) => {
                self.gone.insert(runner.facts.name.clone());
            }
            Change::Job(_)
            | Change::Runner(_)
            | Change::RunnerAmended(_)
            | Change::Warm(_)
            | Change::WarmGone(_)
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

    fn lose(&mut self, name: &RunnerName) -> Option<Runner> {
        let runner = self.open.runners.remove(name)?;
        self.gone.insert(runner.name().clone());
        Some(runner)
    }
}

/// The steps of a dispatcher's round.
impl Memory<'_> {
    fn plan(&mut self, now: Timestamp) -> Vec<Decision> {
        for lesson in learn(&self.open, now) {
            self.write(&lesson);
        }
        let rules = self.rules;
        // A launch takes its slots at once.
        let means = Means { subnets: &rules.subnets, has_slot: &|_, _| true, ..Means::default() };
        let plan = plan(&self.open, rules.rules(), means, now);
        self.next_at = plan.next_at.filter(|at| *at > now);
        let mut decisions = Vec::new();
        for launch in plan.launches {
            decisions.extend(self.launch(&launch, now));
        }
        for retirement in plan.retirements {
            decisions.extend(self.retire(retirement));
        }
        for mark in plan.marks {
            self.mark(&mark);
        }
        for wait in plan.waits {
            decisions.extend(self.wait(wait.job, wait.reason));
        }
        for question in plan.questions {
            decisions.extend(self.ask(question));
        }
        self.clean(now);
        decisions
    }

    fn launch(&mut self, launch: &Launch, now: Timestamp) -> Option<Decision> {
        self.launches += 1;
        // Unlike a real name, it contains no time.
        let ulid = format!("{:026}", self.launches);
        let pool = launch.order.pool();
        let name = RunnerName::new(&self.rules.settings.deployment, pool, &ulid).ok()?;
        let runner = launch.order.reserve(name.clone(), Epoch::new(1), now);
        let account = runner.facts.scope.owner();
        for bucket in [Bucket::Fargate(runner.placement.market), Bucket::GitHub(account)] {
            let rate = self.rules.settings.paces.rate(&bucket);
            let level = rate.take(self.open.levels.get(&bucket).copied(), 1, now);
            self.open.levels.insert(bucket, level);
        }
        if launch.order.fails()
            && let Some(job) = self.open.jobs.get(&launch.job)
        {
            let failing = Failing::Launched { at: now, reason: launch.reason.clone() };
            let job = job.with_failing(failing);
            self.write(&Change::Job(job));
        }
        let class = runner.facts.class.clone();
        self.unheard.push(Unheard { name: name.clone(), pool: pool.clone(), launched_for: launch.job });
        self.open.add_runner(runner);
        // The launch implies that the job waits for this runner: the wait is no decision of its own.
        self.wait(launch.job, Code::RunnerStarting.into());
        Some(Decision::Launch { job: launch.job, runner: name, class, reason: launch.reason.clone() })
    }

    fn retire(&mut self, retirement: Retirement) -> Option<Decision> {
        let runner = self.lose(&retirement.runner)?;
        let job = runner.names_job();
        let Retirement { runner: name, reason, .. } = retirement;
        Some(Decision::Retire { runner: name, class: runner.facts.class, job, reason })
    }

    fn mark(&mut self, mark: &Mark) {
        if let Some(runner) = self.open.runners.get_mut(&mark.runner) {
            runner.surplus_since = mark.surplus_since;
            runner.version = runner.version.next();
        }
    }

    fn wait(&mut self, id: JobId, reason: Reason) -> Option<Decision> {
        let known = self.open.jobs.get(&id)?;
        if matches!(&known.state, JobState::Queued { wait, .. } if *wait == reason) {
            return None;
        }
        let job = known.waiting_for(&reason)?;
        let class = class_of(&job);
        self.write(&Change::Job(job));
        Some(Decision::Wait { job: id, class, reason })
    }

    fn ask(&mut self, question: Question) -> Option<Decision> {
        let job = match &question {
            Question::Job { job, .. } | Question::Run(job) => self.open.jobs.get(job),
            Question::Runner(_) => None,
        };
        if job.is_some_and(|job| self.is_on_a_runner_from_before(job)) {
            return None;
        }
        let class = match &question {
            Question::Runner(name) => self.open.runners.get(name).map(|runner| runner.facts.class.clone()),
            Question::Job { .. } | Question::Run(_) => job.and_then(class_of),
        };
        let reason = job.and_then(|job| match &job.state {
            JobState::Queued { wait, .. } => Some(wait.clone()),
            JobState::Refused { reason } => Some(reason.clone()),
            JobState::Waiting | JobState::InProgress { .. } => None,
        });
        self.asked.insert(question.clone()).then_some(Decision::Ask { question, class, reason })
    }

    /// Returns whether the job is on a runner from before the recording.
    fn is_on_a_runner_from_before(&self, job: &Job) -> bool {
        match &job.state {
            JobState::InProgress { runner: TakenBy::Ours(name), .. } => {
                !self.open.runners.contains_key(name) && !self.gone.contains(name)
            }
            _ => false,
        }
    }

    /// Removes the records of runners whose task stopped long enough ago.
    fn clean(&mut self, now: Timestamp) {
        let is_clean = |runner: &Runner| runner.stopped_at().is_some_and(|at| now >= at + DOUBT);
        let cleaned = self.open.runners.values().filter(|runner| is_clean(runner));
        for name in cleaned.map(|runner| runner.name().clone()).collect::<Vec<_>>() {
            self.lose(&name);
        }
    }
}

/// Returns the wait of a job that is not yet demand: it waits for GitHub.
fn held_back(change: &Change) -> Option<Decision> {
    let Change::Job(job) = change else { return None };
    let reason = match &job.state {
        JobState::Waiting => Code::ApprovalPending.into(),
        JobState::Queued { wait, .. } if matches!(wait.code(), Code::ToConfirm | Code::ToCheck) => {
            wait.clone()
        }
        JobState::Queued { .. } | JobState::InProgress { .. } | JobState::Refused { .. } => return None,
    };
    Some(Decision::Wait { job: job.id(), class: class_of(job), reason })
}

fn class_of(job: &Job) -> Option<ecsrunner_core::id::ClassName> {
    job.assignment().map(|assignment| assignment.class.clone())
}

/// Returns the runner in the state that its first event implies: its task has
/// started and has received its configuration.
fn begun(runner: &Runner, task: Option<&TaskId>, at: Timestamp) -> Runner {
    let mut begun = runner.clone();
    // If no event names the task, the runner's name is used as the task's id.
    let id = task.cloned().or_else(|| TaskId::parse(runner.name().as_str()).ok());
    if let Some(started) = id.and_then(|id| begun.task_started(id, at)) {
        begun = started;
    }
    if let Some((handed_over, _)) = begun.handed_over(RunnerId::new(0), at) {
        begun = handed_over;
    }
    if let Some(id) = task.filter(|_| has_no_task_event(&begun)) {
        match &mut begun.state {
            RunnerState::Starting { task, .. }
            | RunnerState::Booted { task, .. }
            | RunnerState::Busy { task, .. } => task.id = id.clone(),
            RunnerState::Reserved { .. } | RunnerState::Ending(_) => {}
        }
    }
    begun
}

/// Returns whether no event has named the runner's task.
fn has_no_task_event(runner: &Runner) -> bool {
    runner.task().is_some_and(|task| task.as_str() == runner.name().as_str())
}
