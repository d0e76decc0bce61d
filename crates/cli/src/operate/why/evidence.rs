//! What GitHub and ECS know about a job and its runners.

use std::sync::Arc;

use anyhow::anyhow;
use ecsrunner_api::job::JobView;
use ecsrunner_api::reason::ReasonView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_aws::task::TaskInfo;
use ecsrunner_core::decide::admit::admit;
use ecsrunner_core::id::{JobId, Repository, RunnerName, TaskId};
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::records::runner::{EndingKind, RunnerStage};
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::wire::job::{JobFacts, JobStatus};
use ecsrunner_engine::ports::github::{GitHub, RemoteJob};
use ecsrunner_github::Client;
use ecsrunner_github::operator::Delivered;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::{Answer, CLOCKS_DIFFER};
use crate::deployment::{Deployment, github};
use crate::exit::Failure;
use crate::operate::{credentials, find};
use crate::output::say;

/// How long ECS keeps a stopped task.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);
/// How long after a job's creation its webhooks are searched.
const SENT_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// The most deliveries whose payload is fetched to see whether they belong to the job.
const MAX_FETCHED: usize = 30;
/// The most pages of deliveries that are read.
const MAX_PAGES: usize = 20;

/// The present state of a job at GitHub.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct AtGitHub {
    pub(super) status: JobStatus,
    pub(super) conclusion: Option<String>,
    pub(super) runner: Option<String>,
    pub(super) repository: String,
    pub(super) run_id: u64,
    pub(super) attempt: u32,
    pub(super) name: String,
    pub(super) workflow: Option<String>,
    pub(super) labels: Vec<String>,
    pub(super) created_at: Option<Timestamp>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) completed_at: Option<Timestamp>,
}

impl AtGitHub {
    fn of(remote: &RemoteJob, repository: &Repository) -> Self {
        Self {
            status: remote.status.clone(),
            conclusion: remote.conclusion.clone(),
            runner: remote.runner_name.clone(),
            repository: repository.to_string(),
            run_id: remote.run.get(),
            attempt: remote.attempt,
            name: remote.name.clone(),
            workflow: remote.workflow.clone(),
            labels: remote.labels.clone(),
            created_at: remote.created_at,
            started_at: remote.started_at,
            completed_at: remote.completed_at,
        }
    }

    /// Returns whether the job is in a later state at GitHub than in its record.
    pub(super) fn is_ahead_of(&self, state: JobStage) -> bool {
        let at_github = match self.status {
            JobStatus::Waiting => 0,
            JobStatus::Queued => 1,
            JobStatus::InProgress => 2,
            JobStatus::Completed => 3,
            // GitHub has not queued it yet, or uses a status that we do not know.
            JobStatus::Requested | JobStatus::Pending | JobStatus::Other(_) => return false,
        };
        let recorded = match state {
            JobStage::Waiting => 0,
            JobStage::Queued => 1,
            JobStage::InProgress => 2,
            JobStage::Completed => 3,
            JobStage::Refused => return at_github > 0,
        };
        at_github > recorded
    }

    /// Describes the state in one phrase.
    pub(super) fn words(&self) -> String {
        let state = match &self.conclusion {
            Some(conclusion) => format!("{} with {conclusion}", self.status),
            None => self.status.to_string(),
        };
        let on = self.runner.as_ref().map(|runner| format!(" on runner {runner}"));
        format!("{}{}", state.replace('_', " "), on.unwrap_or_default())
    }
}

