//! A fake GitHub and a server, and their output.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use ecsrunner_api::list::RunnerList;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::id::Deployment;
use ecsrunner_core::records::runner::RunnerStage;
use ecsrunner_demo::github::JobPhase;
use ecsrunner_demo::testbed::{self, Capacity, DEPLOYMENT, REPOSITORY, Service, Testbed};
use ecsrunner_local::left::{self, Left};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) const MAX_RUNNERS: u32 = 20;

#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) testbed: Testbed,
    pub(crate) github: Service,
    pub(crate) server: Service,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SimJob {
    pub(crate) state: JobPhase,
    pub(crate) starts: u32,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SimState {
    pub(crate) jobs: Vec<SimJob>,
    pub(crate) registrations: Vec<Value>,
    pub(crate) calls: HashMap<String, u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) action: Option<String>,
    pub(crate) job: Option<u64>,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) status_code: Option<u16>,
}

#[derive(Debug, Deserialize)]
struct Deliveries {
    deliveries: Vec<Delivery>,
}

impl Running {
    pub(crate) async fn set_up(executable: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        Self::set_up_warm(executable, flags, 0).await
    }

    /// Like [`Self::set_up`], with this many tasks kept warm.
    pub(crate) async fn set_up_warm(executable: &Path, flags: &[&str], warm: u32) -> anyhow::Result<Self> {
        let listener = testbed::Runner::StandIn("stand-in-listener");
        let capacity =
            Capacity { max_runners: MAX_RUNNERS, warm, job_summary: false, public_repositories: false };
        let testbed = Testbed::set_up(executable, listener, capacity, &[])?;
        let github = testbed.start_github().await?;
        let server = testbed.start_server(&github, "127.0.0.1:0", flags).await?;
        testbed.connect(&github, &server).await?;
        Ok(Self { testbed, github, server })
    }

    /// Submits a number of jobs that sleep for a given time.
    pub(crate) async fn submit(&self, count: usize, sleep_ms: u64) -> anyhow::Result<()> {
        let jobs = json!({"repository": REPOSITORY, "labels": ["self-hosted", "class:small"], "count": count,
            "name": "job", "work": {"sleep_ms": sleep_ms}});
        self.github.post("/_sim/jobs", &jobs).await?.error_for_status()?;
        Ok(())
    }

    pub(crate) async fn faults(&self, faults: Value) -> anyhow::Result<()> {
        self.github.post("/_sim/faults", &faults).await?.error_for_status()?;
        Ok(())
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, service: &Service, path: &str) -> anyhow::Result<T> {
        let url = format!("{}{path}", service.url());
        let answer =
            service.client().get(&url).send().await.with_context(|| format!("{url} did not answer"))?;
        Ok(answer.error_for_status()?.json().await?)
    }

    pub(crate) async fn sim(&self) -> anyhow::Result<SimState> {
        self.get(&self.github, "/_sim/state").await
    }

    pub(crate) async fn deliveries(&self) -> anyhow::Result<Vec<Delivery>> {
        let Deliveries { deliveries } = self.get(&self.github, "/_sim/deliveries").await?;
        Ok(deliveries)
    }

