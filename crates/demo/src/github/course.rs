//! Turns the decisions of a run into jobs: which are queued, skipped and cancelled.

use std::collections::BTreeMap;
use std::sync::Arc;

use ecsrunner_core::id::{JobId, RunId};
use ecsrunner_workflow::Program;
use ecsrunner_workflow::run::{Decision, Given, JobIndex, Outcome, Ready, Run as Plan, RunsOn};

use crate::protocol::Conclusion;
use crate::workflow::{Executor, uses_files_before_checkout};

use super::concurrency::Member;
use super::job::{DEFAULT_TIMEOUT_MINUTES, Definition, JobState, NewJob};
use super::state::State;

/// The course of a workflow's run.
#[derive(Debug)]
pub(super) struct Course {
    pub stage: Stage,
    /// The jobs of the fake by those of the plan. Earlier attempts are included.
    pub jobs: BTreeMap<JobIndex, JobId>,
    pub executor: Executor,
    /// The action that puts the repository's files into the workspace before the first step.
    pub put_files: Option<String>,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// It needs a concurrency group.
    Waiting {
        program: Arc<Program>,
        given: Box<Given>,
    },
    Going(Box<Plan>),
    /// It was cancelled before it began.
    Dropped,
}

impl Course {
    /// Returns how the run ended, once it has.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match &self.stage {
            Stage::Waiting { .. } => None,
            Stage::Going(plan) => plan.is_over().then(|| plan.outcome()),
            Stage::Dropped => Some(Outcome::Cancelled),
        }
    }

    /// Whether the run waits for its concurrency group.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting { .. })
    }
}

impl From<Outcome> for Conclusion {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Failure => Self::Failure,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Skipped => Self::Skipped,
        }
    }
}

impl From<Conclusion> for Outcome {
    fn from(conclusion: Conclusion) -> Self {
        match conclusion {
            Conclusion::Success => Self::Success,
            Conclusion::Failure => Self::Failure,
            Conclusion::Cancelled => Self::Cancelled,
            Conclusion::Skipped => Self::Skipped,
        }
    }
}

impl State {
    /// Starts the plan of a run, once it has its concurrency group.
    pub(super) fn begin_run(&mut self, id: RunId) {
        let Some(course) = self.runs.get_mut(&id).and_then(|run| run.course.as_mut()) else { return };
        if let Stage::Waiting { program, given } = &course.stage {
            course.stage = Stage::Going(Box::new(Plan::start(Arc::clone(program), given.as_ref().clone())));
            self.follow(id);
        }
    }
    /// Returns the plan of a run that has begun.
    pub(super) fn plan_of(&mut self, id: RunId) -> Option<&mut Plan> {
        match &mut self.runs.get_mut(&id)?.course.as_mut()?.stage {
            Stage::Going(plan) => Some(plan),
            Stage::Waiting { .. } | Stage::Dropped => None,
        }
    }

