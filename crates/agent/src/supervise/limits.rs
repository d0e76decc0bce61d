//! When a listener has had its time: the limits of its start, its hook, its job and its end, and the watch over its job.

use std::io::Write;
use std::time::Instant;

use super::Supervisor;
use crate::config::Limits;
use crate::ending::Cause;
use crate::listener::Listener;
use crate::phase::Phase;
use crate::processes;
use crate::watch::Watch;

impl<W: Write> Supervisor<'_, W> {
    /// The watch over a job that runs and is not being ended.
    pub(super) fn watching(&self) -> Option<&Watch> {
        match (&self.stop, &self.phase) {
            (None, Phase::Running { .. }) => self.watch.as_ref(),
            _ => None,
        }
    }

    /// Ends the listener if it no longer attends to its job.
    pub(super) fn look(&mut self, listener: &Listener) {
        let now = Instant::now();
        if self.watching().is_some_and(|watch| now >= watch.next_at())
            && let Some(watch) = &mut self.watch
            && watch.looked(now, processes::attends(listener.pid))
        {
            self.interrupt(listener, Cause::Unattended);
        }
    }

    /// The next deadline, and the cause if the listener is to be stopped then.
    pub(super) fn deadline(&self) -> (Instant, Option<Cause>) {
        let limits: &Limits = &self.config.limits;
        match (&self.stop, &self.phase) {
            (Some(stop), _) => (stop.deadline(), None),
            (None, Phase::Running { since }) if self.verdict.is_none() && limits.hook < limits.job => {
                (*since + limits.hook, Some(Cause::HookLimit))
            }
            (None, Phase::Running { since }) => (*since + limits.job, Some(Cause::JobLimit)),
            (None, Phase::Completed { since, .. }) => (*since + limits.exit, Some(Cause::ExitLimit)),
            (None, Phase::Starting | Phase::Listening) => self.start_deadline(),
        }
    }

    /// When a listener without a job is stopped. A restart does not extend this.
    pub(super) fn start_deadline(&self) -> (Instant, Option<Cause>) {
        let limits = &self.config.limits;
        match self.listening {
            Some(listening) => (listening + limits.idle, Some(Cause::IdleLimit)),
            None => (self.started + limits.connect, Some(Cause::ConnectLimit)),
        }
    }

    /// Acts if the deadline has passed. Returns whether a killed listener is given up.
    pub(super) fn on_time(&mut self, listener: &Listener) -> bool {
        let (deadline, cause) = self.deadline();
        if Instant::now() < deadline {
            return false;
        }
        match (cause, &self.stop) {
            // Without a worker the job has not begun, so the hook is not to blame.
            (Some(Cause::HookLimit), _) if !processes::has_child(listener.pid) => {
                self.interrupt(listener, Cause::NoWorker);
            }
            (Some(cause), _) => self.interrupt(listener, cause),
            (None, Some(stop)) if stop.is_killed() => return true,
            (None, _) => self.kill(listener),
        }
        false
    }
}
