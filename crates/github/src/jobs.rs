//! Looks up workflow jobs and runs.

use std::collections::BTreeMap;

use ecsrunner_core::id::{JobId, Repository, RunId};
use ecsrunner_core::wire::job::JobStatus;
use ecsrunner_engine::ports::github::{QueuedJobs, RemoteJob, RemoteRun, RunPart};
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::auth::Grant;
use crate::client::Client;
use crate::http::Call;
use crate::reply::{Fault, Reply};
use crate::steps::JobSteps;

const PAGE: usize = 100;
/// GitHub lists at most 1,000 runs of a status.
const RUN_PAGES_LIMIT: usize = 10;
/// A workflow run has at most 256 jobs of each matrix.
const JOB_PAGES_LIMIT: usize = 20;
/// GitHub allows 100 concurrent requests. This stays far below that.
const AT_ONCE: usize = 4;

/// Returns a job; `None` only if it is certain that it does not exist.
pub(crate) async fn job(
    client: &Client,
    repository: &Repository,
    job: JobId,
) -> Result<Option<RemoteJob>, Fault> {
    let path = format!("repos/{repository}/actions/jobs/{job}");
    let call = Call::get("get-job", format!("{job} in {repository}"), path);
    Ok(look_up::<Job>(client, repository, &call).await?.map(Job::remote))
}

/// Returns a job with its steps; `None` only if it is certain that it does not exist.
pub(crate) async fn steps(
    client: &Client,
    repository: &Repository,
    job: JobId,
) -> Result<Option<JobSteps>, Fault> {
    let path = format!("repos/{repository}/actions/jobs/{job}");
    let call = Call::get("get-job", format!("{job} in {repository}"), path);
    look_up(client, repository, &call).await
}

/// Returns a run; `None` only if it is certain that it does not exist.
pub(crate) async fn run(
    client: &Client,
    repository: &Repository,
    run: RunId,
) -> Result<Option<RemoteRun>, Fault> {
    let path = format!("repos/{repository}/actions/runs/{run}");
    let call = Call::get("get-run", format!("{run} in {repository}"), path);
    Ok(look_up::<Run>(client, repository, &call).await?.map(Run::remote))
}

/// Lists all jobs of a run's latest attempt; empty if the run has been deleted.
pub(crate) async fn latest(
    client: &Client,
    repository: &Repository,
    run: RunId,
) -> Result<Vec<RemoteJob>, Fault> {
    let jobs = jobs_of(client, repository, run.get()).await?;
    Ok(jobs.items.into_iter().map(Job::remote).collect())
}

/// Runs a job again. Needs *Actions: write*.
pub(crate) async fn run_again(client: &Client, repository: &Repository, job: JobId) -> Result<(), Fault> {
    let path = format!("repos/{repository}/actions/jobs/{job}/rerun");
    let call = Call::post_alone("re-run-job", format!("{job} in {repository}"), path);
    let reply = client.ask(&Grant::Rerun(repository.clone()), &call).await?;
    if (200..300).contains(&reply.status()) { Ok(()) } else { Err(reply.fault()) }
}

