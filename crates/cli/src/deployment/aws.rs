//! A deployment on AWS: its parameters, its tables, its tasks.

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use ecsrunner_aws::connection::{Connection, Environment, Service};
use ecsrunner_aws::operate::{Channel, LogPage, OperateError, Operator};
use ecsrunner_aws::parameters::{Configuration, Parameters, ParametersError};
use ecsrunner_aws::queue::SqsQueue;
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::event::Keys;
use ecsrunner_core::id::{Deployment as DeploymentName, JobId, Repository, RunnerName, TaskId};
use ecsrunner_core::job::JobRecord;
use ecsrunner_core::plan::Open;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::record::Change;
use ecsrunner_core::runner::{Ending, EndingKind, Runner, RunnerState, TaskLeft};
use ecsrunner_engine::chain;
use ecsrunner_engine::ports::queue::Queue;
use ecsrunner_engine::ports::store::{History, Lease, Page, Store, StoreError, Transaction};
use ecsrunner_engine::view::{ClassView, JobView, RunnerView};
use jiff::Timestamp;

use super::{Listed, Query, gather, profile};
use crate::arguments::TargetArguments;
use crate::environment;
use crate::exit::Failure;
use crate::output::say;

/// Records in a page of history.
const PAGE: u32 = 1000;
/// How often a record is decided anew because another write came first.
const TRIES: u32 = 8;

pub(crate) struct AwsDeployment {
    name: DeploymentName,
    connection: Connection,
    configuration: Arc<Configuration>,
    store: DynamoStore,
}

impl AwsDeployment {
    pub(super) async fn connect(name: &str, target: &TargetArguments) -> Result<Self, Failure> {
        let name = DeploymentName::parse(name).map_err(Failure::usage)?;
        let variables = profile::variables(target.profile.as_deref(), target.region.as_deref())?;
        let environment = Environment::read(|name| variables.get(name).cloned()).map_err(Failure::usage)?;
        let connection = Connection::new(environment)?;
        let parameters = Parameters::new(&connection, name.clone());
        let configuration = parameters.read(Timestamp::now()).await.map_err(|error| {
            let region = connection.region();
            let missing = matches!(&error, ParametersError::Mistakes(mistakes)
                if mistakes.iter().all(|mistake| mistake.ends_with("does not exist")));
            if missing {
                Failure::not_found(anyhow!("there is no deployment `{name}` in {region}"))
                    .hint("is it another Region or account? `--region` and `--profile` name them")
            } else {
                Failure::of_aws(error)
            }
        })?;
        let mut tables = configuration.deployment.tables.clone();
        if let Some(table) = environment::text(environment::STATE_TABLE) {
            tables.state = table;
        }
        let store = DynamoStore::new(&connection, tables);
        Ok(Self { name, connection, configuration, store })
    }

    pub(crate) fn name(&self) -> &DeploymentName {
        &self.name
    }

    pub(crate) fn region(&self) -> &str {
        self.connection.region()
    }

    pub(super) fn classes(&self) -> Vec<ClassView> {
        ClassView::all(&self.configuration.catalogue)
    }

    pub(super) async fn runners(&self, query: &Query) -> Result<Vec<RunnerView>, Failure> {
        let now = Timestamp::now();
        let open = self.open().await?.runners;
        let mut past = Vec::new();
        if query.wants_past() {
            let page = page(query)?;
            past = gather(query, async |after| {
                let listed = self.store.runners(&Page { after, ..page.clone() }).await;
                let listed = listed.map_err(Failure::of_aws)?;
                Ok((listed.items.iter().map(RunnerView::gone).collect(), listed.next))
            })
            .await?;
        }
        // One that ended between the two reads is listed once, as it is now.
        let gone: HashSet<String> = past.iter().map(|runner| runner.name.clone()).collect();
        let open = open.iter().map(|runner| RunnerView::open(runner, now));
        let open = open.filter(|runner| runner.is_admitted(query) && !gone.contains(&runner.name));
        Ok(open.chain(past).collect())
    }

    pub(super) async fn jobs(&self, query: &Query) -> Result<Vec<JobView>, Failure> {
        let open = self.open().await?.jobs;
        let mut past = Vec::new();
        if query.wants_past() {
            let page = page(query)?;
            past = gather(query, async |after| {
                let listed = self.store.jobs(&Page { after, ..page.clone() }).await;
                let listed = listed.map_err(Failure::of_aws)?;
                Ok((listed.items.iter().map(JobView::ended).collect(), listed.next))
            })
            .await?;
        }
        let ended: HashSet<u64> = past.iter().map(|job| job.id).collect();
        let open = open.iter().map(JobView::open);
        let open = open.filter(|job| job.is_admitted(query) && !ended.contains(&job.id));
        Ok(open.chain(past).collect())
    }

    async fn open(&self) -> Result<Open, Failure> {
        let open = self.store.open().await.map_err(Failure::of_aws)?;
        if open.unreadable > 0 {
            say(&format!(
                "note: {} open records cannot be read by this release, and are left out",
                open.unreadable
            ));
        }
        Ok(open)
    }

