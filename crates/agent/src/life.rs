//! What the agent's exit record will say: when it did what, for which runner, with which version of GitHub's runner.

use ecsrunner_core::id::RunnerName;
use ecsrunner_core::rules::image::RunnerVersion;
use ecsrunner_core::wire::exit_record::{AgentTimes, ExitRecord};
use ecsrunner_core::wire::peaks::Peaks;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ending::{Ending, reason};

/// Printed by the official runner 2.336 when it has reached GitHub, before it has a session.
const CONNECTED: &str = "√ Connected to GitHub";
/// Printed by the official runner 2.336 once it has a session.
const VERSION: &str = "Current runner version: ";

/// An agent's life so far. It outlives the agent's second `execve`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Life {
    times: AgentTimes,
    runner: Option<RunnerName>,
    runner_version: Option<RunnerVersion>,
    /// What the job used, once it has ended.
    #[serde(skip)]
    peaks: Option<Peaks>,
}

/// A step of an agent's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    ListenerStarted,
    SessionMade,
    JobAcquired,
    JobEnded,
}

impl Life {
    pub(crate) fn begin() -> Self {
        let times = AgentTimes { started: Some(now()), ..AgentTimes::default() };
        Self { times, runner: None, runner_version: None, peaks: None }
    }

    pub(crate) fn took_boot_item(&mut self, runner: &RunnerName) {
        self.times.boot_item_taken = Some(now());
        self.runner = Some(runner.clone());
    }

    /// The runner, once its boot item is taken.
    pub(crate) fn runner(&self) -> Option<&RunnerName> {
        self.runner.as_ref()
    }

    /// Notes a step. The first time counts: a listener may be started again.
    pub(crate) fn reached(&mut self, step: Step) {
        let time = match step {
            Step::ListenerStarted => &mut self.times.listener_started,
            Step::SessionMade => &mut self.times.session_made,
            Step::JobAcquired => &mut self.times.job_acquired,
            Step::JobEnded => &mut self.times.job_ended,
        };
        time.get_or_insert_with(now);
    }

    /// Reads a line of the listener from before its job.
    pub(crate) fn hear(&mut self, line: &str) {
        if line.starts_with(CONNECTED) {
            self.times.connected.get_or_insert_with(now);
        } else if let Some(version) = line.strip_prefix(VERSION) {
            let version = version.trim().trim_matches('\'');
            self.runner_version = RunnerVersion::parse(version).ok().or(self.runner_version);
        }
    }

    /// Returns the record of its end.
    pub(crate) fn record(&self, ending: &Ending) -> ExitRecord {
        let how = (ending.exit, reason(ending.exit), ending.detail.as_str());
        ExitRecord::new(now(), how, self.runner.clone(), self.runner_version, self.times.clone())
            .with_peaks(self.peaks)
    }

    /// Notes what the job used. The first measurement counts: it was made when the job ended.
    pub(crate) fn used(&mut self, peaks: Option<Peaks>) {
        self.peaks = self.peaks.or(peaks);
    }

    /// The steps so far.
    pub(crate) fn times(&self) -> &AgentTimes {
        &self.times
    }
}

/// The time in whole milliseconds, as control planes keep it.
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_before_the_job_tell_the_connection_and_the_version() {
        let mut life = Life::begin();
        for line in ["Current runner version: 'next'", "[RUNNER √ Connected to GitHub]", ""] {
            life.hear(line);
        }
        assert_eq!((life.times.connected, life.runner_version), (None, None));
        life.hear("√ Connected to GitHub\n");
        life.hear("Current runner version: '2.336.0'\r\n");
        assert_eq!(life.runner_version, RunnerVersion::parse("2.336.0").ok());
        let first = life.times.connected;
        assert!(first.is_some());
        life.hear("√ Connected to GitHub\n");
        assert_eq!(life.times.connected, first);
    }
}
