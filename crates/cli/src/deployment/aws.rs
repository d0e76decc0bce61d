//! A deployment on AWS: its parameters, its tables, its tasks.

mod version;

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use ecsrunner_api::budget::BudgetsView;
use ecsrunner_api::class::ClassView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::reason::OutcomeView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_aws::connection::{Connection, Service};
use ecsrunner_aws::operate::{Channel, LogPage, OperateError, Operator};
use ecsrunner_aws::parameters::{Configuration, DeploymentFacts, Parameters, ParametersError};
use ecsrunner_aws::queue::SqsQueue;
use ecsrunner_aws::secrets::{Freshness, GitHubCredentials, Secrets};
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_aws::task::TaskInfo;
use ecsrunner_core::decide::plan::{Means, reasons_to_wait};
use ecsrunner_core::id::{
    Account, DeliveryId, Deployment as DeploymentName, JobId, Repository, RunnerName, ServiceName, TaskId,
    TaskName,
};
use ecsrunner_core::reason::Reason;
use ecsrunner_core::records::job::JobRecord;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::rules::pace::Bucket;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::event::{Event, Keys, RetryRequest, StopRequest};
use ecsrunner_engine::commit::commit_event;
use ecsrunner_engine::ports::queue::Queue;
use ecsrunner_engine::ports::store::{History, Leases, Page, Progress, Store};
use ecsrunner_engine::{Ruleset, chain};
use ecsrunner_github::{App, CALL_LIMIT, Client, Credentials};
use futures::future::try_join_all;
use jiff::Timestamp;
use rustls::ClientConfig;

use super::query::Listed;
use super::questions::Questions;
use super::{Query, State, gather, github, profile};
use crate::arguments::TargetArguments;
use crate::environment;
use crate::exit::Failure;
use crate::output::say;

/// Records in a page of history.
const MAX_IN_A_PAGE: usize = 1000;
/// Slices of a span of time that are read concurrently.
const SLICES: i32 = 8;

/// Splits a query's time into spans, the latest first. An index is read page
/// by page, so that several spans can be read concurrently.
fn slices(query: &Query, now: Timestamp) -> Vec<(Option<Timestamp>, Option<Timestamp>)> {
    let is_one_page = query.limit.is_some_and(|limit| limit <= MAX_IN_A_PAGE)
        && query.class.is_none()
        && query.state.is_none();
    let Some(since) = query.since.filter(|since| !is_one_page && *since < now) else {
        return vec![(query.since, None)];
    };
    let width = now.duration_since(since) / SLICES;
    let edge = |slice: i32| since + width * slice;
    // The latest span is open, so that it includes what ends during the read.
    let to = |slice: i32| (slice + 1 < SLICES).then(|| edge(slice + 1));
    (0..SLICES).rev().map(|slice| (Some(edge(slice)), to(slice))).collect()
}

impl Query {
    /// Returns whether history has to be read.
    fn wants_past(&self) -> bool {
        !self.open_only && self.state.is_none_or(State::is_past)
    }
}

/// Connects to the account and Region that flags and variables name.
async fn reach(name: &str, target: &TargetArguments) -> Result<(DeploymentName, Connection), Failure> {
    let name = DeploymentName::parse(name).map_err(Failure::usage)?;
    let connection = profile::connect(target.profile.as_deref(), target.region.as_deref()).await?;
    Ok((name, connection))
}

/// Pauses or resumes a deployment whose other parameters are invalid.
pub(super) async fn pause_blindly(name: &str, target: &TargetArguments, paused: bool) -> Result<(), Failure> {
    let (name, connection) = reach(name, target).await?;
    Operator::new(&connection).pause(&name, paused).await.map_err(Failure::of_aws)
}

/// Returns a client with the credentials of a deployment's secret.
fn github_client(credentials: &GitHubCredentials, tls: Arc<ClientConfig>) -> Result<Client, Failure> {
    let credentials = match credentials {
        GitHubCredentials::Token(token) => Credentials::Token(token.clone()),
        GitHubCredentials::App(app) => {
            Credentials::App(App::new(&app.id, app.private_key.clone(), app.installation)?)
        }
    };
    Ok(Client::with_tls(github::api()?, &credentials, CALL_LIMIT, Some(tls))?)
}

pub(crate) struct AwsDeployment {
    name: DeploymentName,
    connection: Connection,
    parameters: Parameters,
    /// As it was when the command began.
    configuration: Arc<Configuration>,
    store: DynamoStore,
}