/// Returns the runners' tasks in ECS. ECS is asked only about open runners, and
/// about those that ended badly and are not yet forgotten.
pub(super) async fn tasks(deployment: &Deployment, runners: &[RunnerView]) -> Vec<TaskInfo> {
    let now = Timestamp::now();
    let is_told = |runner: &&RunnerView| {
        let gone = runner.reached(RunnerStage::Gone);
        let ended_well = runner.ending == Some(EndingKind::Completed);
        gone.is_none_or(|gone| !ended_well && now.duration_since(gone) < REMEMBERED)
    };
    let mut tasks = Vec::new();
    for runner in runners.iter().filter(is_told) {
        let Some(task) = runner.task.as_deref().and_then(|task| TaskId::parse(task).ok()) else { continue };
        match deployment.task(&task).await {
            Ok(task) => tasks.extend(task),
            Err(error) => {
                say(&format!("note: ECS gave no answer about task {task}: {error}"));
            }
        }
    }
    tasks
}

/// Returns the state of an open job at GitHub, or `None` if GitHub gave no answer.
pub(super) async fn of_job(deployment: &Deployment, job: &JobView) -> Option<AtGitHub> {
    let repository = Repository::parse(&job.repository).ok()?;
    match ask(deployment, &repository, JobId::new(job.id)).await {
        Ok((_, Some(remote))) => Some(AtGitHub::of(&remote, &repository)),
        Ok((_, None)) => {
            say("note: GitHub no longer knows the job: its run was deleted");
            None
        }
        Err(failure) => {
            say(&format!("note: GitHub cannot be asked: {failure}"));
            None
        }
    }
}

async fn ask(
    deployment: &Deployment,
    repository: &Repository,
    job: JobId,
) -> Result<(Client, Option<RemoteJob>), Failure> {
    let client = credentials::for_reading(deployment).await?;
    let found = client.job(repository, job).await.map_err(Failure::of_github)?;
    Ok((client, found))
}

/// Returns what is known about a job without a record.
pub(super) async fn unrecorded(
    deployment: &Deployment,
    id: JobId,
    repository: Option<Repository>,
) -> Result<Answer, Failure> {
    let Some(repository) = repository else { return Err(find::no_job(deployment, id)) };
    let (client, found) = ask(deployment, &repository, id).await.map_err(|failure| {
        say(&format!("note: GitHub cannot be asked: {failure}"));
        find::no_job(deployment, id)
    })?;
    let Some(remote) = found else {
        let job = github::named(&repository, id);
        return Err(Failure::not_found(anyhow!("neither {} nor GitHub knows {job}", deployment.name()))
            .hint(
                "check the id: a deleted run takes its jobs with it, and the jobs of a re-run have new ids",
            ));
    };
    let mut deliveries = Vec::new();
    // Only the run says whether the repository is private.
    let run = client.run(&repository, remote.run).await.unwrap_or_else(|error| {
        let error = anyhow::Error::new(error);
        say(&format!("note: it is unknown whether the repository is public: {error:#}"));
        None
    });
    let private = remote.private.or(run.and_then(|run| run.private));
    let because = match verdict(deployment, &remote, &repository, private)? {
        Some(refusal) => refusal,
        None => {
            let (words, found) = search(&client, id, remote.created_at).await;
            deliveries = found;
            Reason::with(Code::NotRecorded, words)
        }
    };
    let is_ours = remote.runner_name.as_deref().and_then(|name| RunnerName::parse(name).ok());
    let own = deployment.rules()?.settings.deployment;
    let is_ours = is_ours.is_some_and(|name| name.belongs_to(&own));
    let next = next(&remote, because.code(), &deliveries, is_ours);
    Ok(Answer {
        id: id.get(),
        job: None,
        runners: Vec::new(),
        tasks: Vec::new(),
        github: Some(AtGitHub::of(&remote, &repository)),
        deliveries,
        because: Some(ReasonView::of(&because)),
        next,
        on_one_machine: deployment.is_local(),
        pages: deployment.pages()?,
    })
}

/// Returns why the deployment would refuse the job, or `None` if it would serve it.
fn verdict(
    deployment: &Deployment,
    remote: &RemoteJob,
    repository: &Repository,
    private: Option<bool>,
) -> Result<Option<Reason>, Failure> {
    let rules = deployment.rules()?;
    let facts = JobFacts {
        id: remote.id,
        run: remote.run,
        attempt: remote.attempt,
        repository: repository.clone(),
        name: Arc::from(remote.name.as_str()),
        workflow: None,
        labels: Labels::of_job(&remote.labels),
    };
    Ok(admit(&facts, private, &rules.settings, &rules.catalogue).err())
}

