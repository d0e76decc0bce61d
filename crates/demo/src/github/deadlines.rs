//! Effects of deadlines that pass.

use std::time::{Duration, Instant};

use ecsrunner_core::id::JobId;

use super::job::JobState;
use super::state::{SessionId, Shared, State};

/// Handles all deadlines for as long as it is polled.
pub(super) async fn watch(shared: &Shared) {
    loop {
        let next = shared.state().expire(Instant::now());
        match next {
            Some(at) => tokio::select! {
                () = tokio::time::sleep_until(at.into()) => {}
                () = shared.deadline_set.notified() => {}
            },
            None => shared.deadline_set.notified().await,
        }
    }
}

impl State {
    /// Handles passed deadlines, and returns the next one.
    fn expire(&mut self, now: Instant) -> Option<Instant> {
        let lost: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| !self.is_online(session, now))
            .map(|(id, _)| id.clone())
            .collect();
        for session in lost {
            self.lose_session(&session);
        }
        for job in self.due_jobs(now) {
            match self.jobs.get(&job).map(|job| &job.state) {
                Some(JobState::Assigned { taker, .. }) => {
                    if let Some(session) = self.sessions.get_mut(&taker.session) {
                        session.silent = true;
                    }
                    self.requeue_job(job);
                }
                _ => self.cancel_job(job),
            }
        }
        self.assign();
        self.next_deadline()
    }

    fn due_jobs(&self, now: Instant) -> Vec<JobId> {
        self.jobs
            .values()
            .filter(|job| self.job_deadline(&job.state, job.timeout_minutes).is_some_and(|at| at <= now))
            .map(|job| job.id)
            .collect()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let sessions = self
            .sessions
            .values()
            .filter(|session| session.polls == 0)
            .map(|session| session.last_seen + self.limit_of(session));
        let jobs = self.jobs.values().filter_map(|job| self.job_deadline(&job.state, job.timeout_minutes));
        sessions.chain(jobs).min()
    }

    fn job_deadline(&self, state: &JobState, timeout_minutes: u32) -> Option<Instant> {
        match state {
            JobState::Assigned { since, .. } => Some(*since + self.start_limit),
            JobState::InProgress { since, cancelled: false, .. } => {
                Some(*since + Duration::from_secs(60 * u64::from(timeout_minutes)))
            }
            _ => None,
        }
    }
}
