//! The stored form of reruns. Times are stored exactly, to the nanosecond, as those
//! of holds are.

use std::sync::Arc;

use ecsrunner_core::id::{ClassName, JobId, Repository, RunId, RunnerName};
use ecsrunner_core::records::rerun::{Loss, Outcome, Rerun, RerunId, RerunKey, RerunRecord, RerunState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoredReason;
use crate::store::item::{Item, OPEN, key};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::store) enum StoredRerun {
    Loss(StoredLoss),
    Outcome(StoredOutcome),
    Rerun(StoredIntent),
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredLoss {
    runner: RunnerName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    cause: StoredReason,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StoredId {
    repository: Repository,
    run: RunId,
    name: Arc<str>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredOutcome {
    id: StoredId,
    job: JobId,
    attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<ClassName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runner: Option<RunnerName>,
    failed: bool,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredIntent {
    id: StoredId,
    job: JobId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<ClassName>,
    latest: u32,
    /// Left out by the release before, which knew of the latest attempt alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<u32>,
    times: u32,
    cause: StoredReason,
    state: StoredState,
    /// Whether nothing more is done. The release before reads `made` alone.
    #[serde(default, skip_serializing_if = "super::runner::is_false")]
    over: bool,
    checks: u32,
    /// Left out by the release before, which counted them as checks.
    #[serde(default)]
    refusals: u32,
    not_before: Timestamp,
    since: Timestamp,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredState {
    Wanted,
    Called,
    Made,
    Spent,
}

impl StoredId {
    fn of(id: &RerunId) -> Self {
        Self { repository: id.repository.clone(), run: id.run, name: Arc::clone(&id.name) }
    }

    fn read(self) -> RerunId {
        RerunId { repository: self.repository, run: self.run, name: self.name }
    }
}

impl StoredState {
    fn of(state: RerunState) -> Self {
        match state {
            RerunState::Wanted => Self::Wanted,
            RerunState::Called => Self::Called,
            RerunState::Made | RerunState::Over => Self::Made,
            RerunState::Spent => Self::Spent,
        }
    }

    fn read(self) -> RerunState {
        match self {
            Self::Wanted => RerunState::Wanted,
            Self::Called => RerunState::Called,
            Self::Made => RerunState::Made,
            Self::Spent => RerunState::Spent,
        }
    }
}

impl StoredRerun {
    pub(in crate::store) fn of(record: &RerunRecord) -> Self {
        match record {
            RerunRecord::Loss(loss) => Self::Loss(StoredLoss {
                runner: loss.runner.clone(),
                job: loss.job,
                cause: StoredReason::from(&loss.cause),
                at: loss.at,
            }),
            RerunRecord::Outcome(outcome) => Self::Outcome(StoredOutcome {
                id: StoredId::of(&outcome.id),
                job: outcome.job,
                attempt: outcome.attempt,
                class: outcome.class.clone(),
                runner: outcome.runner.clone(),
                failed: outcome.failed,
                at: outcome.at,
            }),
            RerunRecord::Rerun(rerun) => Self::Rerun(StoredIntent {
                id: StoredId::of(&rerun.id),
                job: rerun.job,
                class: rerun.class.clone(),
                latest: rerun.latest,
                made: (rerun.made > 0).then_some(rerun.made),
                times: rerun.times,
                cause: StoredReason::from(&rerun.cause),
                state: StoredState::of(rerun.state),
                over: rerun.state == RerunState::Over,
                checks: rerun.checks,
                refusals: rerun.refusals,
                not_before: rerun.not_before,
                since: rerun.since,
            }),
        }
    }

    pub(in crate::store) fn read(self) -> RerunRecord {
        match self {
            Self::Loss(StoredLoss { runner, job, cause, at }) => {
                RerunRecord::Loss(Loss { runner, job, cause: cause.read(), at })
            }
            Self::Outcome(StoredOutcome { id, job, attempt, class, runner, failed, at }) => {
                RerunRecord::Outcome(Outcome { id: id.read(), job, attempt, class, runner, failed, at })
            }
            Self::Rerun(intent) => {
                let state = if intent.over { RerunState::Over } else { intent.state.read() };
                let made_before = if state == RerunState::Made { intent.latest } else { 0 };
                RerunRecord::Rerun(Rerun {
                    id: intent.id.read(),
                    job: intent.job,
                    class: intent.class,
                    latest: intent.latest,
                    made: intent.made.unwrap_or(made_before),
                    times: intent.times,
                    cause: intent.cause.read(),
                    state,
                    checks: intent.checks,
                    refusals: intent.refusals,
                    not_before: intent.not_before,
                    since: intent.since,
                })
            }
        }
    }
}

/// The key of a rerun's item. It is the same for every spelling of a repository.
pub(in crate::store) fn rerun_key(rerun: &RerunKey) -> Item {
    key(OPEN, sort_key(rerun))
}

fn sort_key(rerun: &RerunKey) -> String {
    match rerun {
        RerunKey::Loss(runner) => format!("rerun#loss#{runner}"),
        RerunKey::Outcome(job) => format!("rerun#outcome#{job}"),
        RerunKey::Rerun(RerunId { repository, run, name }) => {
            format!("rerun#job#{}#{run}#{name}", repository.as_str().to_ascii_lowercase())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_of_a_reruns_key_never_changes() {
        let runner = RunnerName::parse("ecsr-ci-abcdefg234-01arz3ndektsv4rrffq69g5fav").unwrap();
        let repository = Repository::parse("Acme/App").unwrap();
        let id = RerunId { repository, run: RunId::new(17), name: "build (ubuntu)".into() };
        for (key, stored) in [
            (RerunKey::Loss(runner), "rerun#loss#ecsr-ci-abcdefg234-01arz3ndektsv4rrffq69g5fav"),
            (RerunKey::Outcome(JobId::new(7)), "rerun#outcome#7"),
            (RerunKey::Rerun(id), "rerun#job#acme/app#17#build (ubuntu)"),
        ] {
            assert_eq!(sort_key(&key), stored);
        }
    }
}
