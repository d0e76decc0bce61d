//! `--follow`: shows a job's steps as they come, and waits for its log.

use std::collections::BTreeMap;
use std::time::Duration;

use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_github::Client;
use ecsrunner_github::logs::{JobLog, JobLogError};
use ecsrunner_github::steps::JobSteps;

use crate::output::{clean, say};

/// The time between two looks. GitHub counts each against the limit of calls.
const PERIOD: Duration = Duration::from_secs(2);
/// How often the log of a job that has just ended is asked for. GitHub needs some seconds to write it.
const MAX_ASKED: u32 = 10;

/// Prints the steps to stderr until the job has ended, and returns its log.
pub(super) async fn log_at_end(
    client: &Client,
    repository: &Repository,
    job: JobId,
) -> Result<JobLog, JobLogError> {
    let mut told = Told::default();
    loop {
        let steps = client.job_steps(repository, job).await?;
        told.news(&steps).iter().for_each(|line| say(line));
        if steps.has_ended() {
            break;
        }
        tokio::time::sleep(PERIOD).await;
    }
    for _ in 1..MAX_ASKED {
        match client.job_log(repository, job).await {
            Err(JobLogError::Missing { .. } | JobLogError::NotEnded { .. }) => {
                tokio::time::sleep(PERIOD).await
            }
            found => return found,
        }
    }
    client.job_log(repository, job).await
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
    use ecsrunner_github::steps::JobStep;

    use super::*;

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