impl AwsDeployment {
    pub(super) async fn connect(name: &str, target: &TargetArguments) -> Result<Self, Failure> {
        let (name, connection) = reach(name, target).await?;
        let parameters = Parameters::new(&connection, name.clone());
        let configuration = parameters.read(Timestamp::now()).await.map_err(|error| {
            let region = connection.region();
            let missing = matches!(&error, ParametersError::Mistakes(mistakes)
                if mistakes.iter().all(|mistake| mistake.ends_with("does not exist")));
            if missing {
                Failure::not_found(anyhow!("there is no deployment `{name}` in {region}"))
                    .hint("check the Region and the account: `--region` and `--profile` select them")
            } else {
                Failure::of_aws(error)
            }
        })?;
        let mut tables = configuration.deployment.tables.clone();
        if let Some(table) = environment::text(environment::STATE_TABLE) {
            tables.state = table;
        }
        let store = DynamoStore::new(&connection, tables);
        Ok(Self { name, connection, parameters, configuration, store })
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
        let past = self.past(query, async |page| {
            let listed = self.store.runners(&page).await.map_err(Failure::of_aws)?;
            Ok((listed.items.iter().map(RunnerView::past).collect(), listed.next))
        });
        // Open records are read first. A runner that ends between the two reads is listed once, as ended.
        let open = self.open().await?;
        let past = past.await?;
        let gone: HashSet<&str> = past.iter().map(|runner| runner.name.as_str()).collect();
        let open = RunnerView::all(&open, now);
        let open = open.filter(|runner| query.admits(runner) && !gone.contains(runner.name.as_str()));
        let open: Vec<RunnerView> = open.collect();
        Ok(open.into_iter().chain(past).collect())
    }

    pub(super) async fn jobs(&self, query: &Query) -> Result<Vec<JobView>, Failure> {
        let past = self.past(query, async |page| {
            let listed = self.store.jobs(&page).await.map_err(Failure::of_aws)?;
            Ok((listed.items.iter().map(JobView::ended).collect(), listed.next))
        });
        let open = self.open().await?;
        let past = past.await?;
        // For a job in both lists, the longer timeline is newer: the job has ended
        // since, or it is open again and the index of history is not yet updated.
        let stages: HashMap<u64, usize> = past.iter().map(|job| (job.id, job.timeline.len())).collect();
        let rules = self.rules();
        let reasons = reasons_to_wait_of(&open, &rules);
        let planned = |job| JobView::planned(job, &open, &reasons, &rules.catalogue);
        let open: Vec<JobView> = open.jobs.values().map(planned).collect();
        let open = open.into_iter().filter(|job| {
            let is_later = stages.get(&job.id).is_none_or(|stages| job.timeline.len() > *stages);
            is_later && query.admits(job)
        });
        let open: Vec<JobView> = open.collect();
        let reopened: HashSet<u64> = open.iter().map(|job| job.id).collect();
        let past = past.into_iter().filter(|job| !reopened.contains(&job.id));
        Ok(open.iter().cloned().chain(past).collect())
    }

    /// Reads history, the latest first. Several spans of time are read concurrently.
    async fn past<T: Listed>(
        &self,
        query: &Query,
        read: impl AsyncFn(Page) -> Result<(Vec<T>, Option<String>), Failure>,
    ) -> Result<Vec<T>, Failure> {
        if !query.wants_past() {
            return Ok(Vec::new());
        }
        let page = page(query)?;
        let (page, read) = (&page, &read);
        let slices = slices(query, Timestamp::now()).into_iter().map(|(since, before)| {
            gather(query, async move |after| read(Page { since, before, after, ..page.clone() }).await)
        });
        Ok(try_join_all(slices).await?.into_iter().flatten().collect())
    }

    pub(crate) async fn open(&self) -> Result<Open, Failure> {
        let open = self.store.open().await.map_err(Failure::of_aws)?;
        if open.unreadable > 0 {
            say(&format!(
                "note: {} open records are omitted: this release cannot read them",
                open.unreadable
            ));
        }
        Ok(open)
    }

    pub(super) async fn job(&self, id: u64) -> Result<Option<JobView>, Failure> {
        let record = self.store.job(JobId::new(id)).await.map_err(Failure::of_aws)?;
        Ok(match record {
            None => None,
            Some(JobRecord::Ended(job)) => Some(JobView::ended(&job)),
            Some(JobRecord::Open(job)) => {
                let (open, rules) = (self.open().await?, self.rules());
                Some(JobView::planned(&job, &open, &reasons_to_wait_of(&open, &rules), &rules.catalogue))
            }
        })
    }

    pub(super) async fn task(&self, task: &TaskId) -> Result<Option<TaskInfo>, Failure> {
        self.operator().task(&self.facts().cluster, task).await.map_err(Failure::of_aws)
    }

