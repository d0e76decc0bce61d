//! A deployment, as commands see it: on AWS, or a local server. Both return the
//! same views. How a command shows them does not belong here.

#[cfg(feature = "aws")]
mod aws;
pub(crate) mod github;
mod local;
mod named;
mod query;
#[cfg(feature = "aws")]
mod profile;
#[cfg(feature = "aws")]
mod questions;

use std::collections::HashSet;
#[cfg(feature = "aws")]
use std::sync::Arc;

use anyhow::anyhow;
use ecsrunner_api::budget::BudgetsView;
use ecsrunner_api::class::ClassView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::operation::Stopped;
use ecsrunner_api::reason::OutcomeView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_api::status::StatusView;
use ecsrunner_aws::task::TaskInfo;
use ecsrunner_core::id::{DeliveryId, JobId, RunnerName, TaskId};
use ecsrunner_engine::Ruleset;
use ecsrunner_github::{ApiUrl, Client};

use crate::arguments::TargetArguments;
use crate::exit::Failure;

#[cfg(feature = "aws")]
pub(crate) use aws::{AwsDeployment, reasons_to_wait_of};
pub(crate) use github::Pages;
pub(crate) use local::LocalServer;
pub(crate) use named::Named;
use query::gather;
pub(crate) use query::{Query, State};

/// The deployment that commands act on.
pub(crate) enum Deployment {
    #[cfg(feature = "aws")]
    Aws(Arc<AwsDeployment>),
    Local(LocalServer),
}

impl Deployment {
    /// Connects to the deployment that flags or variables name.
    pub(crate) async fn connect(target: &TargetArguments) -> Result<Self, Failure> {
        Ok(match Named::of(target)? {
            Named::Local(server) => Self::Local(LocalServer::at(&server)?),
            #[cfg(feature = "aws")]
            Named::Aws(name) => Self::Aws(Arc::new(AwsDeployment::connect(&name, target).await?)),
            #[cfg(not(feature = "aws"))]
            Named::Aws(name) => return Err(without_aws(&format!("deployment {name}"))),
        })
    }

