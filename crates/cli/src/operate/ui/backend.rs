//! A deployment on AWS behind the page, with the caller's own permissions.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use axum::Router;
use axum::http::StatusCode;
use ecsrunner_api::event::EventView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::operation::{Retried, Stopped};
use ecsrunner_api::reason::OutcomeView;
use ecsrunner_api::status::{DeploymentKind, LogSource};
use ecsrunner_aws::operate::OperateError;
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::decide::record::Outcome;
use ecsrunner_core::id::{JobId, RunnerName, TaskId};
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::records::open::Open;
use ecsrunner_engine::Ruleset;
use ecsrunner_engine::ports::store::StoreError;
use ecsrunner_web::poll::{Pace, Poller};
use ecsrunner_web::{About, Access, Control, LogFailure, Refusal, Source, connections};
use futures::stream::BoxStream;
use secrecy::SecretString;
use tokio::net::TcpListener;

use super::show;
use crate::arguments::UiArguments;
use crate::deployment::{AwsDeployment, Deployment, reasons_to_wait_of};
use crate::exit::{self, Failure};
use crate::interrupt::Interrupts;
use crate::operate::retry;
use crate::output::clean_but_tabs;
use crate::random;

/// Connections of the page's tabs.
const MAX_CONNECTIONS: usize = 64;
/// The most that is shown of a log. Each call of CloudWatch Logs returns at most 1 MiB.
const MAX_LOG_BYTES: usize = 8 << 20;

/// Serves the page on loopback until Ctrl-C.
pub(super) async fn serve(
    arguments: &UiArguments,
    aws: Arc<AwsDeployment>,
    query: &str,
) -> Result<(), Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .with_context(|| format!("cannot listen on {address}"))
        .map_err(|error| Failure::usage(error).hint("use another `--port`, or 0 for any free one"))?;
    let address = listener.local_addr()?;
    let token = random::text()?;
    let access = Access {
        token: SecretString::from(token.clone()),
        token_of: "`ecsrunner ui`",
        hosts: Vec::new(),
        hint: "use the address that `ecsrunner ui` prints",
    };
    let backend = Arc::new(Ui { aws, poller: Poller::new(Pace::default()) });
    let router = ecsrunner_web::router(Arc::clone(&backend), access, Router::new());
    // From now on Ctrl-C ends the page in order.
    let mut interrupts = Interrupts::begin()?;
    let _until_the_end =
        show(arguments, &format!("http://{address}/{query}#token={token}"), Some(address.port()))?;
    tokio::select! {
        served = connections::serve(listener, router, MAX_CONNECTIONS) => {
            served?;
            Err(anyhow!("the page ended unexpectedly").into())
        }
        never = backend.poller.run(&*backend) => match never {},
        () = interrupts.next() => Ok(()),
    }
}

struct Ui {
    aws: Arc<AwsDeployment>,
    poller: Poller,
}

impl Ui {
    fn deployment(&self) -> Deployment {
        Deployment::Aws(Arc::clone(&self.aws))
    }
}

impl Source for Ui {
    fn store(&self) -> &DynamoStore {
        self.aws.store()
    }

    fn about(&self) -> About {
        let pages = self.deployment().pages().ok().map(|pages| pages.at(""));
        About {
            kind: DeploymentKind::Aws,
            region: Some(self.aws.region().to_owned()),
            logs: LogSource::CloudWatch,
            github: pages.map(|pages| pages.trim_end_matches('/').to_owned()),
        }
    }

    async fn rules(&self) -> Result<Arc<Ruleset>, Refusal> {
        self.aws.rules_now().await.map(Arc::new).map_err(|failure| refusal(&failure))
    }

    fn reasons_to_wait(&self, open: &Open, rules: &Ruleset) -> HashMap<JobId, Reason> {
        reasons_to_wait_of(open, rules)
    }

    async fn changes(&self) -> Result<BoxStream<'static, EventView>, Refusal> {
        self.poller.listen().await
    }

    fn refusal(&self, fault: StoreError) -> Refusal {
        match fault {
            StoreError::Cursor { .. } => Refusal::of_store(&fault),
            fault => refusal(&Failure::of_aws(fault)),
        }
    }
}