    pub(super) async fn runner(&self, name: &str) -> Result<Option<RunnerView>, Failure> {
        let Ok(name) = TaskName::parse(name) else { return Ok(None) };
        let open = self.store.load(&Keys::of_task(&name)).await.map_err(Failure::of_aws)?;
        if let Some(view) = RunnerView::of(&open, Timestamp::now()) {
            return Ok(Some(view));
        }
        let gone = self.store.gone(&name).await.map_err(Failure::of_aws)?;
        Ok(gone.as_ref().map(RunnerView::past))
    }

    /// Retires a runner. With `force` its task is stopped even during a job.
    pub(super) async fn stop(&self, name: &RunnerName, force: bool) -> Result<OutcomeView, Failure> {
        self.write(&Event::Stop(StopRequest { runner: name.clone(), force, at: Timestamp::now() })).await
    }

    /// Evaluates a refused job again.
    pub(super) async fn retry(&self, job: JobId) -> Result<OutcomeView, Failure> {
        self.write(&Event::Retry(RetryRequest { job, at: Timestamp::now() })).await
    }

    /// Records the operator's request, and wakes the control plane.
    async fn write(&self, event: &Event) -> Result<OutcomeView, Failure> {
        // The page can be open for long: what was refused may be allowed by now.
        let written = commit_event(&self.store, event, None, &self.rules_now().await?).await;
        let recorded = written.map_err(|fault| Failure::of_aws(fault.error))?;
        if recorded.replan {
            self.wake_or_say().await;
        }
        Ok(OutcomeView::of(&recorded.outcome))
    }

    /// Returns whether GitHub is on the internet, rather than a server of the operator's own: as the deployment says, or
    /// else, if an earlier release wrote its parameter, as the caller's environment does.
    pub(crate) fn is_github_outside(&self) -> bool {
        let own = self.facts().github_api_url.clone();
        let api = own.or_else(|| github::api().ok().map(|api| api.to_string()));
        api.is_none_or(|api| !api.trim_end_matches('/').ends_with(github::ENTERPRISE))
    }

    /// Returns the TLS configuration of calls to AWS, for other calls.
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        self.connection.tls()
    }

    /// Returns the records of the deployment.
    pub(crate) fn store(&self) -> &DynamoStore {
        &self.store
    }

    /// Returns the rules as they are now, read at most 25 seconds ago.
    pub(crate) async fn rules_now(&self) -> Result<Ruleset, Failure> {
        let configuration = self.parameters.read(Timestamp::now()).await.map_err(Failure::of_aws)?;
        Ok(configuration.ruleset())
    }

    /// Returns the rules from the parameters.
    pub(crate) fn rules(&self) -> Ruleset {
        self.configuration.ruleset()
    }

    /// Returns the names of the deployment's parts.
    pub(crate) fn facts(&self) -> &DeploymentFacts {
        &self.configuration.deployment
    }

    /// Returns the errors of classes that are left out.
    pub(crate) fn class_faults(&self) -> &[String] {
        &self.configuration.class_faults
    }

    /// Returns when the last sweep began.
    pub(crate) async fn swept_at(&self) -> Result<Option<Timestamp>, Failure> {
        Ok(self.store.progress().await.map_err(Failure::of_aws)?.began_at)
    }

    /// Returns those of the deliveries that were recorded.
    pub(crate) async fn recorded(&self, ids: &[DeliveryId]) -> Result<HashSet<DeliveryId>, Failure> {
        self.store.recorded_deliveries(ids).await.map_err(Failure::of_aws)
    }

    pub(super) async fn budgets(&self) -> Result<BudgetsView, Failure> {
        let read = ecsrunner_web::read_budgets(&self.store, &self.rules(), Timestamp::now()).await;
        read.map_err(Failure::of_aws)
    }

    /// Returns how many records are open, and how many others cannot be read.
    pub(crate) async fn counts(&self) -> Result<(usize, usize), Failure> {
        let open = self.store.open().await.map_err(Failure::of_aws)?;
        Ok((open.jobs.len() + open.runners.len(), open.unreadable))
    }

    /// Returns how many webhook secrets are valid, if the caller may read them.
    pub(crate) async fn webhook_secrets(&self) -> Result<usize, Failure> {
        let read = self.secrets().webhook_secrets(Freshness::Usual, Timestamp::now()).await;
        Ok(read.map_err(Failure::of_aws)?.len())
    }

    /// Returns a GitHub client that the deployment's function answers, so that an operator needs no credentials of
    /// GitHub. If there is no such function, or if the caller may not invoke it, the deployment's secret is read.
    pub(super) async fn github(&self) -> Result<Client, Failure> {
        let Some(function) = &self.facts().questions_function else { return self.github_directly().await };
        if self.operator().may_invoke(function).await.map_err(Failure::of_aws)? {
            return Ok(Client::through(Questions::to(&self.connection, function)));
        }
        self.github_directly().await.map_err(|failure| {
            failure.hint(format!("`lambda:InvokeFunction` on `{function}` is enough for this command"))
        })
    }

    /// Returns a GitHub client with the credentials of the deployment's secret.
    pub(super) async fn github_directly(&self) -> Result<Client, Failure> {
        let told = self.secrets().github_credentials(Timestamp::now()).await.map_err(Failure::of_aws)?;
        github_client(&told, self.connection.tls())
    }

    fn secrets(&self) -> Secrets {
        let facts = self.facts();
        Secrets::new(&self.connection, &facts.webhook_secret, &facts.github_secret)
    }

    /// Wakes the control plane, or prints a note: without it the next sweep finds what was written.
    async fn wake_or_say(&self) {
        if let Err(error) = self.wake().await {
            let error = chain(&*error);
            say(&format!("note: the change takes effect with the next sweep, within a minute: {error}"));
        }
    }

    async fn wake(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.store.kick().await?;
        let queue = SqsQueue::new(&self.connection, &self.configuration.deployment.queue_url);
        Ok(queue.post_kick(Duration::ZERO).await?)
    }

    /// Pauses or resumes launches.
    pub(super) async fn pause(&self, paused: bool) -> Result<bool, Failure> {
        self.operator().pause(&self.name, paused).await.map_err(Failure::of_aws)?;
        self.parameters.forget();
        self.wake_or_say().await;
        let configuration = self.parameters.read(Timestamp::now()).await.map_err(Failure::of_aws)?;
        // The parameter may not show the change yet: only its settings count.
        Ok(paused || configuration.paused_by_settings)
    }

    /// Opens a channel into a task.
    pub(crate) async fn open_channel(&self, task: &TaskId, command: &str) -> Result<Channel, OperateError> {
        self.operator().open_channel(&self.configuration.deployment.cluster, task, command).await
    }

    /// Returns a page of the log of a task's runner, or of a service beside it.
    pub(crate) async fn log(
        &self,
        task: &TaskId,
        service: Option<&ServiceName>,
        from: Option<&str>,
    ) -> Result<LogPage, OperateError> {
        self.operator().log(&self.configuration.deployment.log_group, task, service, from).await
    }

    /// Returns the endpoint of ECS.
    pub(crate) fn ecs_endpoint(&self) -> String {
        self.connection.endpoint(Service::Ecs)
    }

    /// Returns the client for AWS data that is not in the records.
    pub(crate) fn operator(&self) -> Operator<'_> {
        Operator::new(&self.connection)
    }
}