    pub(crate) async fn runners(&self) -> anyhow::Result<Vec<RunnerView>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/v1/runners?limit=500{cursor}");
            let RunnerList { runners, next } = self.get(&self.server, &path).await?;
            all.extend(runners);
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Waits until every job is completed and every runner is gone.
    pub(crate) async fn wait(&self, limit: Duration) -> anyhow::Result<()> {
        let waited = tokio::time::timeout(limit, async {
            loop {
                let sim = self.sim().await?;
                if sim.jobs.iter().all(|job| job.state == JobPhase::Completed)
                    && self.runners().await?.iter().all(RunnerView::is_gone)
                {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        match waited {
            Ok(result) => result,
            Err(_) => {
                self.tell_what_is_left().await?;
                bail!("not every job was done in time")
            }
        }
    }

    /// Waits until this many jobs are completed.
    pub(crate) async fn wait_for_jobs(&self, count: usize, limit: Duration) -> anyhow::Result<()> {
        let waited = tokio::time::timeout(limit, async {
            while self.sim().await?.jobs.iter().filter(|job| job.state == JobPhase::Completed).count() < count
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        })
        .await;
        waited.context("not every job was done in time")?
    }

    /// Waits until this many tasks are warm.
    pub(crate) async fn wait_for_warm(&self, count: usize, limit: Duration) -> anyhow::Result<()> {
        let waited = tokio::time::timeout(limit, async {
            while self.runners().await?.iter().filter(|runner| runner.state == RunnerStage::Warm).count()
                < count
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        })
        .await;
        waited.context("not every task was warm in time")?
    }

    /// Milliseconds from each job's first `queued` webhook to its first `in_progress`.
    pub(crate) async fn queued_to_in_progress_ms(&self) -> anyhow::Result<Vec<f64>> {
        let mut sent: HashMap<(u64, String), Timestamp> = HashMap::new();
        for delivery in self.deliveries().await? {
            if let (Some(action), Some(job), Some(at)) = (delivery.action, delivery.job, delivery.sent_at) {
                sent.entry((job, action)).or_insert(at);
            }
        }
        let began = |(job, action): &(u64, String), queued: &Timestamp| {
            let at = (action == "queued").then(|| sent.get(&(*job, "in_progress".to_owned())))??;
            Some(at.duration_since(*queued).as_secs_f64() * 1000.0)
        };
        let mut waits: Vec<f64> = sent.iter().filter_map(|(key, at)| began(key, at)).collect();
        waits.sort_unstable_by(f64::total_cmp);
        Ok(waits)
    }

    async fn tell_what_is_left(&self) -> anyhow::Result<()> {
        for job in self.sim().await?.jobs.iter().filter(|job| job.state != JobPhase::Completed) {
            say(&format!("at GitHub: {job:?}"));
        }
        for runner in self.runners().await?.iter().filter(|runner| !runner.is_gone()) {
            say(&format!("not gone: {runner:?}"));
        }
        Ok(())
    }

    /// The server's peak resident memory, in MB.
    pub(crate) fn server_peak_mb(&self) -> anyhow::Result<f64> {
        let pid = self.server.pid().context("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kb: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kb * 1024.0 / 1e6)
    }

    /// How many files the server has open.
    pub(crate) fn server_files(&self) -> anyhow::Result<usize> {
        let pid = self.server.pid().context("the server has ended")?;
        Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
    }

    /// Milliseconds from the sending of each job's first `queued` webhook to
    /// the first line of the agent launched for it.
    pub(crate) async fn webhook_to_agent_ms(&self) -> anyhow::Result<Vec<f64>> {
        #[derive(Deserialize)]
        struct FirstLine {
            time: Timestamp,
        }
        let mut sent: HashMap<u64, Timestamp> = HashMap::new();
        for delivery in self.deliveries().await? {
            if let (Some("queued"), Some(job), Some(at)) =
                (delivery.action.as_deref(), delivery.job, delivery.sent_at)
            {
                sent.entry(job).or_insert(at);
            }
        }
        let mut waits = Vec::new();
        for runner in self.runners().await? {
            let sent = runner.launched_for.and_then(|job| sent.get(&job));
            let (Some(task), Some(sent)) = (&runner.task, sent) else { continue };
            let log = std::fs::read_to_string(self.testbed.agent_log(task))?;
            let first: FirstLine = serde_json::from_str(log.lines().next().context("an empty log")?)?;
            waits.push(first.time.duration_since(*sent).as_secs_f64() * 1000.0);
        }
        waits.sort_unstable_by(f64::total_cmp);
        Ok(waits)
    }

    /// Ends both, and counts leftovers.
    pub(crate) async fn strike(mut self) -> anyhow::Result<(Left, usize)> {
        let registrations = self.sim().await?.registrations.len();
        self.server.stop().await?;
        self.github.stop().await?;
        let left = left::count(&self.testbed.state(), &Deployment::parse(DEPLOYMENT)?).await?;
        Ok((left, registrations))
    }
}

/// Of sorted values.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// Prints a line of figures.
#[expect(clippy::print_stdout, reason = "a benchmark's figures are its output")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
