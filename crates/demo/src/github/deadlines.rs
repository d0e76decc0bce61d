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
                _ => {
                    if let Some(job) = self.jobs.get_mut(&job) {
                        job.timed_out = true;
                    }
                    self.cancel_job(job);
                }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use ecsrunner_core::id::{RunId, RunnerId};
    use ecsrunner_workflow::run::RunsOn;
    use jiff::Timestamp;
    use serde_json::{Value, json};
    use tokio::sync::mpsc;

    use super::*;
    use crate::github::Options;
    use crate::github::job::{Definition, NewJob, Taker};
    use crate::github::lifecycle::Completion;
    use crate::protocol::Conclusion;

    /// Returns the annotations of a job that ends after `passed`, with one of its runner.
    fn annotations(timeout_minutes: u32, passed: Duration) -> Vec<Value> {
        let (outgoing, _queue) = mpsc::unbounded_channel();
        let shared = Shared::new(Options::default(), "http://127.0.0.1:1".to_owned(), outgoing);
        let mut state = shared.state();
        let since = Instant::now();
        let session = SessionId("one".to_owned());
        let taker = Taker { id: RunnerId::new(1), name: "one".to_owned(), group: 1, session };
        let started_at = Timestamp::now();
        let job = state.new_job(NewJob {
            run: RunId::new(1),
            attempt: 1,
            key: "a".to_owned(),
            name: "a".to_owned(),
            runs_on: RunsOn { labels: Vec::new(), group: None },
            definition: Arc::new(Definition::Blocked),
            timeout_minutes,
            state: JobState::InProgress { taker, since, started_at, cancelled: false },
        });
        state.expire(since + passed);
        state.finish_job(
            job,
            Completion {
                conclusion: Conclusion::Cancelled,
                steps: Vec::new(),
                outputs: BTreeMap::new(),
                annotations: vec![json!({"level": "WARNING", "message": "of the runner"})],
            },
        );
        state.jobs[&job].annotations.clone()
    }

    #[test]
    fn a_job_that_takes_too_long_says_so_behind_the_annotations_of_its_runner() {
        let of_runner = json!({"level": "WARNING", "message": "of the runner"});
        let secs = Duration::from_secs;
        assert_eq!(annotations(1, secs(59)), std::slice::from_ref(&of_runner));
        for (minutes, limit) in [(1, "1m0s"), (90, "1h30m0s"), (360, "6h0m0s")] {
            let message = format!("The job has exceeded the maximum execution time of {limit}");
            let expected = [of_runner.clone(), json!({"level": "FAILURE", "message": message})];
            assert_eq!(annotations(minutes, secs(60 * u64::from(minutes))), expected);
        }
    }
}
