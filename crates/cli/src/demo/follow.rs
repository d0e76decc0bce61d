//! Reads the state of the demo's jobs from the server and the fake GitHub.

use std::collections::{BTreeMap, HashMap};

use ecsrunner_api::job::JobView;
use ecsrunner_api::list::{JobList, RunnerList};
use ecsrunner_api::reason::CodeView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::id::RunId;
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::wire::job::Conclusion;
use ecsrunner_demo::github::JobPhase;
use ecsrunner_demo::testbed::{REPOSITORY, Service};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::output::clean;

/// The number of last lines that are shown of a failed job's log.
const LOG_LINES: usize = 12;

#[derive(Deserialize)]
struct SimState {
    runs: Vec<SimRun>,
    jobs: Vec<SimJob>,
    registrations: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct SimRun {
    id: RunId,
    conclusion: Option<Conclusion>,
}

/// A job as the fake GitHub sees it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SimJob {
    pub(super) id: u64,
    run_id: RunId,
    pub(super) name: String,
    /// Its id in its workflow, which the jobs of a matrix share.
    #[serde(default)]
    key: String,
    state: JobPhase,
    pub(super) conclusion: Option<Conclusion>,
    /// Whether a runner could take it. The server hears only of such jobs.
    was_queued: bool,
    #[serde(default)]
    pub(super) steps: Vec<SimStep>,
    #[serde(default)]
    pub(super) outputs: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: Vec<SimAnnotation>,
    #[serde(default)]
    pub(super) summaries: Vec<SimSummary>,
}

/// The summary of a step.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SimSummary {
    pub(super) step: Option<String>,
    pub(super) text: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SimStep {
    pub(super) name: String,
    pub(super) conclusion: Option<Conclusion>,
    #[serde(default)]
    pub(super) in_progress: bool,
}

/// An annotation, as a runner posts it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SimAnnotation {
    pub(super) level: Option<String>,
    pub(super) title: Option<String>,
    pub(super) message: Option<String>,
    pub(super) path: Option<String>,
    pub(super) start_line: Option<u64>,
}

/// Lines of a job's log that have come.
#[derive(Deserialize)]
struct SimLines {
    lines: Vec<String>,
    next: usize,
}

/// How much of a job's log was read.
#[derive(Clone, Copy, Default, Debug)]
struct Read {
    lines: usize,
    /// Whether it was read after the job's end.
    is_whole: bool,
}

#[derive(Deserialize)]
struct Deliveries {
    deliveries: Vec<Delivery>,
}

#[derive(Deserialize)]
struct Delivery {
    action: Option<String>,
    job: Option<u64>,
    sent_at: Option<Timestamp>,
}

/// The jobs of a run, and their runners.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) jobs: BTreeMap<u64, JobView>,
    pub(super) runners: HashMap<String, RunnerView>,
    /// How the run ended.
    pub(super) conclusion: Option<Conclusion>,
    /// All jobs of the run at the fake GitHub, in its order.
    pub(super) run: Vec<SimJob>,
    /// Jobs that nobody serves, with the reason. They were cancelled in the end.
    pub(super) unserved: BTreeMap<u64, String>,
    /// When the first `queued` webhook of each job was sent.
    pub(super) queued_sent: HashMap<u64, Timestamp>,
}

#[derive(Debug)]
pub(super) struct Follower {
    github: Source,
    server: Source,
    run: RunId,
    seen: Seen,
    read: HashMap<u64, Read>,
    done: bool,
}

/// A process that answers requests.
#[derive(Debug)]
struct Source {
    client: reqwest::Client,
    url: String,
}

impl Follower {
    pub(super) fn new(github: &Service, server: &Service, run: RunId) -> anyhow::Result<Self> {
        Ok(Self {
            github: Source::of(github),
            server: Source::of(server),
            run,
            seen: Seen::default(),
            read: HashMap::new(),
            done: false,
        })
    }

