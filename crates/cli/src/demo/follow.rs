//! Reads the state of the demo's jobs from the server and the fake GitHub.

use std::collections::{BTreeMap, HashMap};

use ecsrunner_api::job::JobView;
use ecsrunner_api::list::{JobList, RunnerList};
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::id::RunId;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::wire::job::Conclusion;
use ecsrunner_demo::github::JobPhase;
use ecsrunner_demo::testbed::Service;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::output::clean;

/// The number of last lines that are shown of a failed job's log.
const LOG_LINES: usize = 12;

#[derive(Deserialize)]
struct SimState {
    jobs: Vec<SimJob>,
    registrations: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct SimJob {
    run_id: RunId,
    state: JobPhase,
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
    /// When the first `queued` webhook of each job was sent.
    pub(super) queued_sent: HashMap<u64, Timestamp>,
}

#[derive(Debug)]
pub(super) struct Follower {
    github: Source,
    server: Source,
    run: RunId,
    seen: Seen,
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
            done: false,
        })
    }

    /// Returns the last lines of the log of each failed job, with the job's name.
    pub(super) async fn logs_of_failures(&self) -> anyhow::Result<Vec<(String, Vec<String>)>> {
        let mut logs = Vec::new();
        for job in self.seen.jobs.values().filter(|job| job.conclusion == Some(Conclusion::Failure)) {
            let text = self.github.get(&format!("/_sim/jobs/{}/log", job.id)).await?.text().await?;
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

    /// Returns the reason of the first refused job.
    pub(super) fn refusal(&self) -> Option<String> {
        let refused = self.seen.jobs.values().find(|job| job.state == JobStage::Refused)?;
        let why = refused.reason.as_ref().map_or("no reason was given", |reason| reason.text.as_str());
        Some(format!("{}: {why}", refused.name))
    }

    /// Reads the present state once.
    pub(super) async fn look(&mut self) -> anyhow::Result<()> {
        let github: SimState = self.github.read("/_sim/state").await?;
        let JobList { jobs, .. } = self.server.read("/api/v1/jobs?limit=500").await?;
        let RunnerList { runners, .. } = self.server.read("/api/v1/runners?limit=500").await?;
        let ours: Vec<&SimJob> = github.jobs.iter().filter(|job| job.run_id == self.run).collect();
        let ended = ours.iter().all(|job| job.state == JobPhase::Completed);
        // A job whose needed job failed is never queued.
        let jobs: BTreeMap<u64, JobView> =
            jobs.into_iter().filter(|job| job.run_id == self.run.get()).map(|job| (job.id, job)).collect();
        let recorded = jobs.len() == ours.len() && jobs.values().all(|job| job.state == JobStage::Completed);
        let gone = runners.iter().all(RunnerView::is_gone);
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

impl Source {
    fn of(service: &Service) -> Self {
        Self { client: service.client(), url: service.url().to_owned() }
    }

    async fn get(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        Ok(self.client.get(format!("{}{path}", self.url)).send().await?.error_for_status()?)
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        Ok(self.get(path).await?.json().await?)
    }
}