/// Returns the App's deliveries of the job, and a description of them.
async fn search(client: &Client, id: JobId, created_at: Option<Timestamp>) -> (String, Vec<Delivered>) {
    let Some(created_at) = created_at else {
        return ("GitHub does not say when the job was created".to_owned(), Vec::new());
    };
    match deliveries(client, id, created_at).await {
        Ok(None) => {
            ("only an App can list deliveries, and the deployment uses a token".to_owned(), Vec::new())
        }
        Ok(Some((found, true))) if found.is_empty() => {
            ("GitHub has no delivery for it (deliveries are kept for 3 days)".to_owned(), found)
        }
        Ok(Some((found, false))) if found.is_empty() => {
            ("none of the deliveries that were read belongs to it, but there are more".to_owned(), found)
        }
        Ok(Some((found, _))) => {
            let told: Vec<String> = found
                .iter()
                .map(|one| {
                    format!(
                        "{} at {:.0}: {}",
                        one.action.as_deref().unwrap_or("?"),
                        one.delivered_at,
                        one.status
                    )
                })
                .collect();
            (format!("GitHub delivered {}", told.join(", ")), found)
        }
        Err(failure) => (format!("its deliveries cannot be listed: {failure}"), Vec::new()),
    }
}

/// Returns the job's own deliveries around its creation, and whether all deliveries were read.
async fn deliveries(
    client: &Client,
    id: JobId,
    created_at: Timestamp,
) -> Result<Option<(Vec<Delivered>, bool)>, Failure> {
    let (from, to) = (created_at - CLOCKS_DIFFER, created_at + SENT_WITHIN);
    let (mut found, mut fetched, mut cursor) = (Vec::new(), 0, None);
    for _ in 0..MAX_PAGES {
        let page = client.past_deliveries(cursor.as_deref()).await.map_err(Failure::of_github)?;
        let Some(page) = page else { return Ok(None) };
        let is_enough = page.deliveries.last().is_none_or(|last| last.delivered_at < from);
        let near = page
            .deliveries
            .into_iter()
            .filter(|one| one.event == "workflow_job" && one.delivered_at >= from && one.delivered_at <= to);
        for one in near {
            if fetched >= MAX_FETCHED {
                return Ok(Some((found, false)));
            }
            fetched += 1;
            let webhook = client.delivery(one.id).await.map_err(Failure::of_github)?;
            if webhook.is_some_and(|webhook| is_of(&webhook.body, id)) {
                found.push(one);
            }
        }
        cursor = page.next;
        if is_enough || cursor.is_none() {
            return Ok(Some((found, true)));
        }
    }
    Ok(Some((found, false)))
}

fn is_of(body: &str, id: JobId) -> bool {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body["workflow_job"]["id"].as_u64() == Some(id.get())
}

fn next(remote: &RemoteJob, code: Code, deliveries: &[Delivered], is_ours: bool) -> String {
    // A refusal has its own advice.
    if code != Code::NotRecorded {
        return String::new();
    }
    match (&remote.status, deliveries.first()) {
        (JobStatus::Completed, _) => "nothing to do: the job has ended".to_owned(),
        (JobStatus::InProgress, _) if is_ours => {
            "nothing to do: one of our runners executes it, and the sweep will record that within minutes"
                .to_owned()
        }
        (JobStatus::InProgress, _) => "nothing to do: another runner executes it".to_owned(),
        (_, Some(latest)) => format!(
            "run `ecsrunner deliveries redeliver {}` to have GitHub send it again, or wait: the sweep finds it within minutes",
            latest.id
        ),
        (_, None) => String::new(),
    }
}