    /// The names of runners that are not gone.
    pub(crate) async fn open_runners(&self) -> Result<Vec<RunnerName>, Failure> {
        let open = self.open().await?;
        Ok(open.runners.iter().map(|runner| runner.name().clone()).collect())
    }

    pub(super) async fn job(&self, id: u64) -> Result<Option<JobView>, Failure> {
        let record = self.store.job(JobId::new(id)).await.map_err(Failure::of_aws)?;
        Ok(record.map(|record| match record {
            JobRecord::Open(job) => JobView::open(&job),
            JobRecord::Ended(job) => JobView::ended(&job),
        }))
    }

    pub(super) async fn runner(&self, name: &str) -> Result<Option<RunnerView>, Failure> {
        let Ok(name) = RunnerName::parse(name) else { return Ok(None) };
        if let Some(open) = self.open_runner(&name).await? {
            return Ok(Some(RunnerView::open(&open, Timestamp::now())));
        }
        let gone = self.store.gone_runner(&name).await.map_err(Failure::of_aws)?;
        Ok(gone.as_ref().map(RunnerView::gone))
    }

    async fn open_runner(&self, name: &RunnerName) -> Result<Option<Runner>, Failure> {
        let keys = Keys { job: None, runner: Some(name.clone()) };
        Ok(self.store.load(&keys).await.map_err(Failure::of_aws)?.runner)
    }

    /// Has a runner retired; with `force` its task is stopped, whatever it executes.
    pub(crate) async fn stop(&self, name: &RunnerName, force: bool) -> Result<Stopped, Failure> {
        for _ in 0..TRIES {
            let Some(runner) = self.open_runner(name).await? else { return Ok(Stopped::Gone) };
            match &runner.state {
                RunnerState::Busy { job, .. } if !force => return Ok(Stopped::Busy(job.map(JobId::get))),
                RunnerState::Ending(ending) if !force || is_over(ending) => {
                    self.wake_or_say().await;
                    return Ok(Stopped::Already);
                }
                _ => {}
            }
            // Retired like a surplus one, it ends by itself if a job is on its way to it.
            let kind = if force { EndingKind::StoppedByOperator } else { EndingKind::Surplus };
            let note = Reason::from(Code::StoppedByOperator);
            // A clock that differs from the dispatcher's must not make it out that no try is under way.
            let runner = Runner { retry: None, ..runner };
            let changes = [Change::Runner(runner.end(kind, Some(note), Timestamp::now()))];
            match self.store.commit(Transaction::of(&changes)).await {
                Ok(()) => {
                    self.wake_or_say().await;
                    return Ok(Stopped::Done);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(Failure::of_aws(error)),
            }
        }
        Err(anyhow!("the record of runner {name} changes all the time").into())
    }

    /// Has the control plane look at once. What was written stands without it.
    async fn wake_or_say(&self) {
        if let Err(error) = self.wake().await {
            let error = chain(&*error);
            say(&format!(
                "note: it takes effect within a minute, with the next sweep, and not at once: {error}"
            ));
        }
    }

    async fn wake(&self) -> Result<(), Box<dyn Error>> {
        self.store.kick().await?;
        let queue = SqsQueue::new(&self.connection, &self.configuration.deployment.queue_url);
        Ok(queue.post_kick(Duration::ZERO).await?)
    }

    /// Pauses launches, or lets them go on.
    pub(crate) async fn pause(&self, paused: bool) -> Result<(), Failure> {
        self.operator().pause(&self.name, paused).await.map_err(Failure::of_aws)?;
        self.wake_or_say().await;
        Ok(())
    }

    /// Opens a channel into a task.
    pub(crate) async fn open_channel(&self, task: &TaskId, command: &str) -> Result<Channel, OperateError> {
        self.operator().open_channel(&self.configuration.deployment.cluster, task, command).await
    }

    /// A part of a task's log.
    pub(crate) async fn log(&self, task: &TaskId, from: Option<&str>) -> Result<LogPage, OperateError> {
        self.operator().log(&self.configuration.deployment.log_group, task, from).await
    }

    /// Where ECS is asked.
    pub(crate) fn ecs_endpoint(&self) -> String {
        self.connection.endpoint(Service::Ecs)
    }

    fn operator(&self) -> Operator<'_> {
        Operator::new(&self.connection)
    }
}

/// What became of stopping a runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stopped {
    /// It is being retired.
    Done,
    /// It was being retired already.
    Already,
    /// It is gone.
    Gone,
    /// It executes a job, and was left alone.
    Busy(Option<u64>),
}

fn page(query: &Query) -> Result<Page, Failure> {
    let repository = query.repository.as_deref().map(Repository::parse).transpose();
    let limit = query.limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(PAGE).min(PAGE);
    Ok(Page { repository: repository.map_err(Failure::usage)?, limit, after: None })
}

/// Whether there is nothing left to be stopped.
fn is_over(ending: &Ending) -> bool {
    ending.kind.overrides_job() || matches!(ending.task, TaskLeft::Stopping { .. } | TaskLeft::Stopped { .. })
}
