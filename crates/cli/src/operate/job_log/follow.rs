//! `--follow`: shows a job's steps as they come, and waits for its log.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_engine::ports::Disposition;
use ecsrunner_github::Client;
use ecsrunner_github::logs::{JobLog, JobLogError, StorageError};
use ecsrunner_github::steps::JobSteps;

use crate::output::{clean, say};

/// The time between two looks while the job changes.
const SOON: Duration = Duration::from_secs(2);
/// The most time between two looks while nothing changes. GitHub counts each against the App's limit of calls, which is
/// 5000 an hour and belongs to the control plane first: these are 360.
const SELDOM: Duration = Duration::from_secs(10);
/// The most time to the next look after one that failed, unless GitHub asks for more.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// How many looks in a row may fail before the last fault is told. With the pauses between them these are six minutes.
const MAX_FAULTS: u32 = 10;
/// How often the log of a job that has just ended is asked for. GitHub needs some seconds to write it.
const MAX_ASKED: u32 = 10;

/// Prints the steps to stderr until the job has ended, and returns its log.
pub(super) async fn log_at_end(
    client: &Client,
    repository: &Repository,
    job: JobId,
) -> Result<JobLog, JobLogError> {
    let (mut told, mut pace) = (Told::default(), Pace::default());
    loop {
        let pause = match client.job_steps(repository, job).await {
            Ok(steps) => {
                let news = told.news(&steps);
                news.iter().for_each(|line| say(line));
                if steps.has_ended() {
                    break;
                }
                pace.after_look(!news.is_empty())
            }
            Err(fault) => passing(&mut pace, fault)?,
        };
        tokio::time::sleep(pause).await;
    }
    let mut asked = 0;
    loop {
        let pause = match client.job_log(repository, job).await {
            Err(JobLogError::Missing { .. } | JobLogError::NotEnded { .. }) if asked < MAX_ASKED => {
                asked += 1;
                pace.after_look(true)
            }
            Err(fault) => passing(&mut pace, fault)?,
            Ok(log) => return Ok(log),
        };
        tokio::time::sleep(pause).await;
    }
}

/// Returns the time to wait after a fault that may pass, and tells it. Returns any other fault.
fn passing(pace: &mut Pace, fault: JobLogError) -> Result<Duration, JobLogError> {
    let Some(pause) = pace.after_fault(&fault) else { return Err(fault) };
    let cause = fault.source().map_or_else(|| fault.to_string(), ToString::to_string);
    say(&format!("note: {cause}; the next try is in {} s", pause.as_secs()));
    Ok(pause)
}

/// How often GitHub is asked.
#[derive(Default)]
struct Pace {
    /// The looks in a row that showed nothing new.
    quiet: u32,
    /// The looks in a row that failed.
    faults: u32,
}

impl Pace {
    /// Returns the time to the next look.
    fn after_look(&mut self, has_news: bool) -> Duration {
        self.faults = 0;
        self.quiet = if has_news { 0 } else { self.quiet.saturating_add(1) };
        doubled(self.quiet).min(SELDOM)
    }

    /// Returns the time to the next look after a fault, or `None` if none is of use.
    fn after_fault(&mut self, fault: &JobLogError) -> Option<Duration> {
        let least = match fault {
            JobLogError::GitHub { source, .. } => match source.disposition() {
                Disposition::Retry { after } => after,
                Disposition::Permanent | Disposition::AlreadyDone => return None,
            },
            JobLogError::Storage { source: StorageError::Unreachable { .. }, .. } => None,
            JobLogError::Storage { source: StorageError::Status { status: 500.., .. }, .. } => None,
            _ => return None,
        };
        let pause = doubled(self.faults).min(MAX_PAUSE);
        self.faults += 1;
        (self.faults < MAX_FAULTS).then_some(pause.max(least.unwrap_or_default()))
    }
}

fn doubled(times: u32) -> Duration {
    SOON.saturating_mul(2_u32.saturating_pow(times))
}

/// The states that were printed.
#[derive(Default)]
struct Told {
    job: Option<String>,
    /// By the step's number.
    steps: BTreeMap<u64, String>,
}

