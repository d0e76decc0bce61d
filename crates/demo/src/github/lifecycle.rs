//! State changes of a job from its submission to its end.

use std::collections::BTreeMap;
use std::time::Instant;

use ecsrunner_core::id::{JobId, RunId, RunnerId};
use ecsrunner_workflow::run::JobIndex;
use jiff::Timestamp;

use crate::protocol::Conclusion;

use super::job::{Job, JobState, NewJob, Run, StepReport};
use super::state::{Message, SessionId, State};

/// A job's end, as its runner reports it.
#[derive(Debug)]
pub(super) struct Completion {
    pub conclusion: Conclusion,
    pub steps: Vec<StepReport>,
    pub outputs: BTreeMap<String, String>,
    pub annotations: Vec<serde_json::Value>,
}

/// The result of deleting a registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deletion {
    Done,
    Absent,
    Busy,
}

/// The log that GitHub shows for a job whose runner is gone.
const LOST: &str = "The runner has lost communication with the server.\n";

/// Returns GitHub's message for a job that took longer than its `timeout-minutes`.
fn timeout_message(minutes: u32) -> String {
    let limit = match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}m0s"),
        (hours, minutes) => format!("{hours}h{minutes}m0s"),
    };
    format!("The job has exceeded the maximum execution time of {limit}")
}

impl State {
    /// Adds a run with synthetic jobs, and queues those that wait for nothing.
    pub(super) fn add_run(&mut self, run: Run) {
        let jobs = run.jobs.clone();
        self.runs.insert(run.id, run);
        for job in jobs {
            match self.jobs.get(&job).map(|job| &job.state) {
                Some(JobState::Waiting) => self.emit_job(job, "waiting"),
                _ => self.queue_job(job),
            }
        }
    }

    /// Queues a job for the first time.
    pub(super) fn queue_job(&mut self, id: JobId) {
        let now = Timestamp::now();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.created_at = now;
        job.enter(JobState::Queued, now);
        self.queue.insert(id);
        self.touch_run(id, now);
        self.emit_job(id, "queued");
    }

    /// Reruns a job, and the jobs that need it, as new jobs of the run's next attempt. Returns `None` unless the run has
    /// ended.
    pub(super) fn rerun_job(&mut self, id: JobId) -> Option<JobId> {
        let run_id = self.jobs.get(&id)?.run;
        let run = self.runs.get(&run_id)?;
        if self.run_status(run).0 != "completed" {
            return None;
        }
        // An id of an earlier attempt means the job of that name.
        let name = &self.jobs.get(&id)?.name;
        let latest =
            run.jobs.iter().copied().find(|job| self.jobs.get(job).is_some_and(|job| job.name == *name))?;
        let index = run.course.as_ref().map(|course| course.jobs.iter().find(|(_, job)| **job == latest));
        let index = index.map(|found| found.map(|(index, _)| *index));
        self.runs.get_mut(&run_id)?.attempt += 1;
        match index {
            None => self.rerun_synthetic(run_id, latest),
            Some(index) => self.rerun_planned(run_id, index?),
        }
    }

    fn rerun_synthetic(&mut self, run: RunId, old: JobId) -> Option<JobId> {
        let new = self.copy_for(old, self.runs.get(&run)?.attempt)?;
        let run = self.runs.get_mut(&run)?;
        run.jobs.iter_mut().filter(|job| **job == old).for_each(|job| *job = new);
        self.queue_job(new);
        Some(new)
    }

    fn rerun_planned(&mut self, run: RunId, index: JobIndex) -> Option<JobId> {
        let replaced = self.plan_of(run)?.rerun(index);
        let first = replaced.first()?.by?;
        let course = self.runs.get(&run)?.course.as_ref()?;
        let gone: Vec<JobId> =
            replaced.iter().filter_map(|replaced| course.jobs.get(&replaced.job).copied()).collect();
        self.runs.get_mut(&run)?.jobs.retain(|job| !gone.contains(job));
        self.follow(run);
        self.runs.get(&run)?.course.as_ref()?.jobs.get(&first).copied()
    }

    fn copy_for(&mut self, id: JobId, attempt: u32) -> Option<JobId> {
        let ended = self.jobs.get(&id)?;
        let again = NewJob {
            run: ended.run,
            attempt,
            key: ended.key.clone(),
            name: ended.name.clone(),
            runs_on: ended.runs_on.clone(),
            definition: ended.definition.clone(),
            timeout_minutes: ended.timeout_minutes,
            state: JobState::Blocked,
        };
        Some(self.new_job(again))
    }

    /// Adds a new job, and returns its id.
    pub(super) fn new_job(&mut self, new: NewJob) -> JobId {
        let id = self.next_job_id();
        let guids = (self.random.guid(), self.random.guid());
        self.jobs.insert(id, Job::new(id, guids, new));
        id
    }

