//! Assigns queued jobs to idle runners.

use std::time::Instant;

use ecsrunner_core::id::{JobId, RunnerId};
use ecsrunner_core::rules::pool::Scope;

use super::job::{Job, JobState, Taker};
use super::state::{Message, Registration, SessionId, State};

impl State {
    /// Assigns queued jobs, the oldest first, to idle connected runners that fit.
    /// Must be called after each change that adds a job or a runner.
    pub(super) fn assign(&mut self) {
        if self.faults.assignment_paused || self.queue.is_empty() {
            return;
        }
        let mut idle = self.idle_runners();
        let queued: Vec<JobId> = self.queue.iter().copied().collect();
        for job in queued {
            if idle.is_empty() {
                return;
            }
            let fitting: Vec<usize> = (0..idle.len()).filter(|&at| self.fits(job, idle[at].0)).collect();
            if fitting.is_empty() {
                continue;
            }
            let choice = if self.faults.steal { self.random.below(fitting.len()) } else { 0 };
            let (runner, session) = idle.remove(fitting[choice]);
            self.assign_to(job, runner, session);
        }
    }

    /// Returns idle connected runners in the order of registration.
    fn idle_runners(&self) -> Vec<(RunnerId, SessionId)> {
        let now = Instant::now();
        let mut idle: Vec<(RunnerId, SessionId)> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.job.is_none() && !session.silent && self.is_online(session, now))
            .filter(|(_, session)| self.registrations.contains_key(&session.runner))
            .map(|(id, session)| (session.runner, id.clone()))
            .collect();
        idle.sort();
        idle
    }

    fn fits(&self, job: JobId, runner: RunnerId) -> bool {
        let (Some(job), Some(registration)) = (self.jobs.get(&job), self.registrations.get(&runner)) else {
            return false;
        };
        self.in_scope(job, registration) && job.runs_on.labels.iter().all(|label| registration.offers(label))
    }

    fn in_scope(&self, job: &Job, registration: &Registration) -> bool {
        let Some(run) = self.run_of(job) else { return false };
        match &registration.scope {
            Scope::Repository(repository) => *repository == run.repository && job.runs_on.group.is_none(),
            Scope::Organization { organization, group } => {
                organization.as_str().eq_ignore_ascii_case(run.repository.owner())
                    && job.runs_on.group.as_ref().is_none_or(|wanted| {
                        self.runner_groups.get(&group.get()).is_some_and(|group| group.name == *wanted)
                    })
            }
        }
    }

    fn assign_to(&mut self, job: JobId, runner: RunnerId, session_id: SessionId) {
        let Some(registration) = self.registrations.get(&runner) else { return };
        let group = match &registration.scope {
            Scope::Repository(_) => 1,
            Scope::Organization { group, .. } => group.get(),
        };
        let taker = Taker { id: runner, name: registration.name.clone(), group, session: session_id.clone() };
        let (Some(session), Some(job)) = (self.sessions.get_mut(&session_id), self.jobs.get_mut(&job)) else {
            return;
        };
        self.queue.remove(&job.id);
        job.enter(JobState::Assigned { taker, since: Instant::now() }, jiff::Timestamp::now());
        session.job = Some(job.id);
        session.messages.push_back(Message::Job(job.id));
        session.wake.notify_one();
        self.deadline_set.notify_one();
        self.note_change();
    }
}

impl Registration {
    fn offers(&self, label: &str) -> bool {
        self.matching.contains(&label.to_ascii_lowercase())
    }
}
