//! `ecsrunner jobs retry`: a job that was refused is judged again, one that
//! has ended is run again by GitHub.

use anyhow::anyhow;
use ecsrunner_api::job::JobView;
use ecsrunner_api::reason::{OutcomeKind, ReasonView};
use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_core::records::job::JobStage;
use serde::Serialize;

use super::find;
use crate::arguments::RetryJob;
use crate::deployment::{Deployment, github};
use crate::exit::Failure;
use crate::output::{self, print};

/// What was brought about.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Retried {
    /// It waits for a runner now, once GitHub has said that it is still queued.
    JudgedAgain,
    /// It waits already, and what holds it back is looked at now.
    LookedAt,
    /// GitHub runs it again, as a job with an id of its own.
    RunAgain,
}

#[derive(Serialize)]
struct Document {
    job: u64,
    retried: Retried,
}

pub(super) async fn retry(arguments: &RetryJob) -> Result<(), Failure> {
    let id = find::job(&arguments.job)?.id;
    let deployment = Deployment::connect(&arguments.target).await?;
    let Some(job) = deployment.job(id.get()).await? else {
        return Err(find::no_job(&deployment, id));
    };
    let retried = match job.state {
        JobStage::Refused if job.conclusion.is_none() => judge_again(&deployment, id).await?,
        JobStage::Refused | JobStage::Completed => run_again(&deployment, &job, id).await?,
        JobStage::InProgress => {
            return Err(anyhow!("job {id} is in progress: there is nothing to try again").into());
        }
        JobStage::Waiting | JobStage::Queued => {
            deployment.retry(id).await?;
            Retried::LookedAt
        }
    };
    if arguments.format.json {
        output::print_json(&Document { job: id.get(), retried })?;
        return Ok(());
    }
    print(&match retried {
        Retried::JudgedAgain => format!(
            "job {id} is served once GitHub has said that it is still queued; `ecsrunner why {id}` tells how far it is\n"
        ),
        Retried::LookedAt => {
            format!("job {id} waits already, and is looked at now: `ecsrunner why {id}` tells why it waits\n")
        }
        Retried::RunAgain => format!("GitHub runs job {id} again, as a job with an id of its own\n"),
    })?;
    Ok(())
}

async fn judge_again(deployment: &Deployment, id: JobId) -> Result<Retried, Failure> {
    let outcome = deployment.retry(id).await?;
    if outcome.outcome == OutcomeKind::Refused {
        let ReasonView { code, text } = outcome.reason;
        return Err(Failure::from(anyhow!("job {id} is refused again: {text} [{code}]"))
            .hint(format!("`ecsrunner why {id}` says what would be right")));
    }
    if outcome.is_accepted() {
        return Ok(Retried::JudgedAgain);
    }
    // Somebody else was quicker: GitHub told of it meanwhile, or another operator asked.
    match deployment.job(id.get()).await? {
        Some(job) if !job.is_past() => Ok(Retried::LookedAt),
        Some(job) => Err(anyhow!("job {id} is {} by now, and was left alone", job.state).into()),
        None => Err(find::no_job(deployment, id)),
    }
}

async fn run_again(deployment: &Deployment, job: &JobView, id: JobId) -> Result<Retried, Failure> {
    let repository = Repository::parse(&job.repository).map_err(Failure::usage)?;
    let Some(client) = github::by_own_token(deployment.github_api()?)? else {
        return Err(Failure::permission(anyhow!(
            "job {id} has ended, and only somebody who may write actions in {repository} can run it again"
        ))
        .hint(format!(
            "give a token of yours in GH_TOKEN, or run it again there: {}",
            deployment.pages()?.job(&job.repository, job.run_id, job.id)
        )));
    };
    client.rerun_job(&repository, id).await.map_err(Failure::of_github)?;
    Ok(Retried::RunAgain)
}