    /// Returns the last lines of the log of each failed job, with the job's name.
    pub(super) async fn logs_of_failures(&self) -> anyhow::Result<Vec<(String, Vec<String>)>> {
        let mut logs = Vec::new();
        for job in self.seen.jobs.values().filter(|job| job.conclusion == Some(Conclusion::Failure)) {
            let text = self.log(job.id).await?;
            let lines: Vec<String> = text.lines().map(clean).collect();
            let from = lines.len().saturating_sub(LOG_LINES);
            logs.push((job.name.clone(), lines[from..].to_vec()));
        }
        Ok(logs)
    }

    pub(super) fn jobs(&self) -> &Seen {
        &self.seen
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Cancels the jobs that no runner will serve, once nothing else is left to do.
    pub(super) async fn give_up_unserved(&mut self) -> anyhow::Result<()> {
        let refused = |job: &SimJob| {
            let view = self.seen.jobs.get(&job.id)?;
            let reason = view.reason.as_ref();
            let text = reason.map_or("no reason was given", |reason| reason.text.as_str());
            let is_foreign = reason.is_some_and(|reason| reason.code == CodeView::Known(Code::LabelsNotOurs));
            let hint = if is_foreign { " (`--label LABEL=CLASS` maps one)" } else { "" };
            (view.state == JobStage::Refused).then(|| format!("{text}{hint}"))
        };
        let open: Vec<&SimJob> = self
            .seen
            .run
            .iter()
            .filter(|job| !matches!(job.state, JobPhase::Completed | JobPhase::Blocked))
            .collect();
        let refusals: Option<Vec<(u64, String)>> =
            open.iter().map(|job| Some((job.id, refused(job)?))).collect();
        for (id, why) in refusals.unwrap_or_default() {
            if self.seen.unserved.insert(id, why).is_none() {
                self.github.post(&format!("/_sim/jobs/{id}/cancel")).await?;
            }
        }
        Ok(())
    }

    /// Returns the address of the run's page, which shows steps, logs, outputs and annotations as they come.
    pub(super) fn run_url(&self) -> String {
        format!("{}/{REPOSITORY}/actions/runs/{}", self.github.url, self.run)
    }

    /// Returns the address of each job's page at the fake GitHub.
    pub(super) fn job_urls(&self) -> Vec<(String, String)> {
        let url = |job: &SimJob| format!("{}/job/{}", self.run_url(), job.id);
        self.seen.run.iter().map(|job| (job.name.clone(), url(job))).collect()
    }

    /// Returns the log of a job, which may be empty.
    pub(super) async fn log(&self, job: u64) -> anyhow::Result<String> {
        Ok(self.github.get(&format!("/_sim/jobs/{job}/log")).await?.text().await?)
    }

    /// Returns the lines of logs that have come since the last call, with the names of their jobs.
    pub(super) async fn new_lines(&mut self) -> anyhow::Result<Vec<(String, Vec<String>)>> {
        let mut new = Vec::new();
        for job in
            self.seen.run.iter().filter(|job| matches!(job.state, JobPhase::InProgress | JobPhase::Completed))
        {
            let read = self.read.entry(job.id).or_default();
            if read.is_whole {
                continue;
            }
            let path = format!("/_sim/jobs/{}/lines?from={}", job.id, read.lines);
            let SimLines { lines, next } = self.github.read(&path).await?;
            *read = Read { lines: next, is_whole: job.state == JobPhase::Completed };
            if !lines.is_empty() {
                new.push((job.name.clone(), lines));
            }
        }
        Ok(new)
    }

    /// Reads the present state once.
    pub(super) async fn look(&mut self) -> anyhow::Result<()> {
        let github: SimState = self.github.read("/_sim/state").await?;
        let JobList { jobs, .. } = self.server.read("/api/v1/jobs?limit=500").await?;
        let RunnerList { runners, .. } = self.server.read("/api/v1/runners?limit=500").await?;
        let ours: Vec<SimJob> = github.jobs.into_iter().filter(|job| job.run_id == self.run).collect();
        let ended = ours.iter().all(|job| job.state == JobPhase::Completed);
        let jobs: BTreeMap<u64, JobView> =
            jobs.into_iter().filter(|job| job.run_id == self.run.get()).map(|job| (job.id, job)).collect();
        let is_recorded = |job: &SimJob| jobs.get(&job.id).is_some_and(has_ended);
        let recorded = ours.iter().filter(|job| job.was_queued).all(is_recorded);
        let gone = runners.iter().all(RunnerView::is_gone);
        self.seen.conclusion =
            github.runs.into_iter().find(|run| run.id == self.run).and_then(|run| run.conclusion);
        self.seen.run = in_order(ours);
        self.seen.jobs = jobs;
        self.seen.runners = runners.into_iter().map(|runner| (runner.name.clone(), runner)).collect();
        self.done = ended && recorded && gone;
        if self.done {
            self.look_at_deliveries().await?;
        }
        Ok(())
    }

    async fn look_at_deliveries(&mut self) -> anyhow::Result<()> {
        let Deliveries { deliveries } = self.github.read("/_sim/deliveries").await?;
        for delivery in deliveries {
            if let (Some("queued"), Some(job), Some(at)) =
                (delivery.action.as_deref(), delivery.job, delivery.sent_at)
            {
                self.seen.queued_sent.entry(job).or_insert(at);
            }
        }
        Ok(())
    }

    /// Returns how many runners are still registered.
    pub(super) async fn registrations(&self) -> anyhow::Result<usize> {
        let github: SimState = self.github.read("/_sim/state").await?;
        Ok(github.registrations.len())
    }
}

/// Puts the jobs of a matrix next to each other. They are made when the jobs behind them are there already.
fn in_order(mut jobs: Vec<SimJob>) -> Vec<SimJob> {
    let group = |job: &SimJob| {
        let caller = job.name.rsplit_once(" / ").map(|(caller, _)| caller.to_owned());
        (caller, job.key.clone())
    };
    let mut groups = Vec::new();
    for job in &jobs {
        let group = group(job);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    jobs.sort_by_key(|job| groups.iter().position(|known| *known == group(job)));
    jobs
}

/// Whether the server knows that a job has ended. A refused job stays refused.
const fn has_ended(job: &JobView) -> bool {
    match job.state {
        JobStage::Completed => true,
        JobStage::Refused => job.conclusion.is_some(),
        JobStage::Queued | JobStage::Waiting | JobStage::InProgress => false,
    }
}

impl Source {
    fn of(service: &Service) -> Self {
        Self { client: service.client(), url: service.url().to_owned() }
    }

    async fn get(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        Ok(self.client.get(format!("{}{path}", self.url)).send().await?.error_for_status()?)
    }

    async fn post(&self, path: &str) -> anyhow::Result<()> {
        self.client.post(format!("{}{path}", self.url)).send().await?.error_for_status()?;
        Ok(())
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        Ok(self.get(path).await?.json().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_of_a_matrix_stand_next_to_each_other() {
        let job = |id: u64, key: &str, name: &str| -> SimJob {
            let json = serde_json::json!({
                "id": id, "run_id": 1, "name": name, "key": key, "state": "completed", "was_queued": true,
            });
            serde_json::from_value(json).unwrap()
        };
        let jobs = vec![
            job(1, "m", "m (1)"),
            job(2, "after", "after"),
            job(3, "m", "m (2)"),
            job(4, "m", "call / m"),
            job(5, "m", "m (3)"),
        ];
        let names: Vec<String> = in_order(jobs).into_iter().map(|job| job.name).collect();
        assert_eq!(names, ["m (1)", "m (2)", "m (3)", "after", "call / m"]);
    }
}