impl Control for Ui {
    async fn pause(&self, paused: bool) -> Result<bool, Refusal> {
        self.deployment().pause(paused).await.map_err(|failure| refusal(&failure))
    }

    async fn stop(&self, runner: RunnerName, force: bool) -> Result<OutcomeView, Refusal> {
        let stopped = self.deployment().stop(&runner, force).await.map_err(|failure| refusal(&failure))?;
        let outcome = match stopped {
            Stopped::Done => Outcome::Accepted(Code::Recorded.into()),
            Stopped::Already | Stopped::Gone | Stopped::Busy(_) => Outcome::Ignored(Code::NothingNew.into()),
        };
        Ok(OutcomeView { message: Some(stopped.message(force)), ..OutcomeView::of(&outcome) })
    }

    async fn retry(&self, job: JobId) -> Result<OutcomeView, Refusal> {
        let deployment = self.deployment();
        let (retried, hold) = retry::perform(&deployment, job).await.map_err(|failure| refusal(&failure))?;
        let outcome = match retried {
            Retried::JudgedAgain | Retried::RunAgain => Outcome::Accepted(Code::Recorded.into()),
            Retried::LookedAt => Outcome::Ignored(Code::NothingNew.into()),
        };
        Ok(OutcomeView { message: Some(retried.message(hold.as_ref())), ..OutcomeView::of(&outcome) })
    }

    async fn job_log(&self, job: &JobView, timestamps: bool) -> Result<String, LogFailure> {
        let found = self.log(job, timestamps).await;
        found.map_err(|failure| LogFailure { refusal: refusal(&failure), is_fault: false })
    }
}

impl Ui {
    /// Reads the log of a job's runner, as `ecsrunner runners logs` does.
    async fn log(&self, job: &JobView, timestamps: bool) -> Result<String, Failure> {
        let absent = |what: String| Failure::not_found(anyhow!(what));
        let Some(name) = &job.runner else {
            return Err(absent(format!("job {} has no runner", job.id)));
        };
        let runner = self.deployment().runner(name).await?;
        let Some(task) = runner.and_then(|runner| runner.task) else {
            return Err(absent(format!("runner {name} has no task")));
        };
        let task = TaskId::parse(&task).map_err(Failure::usage)?;
        let (mut text, mut from): (String, Option<String>) = (String::new(), None);
        loop {
            let page = match self.aws.log(&task, None, from.as_deref()).await {
                Ok(page) => page,
                Err(OperateError::Missing(what)) => {
                    return Err(absent(format!("there is no {what}"))
                        .hint("wait until the task's container runs; an old log may have been deleted"));
                }
                Err(error) => return Err(Failure::of_aws(error)),
            };
            for line in &page.lines {
                if timestamps && let Some(at) = line.at {
                    text.push_str(&format!("{at:.3} "));
                }
                text.push_str(&clean_but_tabs(line.text.trim_end()));
                text.push('\n');
            }
            if text.len() > MAX_LOG_BYTES {
                text.push_str(&format!(
                    "[the log is longer than {} MiB, and its end is left out]\n",
                    MAX_LOG_BYTES >> 20
                ));
                return Ok(text);
            }
            // A repeated token means the present end of the log.
            if page.next.is_none() || page.next == from {
                return Ok(text);
            }
            from = page.next;
        }
    }
}

/// Says in HTTP's terms why a command failed.
fn refusal(failure: &Failure) -> Refusal {
    let status = match failure.code() {
        exit::USAGE => StatusCode::BAD_REQUEST,
        exit::PERMISSION => StatusCode::FORBIDDEN,
        exit::NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_GATEWAY,
    };
    let hint = failure.hint_text().map(|hint| format!(" ({hint})")).unwrap_or_default();
    Refusal::new(status, format!("{failure}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_iam_is_told_with_its_hint() {
        let denied =
            Failure::permission(anyhow!("not authorized to perform: dynamodb:Query")).hint("sign in");
        let expected =
            Refusal::new(StatusCode::FORBIDDEN, "not authorized to perform: dynamodb:Query (sign in)");
        assert_eq!(refusal(&denied), expected);
        assert_eq!(refusal(&anyhow!("the store is busy").into()).status, StatusCode::BAD_GATEWAY);
    }
}