/// Returns why each queued job waits. The control plane does not write that down.
pub(crate) fn reasons_to_wait_of(open: &Open, rules: &Ruleset) -> HashMap<JobId, Reason> {
    // With a token instead of an App, all scopes have one account.
    let token = Bucket::GitHub(Account::token());
    let has_token = open.levels.contains_key(&token);
    let account = |scope: &Scope| if has_token { Account::token() } else { scope.owner() };
    let images = rules.images.as_ref();
    let means = Means { subnets: &rules.subnets, account: &account, images, ..Means::default() };
    reasons_to_wait(open, rules.rules(), means, Timestamp::now())
}

fn page(query: &Query) -> Result<Page, Failure> {
    let repository = query.repository.as_deref().map(Repository::parse).transpose();
    let limit = query.limit.unwrap_or(MAX_IN_A_PAGE).min(MAX_IN_A_PAGE);
    Ok(Page {
        repository: repository.map_err(Failure::usage)?,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        ..Page::default()
    })
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::records::job::JobStage;
    use ecsrunner_core::records::runner::RunnerStage;

    use super::*;

    #[test]
    fn a_span_of_time_is_read_in_slices_without_gap_or_overlap() {
        let at = |secs| Timestamp::from_second(secs).unwrap();
        let query = Query { since: Some(at(0)), ..Query::default() };
        let slices = slices(&query, at(800));
        assert_eq!(slices.len(), 8);
        assert_eq!(slices.first(), Some(&(Some(at(700)), None)));
        assert_eq!(slices.last(), Some(&(Some(at(0)), Some(at(100)))));
        assert!(slices.windows(2).all(|pair| pair[0].0 == pair[1].1), "{slices:?}");
        // One page is enough, so that nothing is read concurrently.
        let few = Query { limit: Some(100), ..query };
        assert_eq!(super::slices(&few, at(800)), [(Some(at(0)), None)]);
    }

    #[test]
    fn a_state_that_is_open_reads_no_history() {
        let with = |state| Query { state: Some(state), ..Query::default() };
        assert!(!with(State::Runner(RunnerStage::Busy)).wants_past());
        assert!(with(State::Runner(RunnerStage::Gone)).wants_past());
        assert!(with(State::Job(JobStage::Refused)).wants_past());
    }
}