    /// Queues a job again that no runner has started. GitHub sends no webhook for it.
    pub(super) fn requeue_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let JobState::Assigned { taker, .. } = &job.state else { return };
        let session = taker.session.clone();
        job.enter(JobState::Queued, Timestamp::now());
        self.queue.insert(id);
        if let Some(session) = self.sessions.get_mut(&session) {
            session.job = None;
            session.messages.retain(|message| *message != Message::Job(id));
        }
        self.note_change();
    }

    /// Starts the job that a listener was offered. Returns false if it is no longer assigned to it.
    pub(super) fn start_job(&mut self, id: JobId, session: &SessionId) -> bool {
        let now = Timestamp::now();
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let taker = match &job.state {
            JobState::Assigned { taker, .. } if taker.session == *session => taker.clone(),
            _ => return false,
        };
        job.starts += 1;
        job.enter(
            JobState::InProgress { taker, since: Instant::now(), started_at: now, cancelled: false },
            now,
        );
        self.touch_run(id, now);
        self.deadline_set.notify_one();
        self.emit_job(id, "in_progress");
        true
    }

    /// Ends a job with the report of its runner.
    pub(super) fn finish_job(&mut self, id: JobId, completion: Completion) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let JobState::InProgress { taker, .. } = &job.state else { return };
        let taker = taker.clone();
        // A listener that reports for a crashed worker knows no steps.
        if !completion.steps.is_empty() {
            job.steps = completion.steps;
        }
        job.outputs = completion.outputs;
        job.annotations = completion.annotations;
        // Removed first, so that the runner is gone when the end is visible. The listener gets
        // this as the answer to its next poll, not to the open one.
        self.registrations.remove(&taker.id);
        let ends_poll = self.faults.completion_ends_poll;
        if let Some(session) = self.sessions.get_mut(&taker.session) {
            session.job = None;
            session.poll_ends = ends_poll;
            if ends_poll {
                session.wake.notify_one();
            }
        }
        self.complete_job(id, completion.conclusion);
    }

    /// Ends a job in any state, and does what follows for the jobs that need it.
    pub(super) fn complete_job(&mut self, id: JobId, conclusion: Conclusion) {
        self.close_job(id, conclusion);
        self.tell_end(id, conclusion);
    }

    /// Ends a job in any state.
    pub(super) fn close_job(&mut self, id: JobId, conclusion: Conclusion) {
        let now = Timestamp::now();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.timed_out {
            // Behind the annotations of the runner's report.
            let message = timeout_message(job.timeout_minutes);
            job.annotations.push(serde_json::json!({"level": "FAILURE", "message": message}));
        }
        let started_at = job.state.started_at();
        let taker = job.state.shown_taker().cloned();
        job.enter(JobState::Completed { taker, conclusion, started_at, completed_at: now }, now);
        self.queue.remove(&id);
        self.touch_run(id, now);
        self.emit_job(id, "completed");
    }

    /// Cancels a job. A job in progress ends when its runner reports the end.
    pub(super) fn cancel_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match &mut job.state {
            JobState::Completed { .. } => {}
            JobState::InProgress { taker, cancelled, .. } => {
                *cancelled = true;
                if let Some(session) = self.sessions.get_mut(&taker.session) {
                    session.messages.push_back(Message::Cancel(id));
                    session.wake.notify_one();
                }
            }
            JobState::Blocked | JobState::Waiting | JobState::Queued | JobState::Assigned { .. } => {
                self.requeue_job(id);
                self.complete_job(id, Conclusion::Cancelled);
            }
        }
    }

    /// Ends the session of a listener that is gone. An assigned job is queued again,
    /// and a job in progress fails. The registration stays, as at GitHub.
    pub(super) fn lose_session(&mut self, session: &SessionId) {
        let Some(lost) = self.sessions.remove(session) else { return };
        lost.wake.notify_one();
        self.note_change();
        let Some(id) = lost.job else { return };
        match self.jobs.get_mut(&id) {
            Some(job) if matches!(job.state, JobState::InProgress { .. }) => {
                job.log.upload_step("", LOST);
                self.complete_job(id, Conclusion::Failure);
            }
            Some(_) => self.requeue_job(id),
            None => {}
        }
    }

    /// Deletes a registration unless its runner executes a job.
    pub(super) fn delete_registration(&mut self, id: RunnerId) -> Deletion {
        if !self.registrations.contains_key(&id) {
            return Deletion::Absent;
        }
        if self.is_busy(id) {
            return Deletion::Busy;
        }
        self.registrations.remove(&id);
        if let Some((session, open)) = self.session_of(id)
            && !(open.job.is_some() && self.faults.deletion_leaves_assigned_job)
        {
            let session = session.clone();
            self.lose_session(&session);
        }
        Deletion::Done
    }

    /// Deletes a registration, even of a busy runner. The runner learns this at its next poll.
    pub(super) fn forget_registration(&mut self, id: RunnerId) -> bool {
        if self.registrations.remove(&id).is_none() {
            return false;
        }
        for session in self.sessions.values_mut().filter(|session| session.runner == id) {
            session.deregistered = true;
            session.wake.notify_one();
        }
        self.note_change();
        true
    }

    fn touch_run(&mut self, job: JobId, now: Timestamp) {
        if let Some(job) = self.jobs.get(&job)
            && let Some(run) = self.runs.get_mut(&job.run)
        {
            run.updated_at = now;
        }
        self.note_change();
    }
}