    /// Tells the plan of a job's run that the job has ended.
    pub(super) fn tell_end(&mut self, id: JobId, conclusion: Conclusion) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (run, outputs) = (job.run, job.outputs.clone());
        if let Some(index) = self.index_of(run, id)
            && let Some(plan) = self.plan_of(run)
        {
            plan.ended(index, conclusion.into(), outputs.into_iter().collect());
            self.follow(run);
        }
    }

    fn index_of(&self, run: RunId, job: JobId) -> Option<JobIndex> {
        let course = self.runs.get(&run)?.course.as_ref()?;
        course.jobs.iter().find(|(_, id)| **id == job).map(|(index, _)| *index)
    }

    /// Does what the plan of a run has decided.
    pub(super) fn follow(&mut self, run: RunId) {
        loop {
            let decisions = self.plan_of(run).map(Plan::decisions).unwrap_or_default();
            if decisions.is_empty() {
                break;
            }
            decisions.into_iter().for_each(|decision| self.act(run, decision));
        }
        if self.plan_of(run).is_some_and(|plan| plan.is_over()) {
            self.release(&Member::Run(run));
        }
    }

    fn act(&mut self, run: RunId, decision: Decision) {
        match decision {
            Decision::Block { job, key, name, .. } => drop(self.planned_job(run, job, &key, &name)),
            Decision::Acquire { job, group } => self.acquire(Member::Job(run, job), &group),
            Decision::Release { job } => self.release(&Member::Job(run, job)),
            Decision::Queue { job, ready } => self.ready_job(run, job, *ready),
            Decision::End { job, key, name, outcome, why } => {
                let id = self.planned_job(run, job, &key, &name);
                if let (Some(id), Some(why)) = (id, why)
                    && let Some(job) = self.jobs.get_mut(&id)
                {
                    job.annotations.push(serde_json::json!({"level": "FAILURE", "message": why}));
                    job.log.upload_whole(&format!("##[error]{why}\n"), false);
                    job.log.end_whole();
                }
                if let Some(id) = id {
                    self.close_job(id, outcome.into());
                }
            }
            Decision::Cancel { job } => {
                if let Some(id) = self.job_of(run, job) {
                    self.cancel_job(id);
                }
            }
            Decision::Replace { job } => {
                if let Some(id) = self.job_of(run, job) {
                    self.jobs.remove(&id);
                    if let Some(run) = self.runs.get_mut(&run) {
                        run.jobs.retain(|job| *job != id);
                    }
                }
            }
        }
    }

    fn job_of(&self, run: RunId, index: JobIndex) -> Option<JobId> {
        self.runs.get(&run)?.course.as_ref()?.jobs.get(&index).copied()
    }

    /// Returns a job of the plan, and makes it if needed.
    fn planned_job(&mut self, run: RunId, index: JobIndex, key: &str, name: &str) -> Option<JobId> {
        if let Some(id) = self.job_of(run, index)
            && let Some(job) = self.jobs.get_mut(&id)
        {
            name.clone_into(&mut job.name);
            return Some(id);
        }
        let attempt = self.runs.get(&run)?.attempt;
        let id = self.new_job(NewJob {
            run,
            attempt,
            key: key.to_owned(),
            name: name.to_owned(),
            runs_on: RunsOn { labels: Vec::new(), group: None },
            definition: Arc::new(Definition::Blocked),
            timeout_minutes: DEFAULT_TIMEOUT_MINUTES,
            state: JobState::Blocked,
        });
        let run = self.runs.get_mut(&run)?;
        run.jobs.push(id);
        run.course.as_mut()?.jobs.insert(index, id);
        Some(id)
    }

    fn ready_job(&mut self, run: RunId, index: JobIndex, ready: Ready) {
        let (key, name) = (ready.key.clone(), ready.name.clone());
        let Some(id) = self.planned_job(run, index, &key, &name) else { return };
        let Some(course) = self.runs.get(&run).and_then(|run| run.course.as_ref()) else { return };
        let needs_files = uses_files_before_checkout(&ready.steps);
        let (executor, put_files) = (course.executor, course.put_files.clone().filter(|_| needs_files));
        if let Some(job) = self.jobs.get_mut(&id) {
            job.runs_on = ready.runs_on.clone();
            job.timeout_minutes = ready.timeout_minutes;
            job.definition = Arc::new(Definition::Workflow { ready: Box::new(ready), executor, put_files });
        }
        self.queue_job(id);
    }

    /// Cancels all jobs of a run. Those that always run are still run.
    pub(super) fn cancel_run(&mut self, run: RunId) {
        if let Some(course) = self.runs.get_mut(&run).and_then(|run| run.course.as_mut())
            && course.is_waiting()
        {
            course.stage = Stage::Dropped;
            self.note_change();
        }
        if let Some(plan) = self.plan_of(run) {
            plan.cancel();
            self.follow(run);
        }
    }

    /// Cancels one job for the sake of its concurrency group.
    pub(super) fn cancel_planned(&mut self, run: RunId, index: JobIndex) {
        if let Some(plan) = self.plan_of(run) {
            plan.cancel_job(index);
            self.follow(run);
        }
    }
}
