//! `ecsrunner jobs retry`: evaluates a refused job again, or asks GitHub to
//! re-run an ended one.

use anyhow::anyhow;
use ecsrunner_api::deployment::JobHold;
use ecsrunner_api::job::JobView;
use ecsrunner_api::operation::Retried;
use ecsrunner_api::reason::{OutcomeKind, ReasonView};
use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_core::records::job::JobStage;
use jiff::Timestamp;
use serde::Serialize;

use super::find::{self, Asked};
use crate::arguments::RetryJob;
use crate::deployment::{Deployment, github};
use crate::exit::Failure;
use crate::output::{self, print};

#[derive(Serialize)]
struct Document {
    job: u64,
    retried: Retried,
    /// The hold for which the job waits, if it already waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<JobHold>,
}

pub(super) async fn retry(arguments: &RetryJob) -> Result<(), Failure> {
    let asked = Asked::parse(&arguments.job)?;
    let deployment = Deployment::connect(&arguments.target).await?;
    let id = asked.job(&deployment).await?.id;
    let (retried, hold) = perform(&deployment, id).await?;
    if arguments.format.json {
        output::print_json(&Document { job: id.get(), retried, hold })?;
        return Ok(());
    }
    print(&match (retried, hold) {
        (Retried::JudgedAgain, _) => format!(
            "job {id} gets a runner if GitHub confirms that it is still queued; `ecsrunner why {id}` shows its state\n"
        ),
        (Retried::LookedAt, Some(hold)) => format!(
            "job {id} already waits for a runner; launches for it are held, and the next try is not before {:.0}; `ecsrunner why {id}` shows why\n",
            hold.not_before
        ),
        (Retried::LookedAt, None) => {
            format!(
                "job {id} already waits for a runner, and is checked again now; `ecsrunner why {id}` shows why it waits\n"
            )
        }
        (Retried::RunAgain, _) => format!("GitHub runs job {id} again, as a job with a new id\n"),
    })?;
    Ok(())
}

/// Evaluates a refused job again, or has GitHub run an ended one again. Returns also the hold for which a job waits that was
/// looked at.
pub(super) async fn perform(
    deployment: &Deployment,
    id: JobId,
) -> Result<(Retried, Option<JobHold>), Failure> {
    let Some(job) = deployment.job(id.get()).await? else {
        return Err(find::no_job(deployment, id));
    };
    match job.state {
        JobStage::Refused if job.conclusion.is_none() => Ok((judge_again(deployment, id).await?, None)),
        JobStage::Refused | JobStage::Completed => Ok((run_again(deployment, &job, id).await?, None)),
        JobStage::InProgress => Err(anyhow!("job {id} is in progress and cannot be retried").into()),
        JobStage::Waiting | JobStage::Queued => {
            deployment.retry(id).await?;
            // A hold that is due is tried by the next round.
            let hold = job.hold.filter(|hold| hold.not_before > Timestamp::now());
            Ok((Retried::LookedAt, hold))
        }
    }
}

async fn judge_again(deployment: &Deployment, id: JobId) -> Result<Retried, Failure> {
    let outcome = deployment.retry(id).await?;
    if outcome.outcome == OutcomeKind::Refused {
        let ReasonView { code, text } = outcome.reason;
        return Err(Failure::from(anyhow!("job {id} was refused again: {text} [{code}]"))
            .hint(format!("run `ecsrunner why {id}` to see how to fix it")));
    }
    if outcome.is_accepted() {
        return Ok(Retried::JudgedAgain);
    }
    // The job changed meanwhile, because of a webhook or another operator.
    match deployment.job(id.get()).await? {
        Some(job) if !job.is_past() => Ok(Retried::LookedAt),
        Some(job) => Err(anyhow!("job {id} is now {} and was not retried", job.state).into()),
        None => Err(find::no_job(deployment, id)),
    }
}

async fn run_again(deployment: &Deployment, job: &JobView, id: JobId) -> Result<Retried, Failure> {
    let repository = Repository::parse(&job.repository).map_err(Failure::usage)?;
    let Some(client) = github::by_own_token(deployment.github_api()?)? else {
        return Err(Failure::permission(anyhow!(
            "job {id} has ended, and re-running it needs a token with `actions: write` in {repository}"
        ))
        .hint(format!(
            "set GH_TOKEN to your token, or re-run the job at {}",
            deployment.pages()?.job(&job.repository, job.run_id, job.id)
        )));
    };
    client.rerun_job(&repository, id).await.map_err(Failure::of_github)?;
    Ok(Retried::RunAgain)
}