impl Told {
    /// Returns a line for each state that is new. Steps that have not begun have none.
    fn news(&mut self, job: &JobSteps) -> Vec<String> {
        let state = |status: &str, conclusion: &Option<String>| {
            conclusion.clone().unwrap_or_else(|| status.to_owned()).replace('_', " ")
        };
        let mut news = Vec::new();
        for step in job.steps.iter().filter(|step| !matches!(step.status.as_str(), "queued" | "pending")) {
            let now = state(&step.status, &step.conclusion);
            if self.steps.insert(step.number, now.clone()).as_ref() != Some(&now) {
                news.push(format!("step {} {}: {now}", step.number, clean(&step.name)));
            }
        }
        let now = state(&job.status, &job.conclusion);
        if self.job.as_ref() != Some(&now) {
            news.push(format!("job: {now}"));
            self.job = Some(now);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_engine::ports::github::GitHubError;
    use ecsrunner_github::steps::JobStep;

    use super::*;

    fn fault(source: GitHubError) -> JobLogError {
        JobLogError::GitHub { job: JobId::new(7), source }
    }

    fn server_fault(status: u16) -> JobLogError {
        fault(GitHubError::Server { operation: "get-job of 7".to_owned(), status })
    }

    #[test]
    fn a_job_that_does_not_change_is_looked_at_less_often() {
        let mut pace = Pace::default();
        let mut pauses = |news: &[bool]| -> Vec<u64> {
            news.iter().map(|&has_news| pace.after_look(has_news).as_secs()).collect()
        };
        assert_eq!(pauses(&[true, true, false, false, false, false]), [2, 2, 4, 8, 10, 10]);
        assert_eq!(pauses(&[false; 100])[99], 10);
        assert_eq!(pauses(&[true, false]), [2, 4]);
    }

    #[test]
    fn faults_that_pass_end_nothing_until_too_many_follow_each_other() {
        let mut pace = Pace::default();
        let mut pauses = Vec::new();
        while let Some(pause) = pace.after_fault(&server_fault(502)) {
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60, 60]);
        // A look that succeeds makes up for those before.
        assert_eq!(pace.after_look(true), SOON);
        assert_eq!(pace.after_fault(&server_fault(502)), Some(SOON));
        let throttled = |secs| {
            let after = Duration::from_secs(secs);
            fault(GitHubError::Throttled { operation: "get-job of 7".to_owned(), after })
        };
        assert_eq!(pace.after_fault(&throttled(900)), Some(Duration::from_secs(900)));
        assert_eq!(pace.after_fault(&throttled(1)), Some(Duration::from_secs(8)));
    }

    #[test]
    fn faults_that_stay_end_the_follower_at_once() {
        let host = || "storage.example".to_owned();
        let storage = |source| JobLogError::Storage { job: JobId::new(7), source };
        let refused = GitHubError::Refused { operation: host(), status: 422, message: String::new() };
        for stays in [
            fault(refused),
            JobLogError::Gone { job: JobId::new(7) },
            storage(StorageError::Status { host: host(), status: 403 }),
            storage(StorageError::Address("its location is missing")),
        ] {
            assert_eq!(Pace::default().after_fault(&stays), None, "{stays}");
        }
        let passes = storage(StorageError::Status { host: host(), status: 503 });
        assert_eq!(Pace::default().after_fault(&passes), Some(SOON));
    }

    #[test]
    fn each_state_is_told_once() {
        let step = |number, status: &str, conclusion: Option<&str>| JobStep {
            number,
            name: format!("Step\u{1b}[1m {number}"),
            status: status.to_owned(),
            conclusion: conclusion.map(str::to_owned),
        };
        let job = |status: &str, conclusion: Option<&str>, steps| JobSteps {
            status: status.to_owned(),
            conclusion: conclusion.map(str::to_owned),
            steps,
        };
        let mut told = Told::default();
        assert_eq!(told.news(&job("queued", None, Vec::new())), ["job: queued"]);
        let running = job("in_progress", None, vec![step(1, "in_progress", None), step(2, "pending", None)]);
        assert_eq!(told.news(&running), ["step 1 Step\u{fffd}[1m 1: in progress", "job: in progress"]);
        assert!(told.news(&running).is_empty());
        let steps = vec![step(1, "completed", Some("success")), step(2, "completed", Some("skipped"))];
        assert_eq!(
            told.news(&job("completed", Some("success"), steps)),
            ["step 1 Step\u{fffd}[1m 1: success", "step 2 Step\u{fffd}[1m 2: skipped", "job: success"]
        );
    }
}
