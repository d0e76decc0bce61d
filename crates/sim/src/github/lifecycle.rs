//! What happens to a job from its submission to its end.

use std::time::Instant;

use ecsrunner_core::id::{JobId, RunId, RunnerId};
use jiff::Timestamp;

use crate::protocol::{Completion, Conclusion, JobSpec, Message, RepositoryFacts};

use super::job::{Job, JobState, Run};
use super::state::{SessionId, State};

/// What came of deleting a registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deletion {
    Done,
    Absent,
    Busy,
}

impl State {
    /// Takes a run with its jobs and queues those that need no other.
    pub(super) fn add_run(&mut self, run: Run, jobs: Vec<Job>) {
        let (id, ids): (RunId, Vec<JobId>) = (run.id, jobs.iter().map(|job| job.id).collect());
        self.runs.insert(id, run);
        for job in jobs {
            self.jobs.insert(job.id, job);
        }
        for job in ids {
            match self.jobs.get(&job).map(|job| (&job.state, job.needs.is_empty())) {
                Some((JobState::Waiting, _)) => self.emit_job(job, "waiting"),
                Some((_, true)) => self.queue_job(job),
                _ => {}
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

    /// Runs a job that has ended again, as a new job of the same run; `None` if it has not ended.
    pub(super) fn rerun_job(&mut self, id: JobId) -> Option<JobId> {
        let now = Timestamp::now();
        let ended = self.jobs.get(&id).filter(|job| job.state.conclusion().is_some())?;
        let again = Job {
            id,
            run: ended.run,
            key: ended.key.clone(),
            name: ended.name.clone(),
            needs: ended.needs.clone(),
            runs_on: ended.runs_on.clone(),
            work: ended.work.clone(),
            timeout_minutes: ended.timeout_minutes,
            state: JobState::Blocked,
            created_at: now,
            timeline: vec![(now, JobState::Blocked.name())],
            starts: 0,
            log: String::new(),
            steps: Vec::new(),
        };
        let again = Job { id: self.next_job_id(), ..again };
        let (new, run) = (again.id, again.run);
        self.jobs.insert(new, again);
        let run = self.runs.get_mut(&run)?;
        run.jobs.retain(|job| *job != id);
        run.jobs.push(new);
        self.queue_job(new);
        Some(new)
    }

    /// Queues a job again that no runner has begun. GitHub sends no webhook for it.
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

    /// A listener begins the job that it was told of; `None` if the job is not its own any more.
    pub(super) fn start_job(&mut self, id: JobId, session: &SessionId) -> Option<JobSpec> {
        let now = Timestamp::now();
        let job = self.jobs.get_mut(&id)?;
        let taker = match &job.state {
            JobState::Assigned { taker, .. } if taker.session == *session => taker.clone(),
            // The answer to the first call was lost.
            JobState::InProgress { taker, .. } if taker.session == *session => return self.job_spec(id),
            _ => return None,
        };
        job.starts += 1;
        job.enter(
            JobState::InProgress { taker, since: Instant::now(), started_at: now, cancelled: false },
            now,
        );
        self.touch_run(id, now);
        self.deadline_set.notify_one();
        self.emit_job(id, "in_progress");
        self.job_spec(id)
    }

    fn job_spec(&self, id: JobId) -> Option<JobSpec> {
        let job = self.jobs.get(&id)?;
        let run = self.run_of(job)?;
        let facts = |name| {
            self.repositories.get(name).map(|record| RepositoryFacts {
                id: record.id,
                full_name: record.name.clone(),
                private: record.private,
                fork: record.fork,
            })
        };
        Some(JobSpec {
            job: id,
            run: run.id,
            run_attempt: 1,
            run_number: run.number,
            key: job.key.clone(),
            name: job.name.clone(),
            workflow: run.workflow.clone(),
            file: run.file.clone(),
            event: run.event.clone(),
            repository: facts(&run.repository)?,
            head_repository: facts(&run.head_repository)?,
            head_branch: run.head_branch.clone(),
            head_sha: run.head_sha.clone(),
            labels: job.runs_on.labels.clone(),
            work: job.work.clone(),
        })
    }

    /// The listener that began the job reports its end. False if it is not its own any more.
    pub(super) fn finish_job(&mut self, id: JobId, session: &SessionId, completion: Completion) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let runner = match &job.state {
            JobState::InProgress { taker, .. } if taker.session == *session => taker.id,
            _ => return false,
        };
        job.steps = completion.steps;
        // The registration goes first: whoever hears of the end finds the runner gone.
        self.sessions.remove(session);
        self.registrations.remove(&runner);
        self.complete_job(id, completion.conclusion);
        true
    }

    /// Ends a job, whatever state it is in, and decides on those that need it.
    pub(super) fn complete_job(&mut self, id: JobId, conclusion: Conclusion) {
        let now = Timestamp::now();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let started_at = job.state.started_at();
        let taker = job.state.shown_taker().cloned();
        job.enter(JobState::Completed { taker, conclusion, started_at, completed_at: now }, now);
        let run = job.run;
        self.queue.remove(&id);
        self.touch_run(id, now);
        self.emit_job(id, "completed");
        self.decide_blocked(run);
    }

    /// Queues the blocked jobs whose needs succeeded and skips those whose needs did not.
    fn decide_blocked(&mut self, run: RunId) {
        let Some(ids) = self.runs.get(&run).map(|run| run.jobs.clone()) else { return };
        for id in &ids {
            let Some(job) = self.jobs.get(id) else { continue };
            if !matches!(job.state, JobState::Blocked) {
                continue;
            }
            let needed: Vec<Option<Conclusion>> = ids
                .iter()
                .filter_map(|other| self.jobs.get(other))
                .filter(|other| job.needs.contains(&other.key))
                .map(|other| other.state.conclusion())
                .collect();
            if needed.iter().all(|conclusion| *conclusion == Some(Conclusion::Success)) {
                self.queue_job(*id);
            } else if needed.iter().all(Option::is_some) {
                // Skipping one decides on those that need it in turn.
                self.complete_job(*id, Conclusion::Skipped);
            }
        }
    }

    /// Cancels a job. One that is in progress ends when its runner says so.
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

    /// A session's listener is gone for good: its assigned job is queued again,
    /// one in progress fails. The registration stays, as at GitHub.
    pub(super) fn lose_session(&mut self, session: &SessionId) {
        let Some(lost) = self.sessions.remove(session) else { return };
        lost.wake.notify_one();
        self.note_change();
        let Some(id) = lost.job else { return };
        match self.jobs.get_mut(&id) {
            Some(job) if matches!(job.state, JobState::InProgress { .. }) => {
                job.log.push_str("The runner has lost communication with the server.\n");
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

    fn touch_run(&mut self, job: JobId, now: Timestamp) {
        if let Some(job) = self.jobs.get(&job)
            && let Some(run) = self.runs.get_mut(&job.run)
        {
            run.updated_at = now;
        }
        self.note_change();
    }
}