/// Lists the queued jobs of runs that are queued or in progress, the oldest run first.
pub(crate) async fn queued(
    client: &Client,
    repository: &Repository,
    part: RunPart,
) -> Result<QueuedJobs, Fault> {
    // GitHub's run ids increase with time.
    let mut runs = BTreeMap::new();
    let lists = ["queued", "in_progress"].map(|status| open_runs(client, repository, status));
    let [queued, in_progress] = lists;
    let (queued, in_progress) = futures::try_join!(queued, in_progress)?;
    let mut calls = queued.calls + in_progress.calls;
    runs.extend(queued.items.into_iter().chain(in_progress.items));
    let after = part.after.map_or(0, RunId::get);
    let mut rest = runs.range(after.saturating_add(1)..);
    let part: Vec<(u64, Option<bool>)> =
        rest.by_ref().take(part.most).map(|(run, private)| (*run, *private)).collect();
    let next = rest.next().and(part.last()).map(|(run, _)| RunId::new(*run));
    let found: Vec<Counted<RemoteJob>> = stream::iter(part)
        .map(async |(run, private)| {
            let Counted { items, calls } = jobs_of(client, repository, run).await?;
            let queued = items.into_iter().filter(|job| job.status == "queued");
            let items = queued.map(|job| RemoteJob { private, ..job.remote() }).collect();
            Ok(Counted { items, calls })
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    calls += found.iter().map(|found| found.calls).sum::<u32>();
    Ok(QueuedJobs { jobs: found.into_iter().flat_map(|found| found.items).collect(), next, calls })
}

/// What was listed, and how many calls that took.
struct Counted<T> {
    items: Vec<T>,
    calls: u32,
}

/// Lists the runs of that status, and whether their repository is private.
async fn open_runs(
    client: &Client,
    repository: &Repository,
    status: &str,
) -> Result<Counted<(u64, Option<bool>)>, Fault> {
    let mut runs = Counted { items: Vec::new(), calls: 0 };
    for page in 1..=RUN_PAGES_LIMIT {
        let call = list_runs(repository)
            .query("status", status)
            .query("exclude_pull_requests", true)
            .query("per_page", PAGE)
            .query("page", page);
        runs.calls += 1;
        let found: RunPage = ask(client, repository, &call).await?.json()?;
        let last = found.workflow_runs.len() < PAGE;
        runs.items.extend(found.workflow_runs.into_iter().map(Listed::into_pair));
        if last {
            break;
        }
    }
    Ok(runs)
}

/// Lists the jobs of a run's latest attempt; empty if the run has been deleted.
async fn jobs_of(client: &Client, repository: &Repository, run: u64) -> Result<Counted<Job>, Fault> {
    let mut jobs = Counted { items: Vec::new(), calls: 0 };
    for page in 1..=JOB_PAGES_LIMIT {
        let path = format!("repos/{repository}/actions/runs/{run}/jobs");
        let call = Call::get("list-jobs", format!("run {run} in {repository}"), path)
            .query("filter", "latest")
            .query("per_page", PAGE)
            .query("page", page);
        jobs.calls += 1;
        let reply = ask(client, repository, &call).await?;
        if reply.status() == 404 {
            break;
        }
        let found: JobPage = reply.json()?;
        let last = found.jobs.len() < PAGE;
        jobs.items.extend(found.jobs);
        if last {
            break;
        }
    }
    Ok(jobs)
}

/// A 404 counts only if the repository's runs can be read. That needs the same
/// permission, so that a lost permission never looks like an absent job.
async fn look_up<T: DeserializeOwned>(
    client: &Client,
    repository: &Repository,
    call: &Call,
) -> Result<Option<T>, Fault> {
    let reply = ask(client, repository, call).await?;
    if reply.status() != 404 {
        return reply.json().map(Some);
    }
    let control = ask(client, repository, &list_runs(repository).query("per_page", 1)).await?;
    control.json::<RunPage>().map(|_| None)
}

async fn ask(client: &Client, repository: &Repository, call: &Call) -> Result<Reply, Fault> {
    client.ask(&Grant::Read(repository.clone()), call).await
}

fn list_runs(repository: &Repository) -> Call {
    Call::get("list-runs", repository, format!("repos/{repository}/actions/runs"))
}

#[derive(Deserialize)]
struct RunPage {
    workflow_runs: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: u64,
    repository: Option<ListedRepository>,
}

#[derive(Deserialize)]
struct ListedRepository {
    private: Option<bool>,
}

impl Listed {
    fn into_pair(self) -> (u64, Option<bool>) {
        (self.id, self.repository.and_then(|repository| repository.private))
    }
}

#[derive(Deserialize)]
struct Run {
    run_attempt: Option<u32>,
    status: Option<String>,
    event: String,
    head_repository: Option<HeadRepository>,
    actor: Option<Actor>,
    repository: Option<ListedRepository>,
}

#[derive(Deserialize)]
struct HeadRepository {
    full_name: String,
}

#[derive(Deserialize)]
struct Actor {
    login: String,
}

impl Run {
    fn remote(self) -> RemoteRun {
        RemoteRun {
            attempt: self.run_attempt.unwrap_or(1),
            is_completed: self.status.as_deref() == Some("completed"),
            event: self.event,
            head_repository: self.head_repository.and_then(|head| Repository::parse(&head.full_name).ok()),
            actor: self.actor.map(|actor| actor.login),
            private: self.repository.and_then(|repository| repository.private),
        }
    }
}

#[derive(Deserialize)]
struct JobPage {
    jobs: Vec<Job>,
}

/// Holds only the fields that are used. Fields that GitHub can omit or set to null are optional.
#[derive(Deserialize)]
struct Job {
    id: u64,
    run_id: u64,
    run_attempt: Option<u32>,
    name: String,
    workflow_name: Option<String>,
    head_branch: Option<String>,
    labels: Option<Vec<String>>,
    status: String,
    conclusion: Option<String>,
    runner_name: Option<String>,
    created_at: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
}

impl Job {
    fn remote(self) -> RemoteJob {
        let time = |text: Option<String>| text.and_then(|text| text.parse::<Timestamp>().ok());
        RemoteJob {
            id: JobId::new(self.id),
            run: RunId::new(self.run_id),
            attempt: self.run_attempt.unwrap_or(1),
            name: self.name,
            workflow: self.workflow_name,
            head_branch: self.head_branch,
            labels: self.labels.unwrap_or_default(),
            private: None,
            status: JobStatus::parse(&self.status),
            conclusion: self.conclusion,
            runner_name: self.runner_name.filter(|name| !name.is_empty()),
            created_at: time(self.created_at),
            started_at: time(self.started_at),
            completed_at: time(self.completed_at),
        }
    }
}