    /// Pauses or resumes a deployment whose parameters are invalid. Returns its name.
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "only AWS is asked"))]
    pub(crate) async fn pause_blindly(target: &TargetArguments, paused: bool) -> Result<String, Failure> {
        match Named::of(target)? {
            #[cfg(not(feature = "aws"))]
            Named::Aws(name) => Err(without_aws(&format!("deployment {name}"))),
            #[cfg(feature = "aws")]
            Named::Aws(name) => {
                aws::pause_blindly(&name, target, paused).await?;
                Ok(format!("deployment {name}"))
            }
            // A running server has read its configuration at its start.
            Named::Local(server) => Err(anyhow!("{server} is not a deployment on AWS").into()),
        }
    }

    /// Returns the deployment on AWS, for a command that a local server does not support.
    #[cfg(feature = "aws")]
    pub(crate) fn on_aws(&self, what: &str) -> Result<&AwsDeployment, Failure> {
        match self {
            Self::Aws(aws) => Ok(aws),
            Self::Local(server) => {
                Err(Failure::usage(anyhow!("{what} needs a deployment on AWS, not {server}")))
            }
        }
    }

    /// Whether it is a server on one machine.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// Returns the name for people.
    pub(crate) fn name(&self) -> String {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => format!("deployment {}", aws.name()),
            Self::Local(server) => server.to_string(),
        }
    }

    /// Returns which webhook deliveries were recorded, or `None` if the deployment does not record them.
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "only AWS is asked"))]
    pub(crate) async fn recorded(&self, ids: &[DeliveryId]) -> Result<Option<HashSet<DeliveryId>>, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.recorded(ids).await.map(Some),
            Self::Local(_) => Ok(None),
        }
    }

    /// Describes a task of a runner. Returns `None` if tasks are processes, or ECS has forgotten it.
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "only AWS is asked"))]
    pub(crate) async fn task(&self, task: &TaskId) -> Result<Option<TaskInfo>, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.task(task).await,
            Self::Local(_) => Ok(None),
        }
    }

    /// Returns runners: open ones first, then ended ones, the latest first.
    pub(crate) async fn runners(&self, query: &Query) -> Result<Vec<RunnerView>, Failure> {
        let mut runners = match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.runners(query).await?,
            Self::Local(server) => server.runners(query).await?,
        };
        runners.truncate(query.limit.unwrap_or(usize::MAX));
        Ok(runners)
    }

    /// Returns jobs: open ones first, then ended ones, the latest first.
    pub(crate) async fn jobs(&self, query: &Query) -> Result<Vec<JobView>, Failure> {
        let mut jobs = match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.jobs(query).await?,
            Self::Local(server) => server.jobs(query).await?,
        };
        jobs.truncate(query.limit.unwrap_or(usize::MAX));
        Ok(jobs)
    }

    /// Returns what was spent of each budget.
    pub(crate) async fn budgets(&self) -> Result<BudgetsView, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.budgets().await,
            Self::Local(server) => server.budgets().await,
        }
    }

    /// Returns a job, open or ended.
    pub(crate) async fn job(&self, id: u64) -> Result<Option<JobView>, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.job(id).await,
            Self::Local(server) => server.job(id).await,
        }
    }

    /// Returns a runner, open or gone.
    pub(crate) async fn runner(&self, name: &str) -> Result<Option<RunnerView>, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.runner(name).await,
            Self::Local(server) => server.runner(name).await,
        }
    }

    /// Returns the version of GitHub's runner in a runner; `None` if it is not known, as on one machine.
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "only AWS is asked"))]
    pub(crate) async fn runner_version(&self, name: &str) -> Result<Option<String>, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.runner_version(name).await,
            Self::Local(_) => Ok(None),
        }
    }

    /// Retires a runner. With `force` its task is stopped even during a job.
    pub(crate) async fn stop(&self, name: &RunnerName, force: bool) -> Result<Stopped, Failure> {
        let outcome = match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.stop(name, force).await?,
            Self::Local(server) => server.stop(name, force).await?,
        };
        if outcome.is_accepted() {
            return Ok(Stopped::Done);
        }
        Ok(Stopped::without_change(self.runner(name.as_str()).await?.as_ref()))
    }

    /// Evaluates a refused job again.
    pub(crate) async fn retry(&self, job: JobId) -> Result<OutcomeView, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.retry(job).await,
            Self::Local(server) => server.retry(job).await,
        }
    }

    /// Pauses or resumes launches. Returns whether they are paused now: the
    /// deployment's own settings can pause them too.
    pub(crate) async fn pause(&self, paused: bool) -> Result<bool, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.pause(paused).await,
            Self::Local(server) => server.pause(paused).await,
        }
    }

    pub(crate) async fn status(&self) -> Result<StatusView, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => Ok(StatusView::of(&aws.rules().settings)),
            Self::Local(server) => server.status().await,
        }
    }

    /// Returns the rules of the deployment.
    pub(crate) fn rules(&self) -> Result<Ruleset, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => Ok(aws.rules()),
            Self::Local(server) => server.rules(),
        }
    }

    /// Returns a GitHub client that changes something with the credentials of the control plane.
    pub(crate) async fn github_directly(&self) -> Result<Client, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.github_directly().await,
            Self::Local(server) => server.github(),
        }
    }

    /// Returns a GitHub client that reads with the permissions of the control plane.
    pub(crate) async fn github(&self) -> Result<Client, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.github().await,
            Self::Local(server) => server.github(),
        }
    }

    /// Returns the address of the deployment's GitHub, so that no token is sent to another GitHub.
    pub(crate) fn github_api(&self) -> Result<ApiUrl, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(_) => github::api(),
            Self::Local(server) => server.github_api(),
        }
    }

    /// Returns the addresses of GitHub's pages.
    pub(crate) fn pages(&self) -> Result<Pages, Failure> {
        Ok(Pages::of(&self.github_api()?))
    }

    pub(crate) async fn classes(&self) -> Result<Vec<ClassView>, Failure> {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(aws) => Ok(aws.classes()),
            Self::Local(server) => server.classes().await,
        }
    }
}

/// Explains that this build cannot reach AWS.
#[cfg(not(feature = "aws"))]
pub(crate) fn without_aws(what: &str) -> Failure {
    Failure::usage(anyhow!("{what} is on AWS, and this build of ecsrunner has no AWS commands"))
        .hint("use a released binary, or build with `cargo build --release --features aws`")
}
