//! A deployment, as commands see it: on AWS, or a local server. Both return the
//! same views. How a command shows them does not belong here.

#[cfg(feature = "aws")]
mod aws;
pub(crate) mod github;
mod local;
mod named;
#[cfg(feature = "aws")]
mod profile;
#[cfg(feature = "aws")]
mod questions;

use std::collections::{HashMap, HashSet};
#[cfg(feature = "aws")]
use std::sync::Arc;

use anyhow::anyhow;
use ecsrunner_api::budget::BudgetsView;
use ecsrunner_api::class::ClassView;
use ecsrunner_api::job::JobView;
use ecsrunner_api::list::OPEN_CURSOR;
use ecsrunner_api::operation::Stopped;
use ecsrunner_api::reason::OutcomeView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_api::status::StatusView;
use ecsrunner_aws::task::TaskInfo;
use ecsrunner_core::id::{DeliveryId, JobId, RunnerName, TaskId};
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::records::runner::RunnerStage;
use ecsrunner_engine::Ruleset;
use ecsrunner_github::{ApiUrl, Client};
use jiff::Timestamp;

use crate::arguments::TargetArguments;
use crate::exit::Failure;

#[cfg(feature = "aws")]
pub(crate) use aws::{AwsDeployment, reasons_to_wait_of};
pub(crate) use github::Pages;
pub(crate) use local::LocalServer;
pub(crate) use named::Named;

/// The most records of history that a list, or one of its slices, reads.
const MAX_RECORDS: usize = 200_000;

/// The deployment that commands act on.
pub(crate) enum Deployment {
    #[cfg(feature = "aws")]
    Aws(Arc<AwsDeployment>),
    Local(LocalServer),
}

#[derive(Clone, Default, Debug)]
pub(crate) struct Query {
    pub(crate) repository: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) state: Option<State>,
    /// Omits records that ended earlier.
    pub(crate) since: Option<Timestamp>,
    /// The maximum number of records; all by default.
    pub(crate) limit: Option<usize>,
    /// Omits history.
    pub(crate) open_only: bool,
}

impl Query {
    /// Restricts the query to open records.
    pub(crate) fn open(self) -> Self {
        Self { open_only: true, ..self }
    }

    fn admits(&self, record: &impl Listed) -> bool {
        let admits = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| have.is_some_and(|have| have.eq_ignore_ascii_case(wanted)))
        };
        let is_late = self.since.is_none_or(|since| record.last().is_none_or(|last| last >= since));
        admits(&self.repository, Some(record.repository()))
            && admits(&self.class, record.class())
            && self.state.is_none_or(|state| record.state() == state)
            && (is_late || !record.is_past())
            && !(self.open_only && record.is_past())
    }

    /// Returns whether no further page of history is needed. `last` is when the last record read ended.
    fn is_enough(&self, admitted: usize, last: Option<Timestamp>) -> bool {
        self.open_only
            || self.limit.is_some_and(|limit| admitted >= limit)
            || self.since.is_some_and(|since| last.is_some_and(|last| last < since))
    }
}

trait Listed {
    /// Returns the record's id among those of its kind.
    fn key(&self) -> String;
    /// Returns when the record last changed.
    fn last(&self) -> Option<Timestamp>;
    fn repository(&self) -> &str;
    fn class(&self) -> Option<&str>;
    fn state(&self) -> State;

    fn is_past(&self) -> bool {
        self.state().is_past()
    }
}

/// The state of a job or of a runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Job(JobStage),
    Runner(RunnerStage),
}

impl State {
    /// Returns whether records in this state are history.
    fn is_past(self) -> bool {
        matches!(self, Self::Job(JobStage::Completed | JobStage::Refused) | Self::Runner(RunnerStage::Gone))
    }
}

impl Listed for JobView {
    fn key(&self) -> String {
        self.id.to_string()
    }

    fn last(&self) -> Option<Timestamp> {
        self.timeline.last().map(|stage| stage.at)
    }

    fn repository(&self) -> &str {
        &self.repository
    }

    fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }

    fn state(&self) -> State {
        State::Job(self.state)
    }
}

impl Listed for RunnerView {
    fn key(&self) -> String {
        self.name.clone()
    }

    fn last(&self) -> Option<Timestamp> {
        self.timeline.last().map(|stage| stage.at)
    }

    fn repository(&self) -> &str {
        self.repository.as_deref().unwrap_or_default()
    }

    fn class(&self) -> Option<&str> {
        Some(&self.class)
    }

    fn state(&self) -> State {
        State::Runner(self.state)
    }
}

/// Reads page by page, the latest first, until the query is satisfied.
async fn gather<T: Listed>(
    query: &Query,
    mut read: impl AsyncFnMut(Option<String>) -> Result<(Vec<T>, Option<String>), Failure>,
) -> Result<Vec<T>, Failure> {
    let (mut admitted, mut records, mut after): (Vec<Option<T>>, _, _) = (Vec::new(), 0, None);
    let mut places = HashMap::new();
    loop {
        let (page, next) = read(after).await?;
        records += page.len();
        let last = page.last().and_then(Listed::last);
        for record in page {
            // A record that ends while pages are read is listed open and then ended: the later one is right.
            let key = record.key();
            let record = query.admits(&record).then_some(record);
            match places.get(&key) {
                Some(place) => admitted[*place] = record,
                None if record.is_some() => {
                    places.insert(key, admitted.len());
                    admitted.push(record);
                }
                None => {}
            }
        }
        after = next;
        let is_history = after.as_deref().is_none_or(|after| !after.starts_with(OPEN_CURSOR));
        if after.is_none() || (is_history && query.is_enough(admitted.len(), last)) {
            return Ok(admitted.into_iter().flatten().collect());
        }
        if records >= MAX_RECORDS {
            // A part of the records could be mistaken for all of them.
            return Err(Failure::from(anyhow!("more than {records} records match"))
                .hint("use `--since` or `--repository` to select fewer"));
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A record: state, class, and the second of its last change.
    struct Record(State, Option<&'static str>, i64);

    impl Listed for Record {
        fn key(&self) -> String {
            format!("{:?} {}", self.1, self.2)
        }

        fn last(&self) -> Option<Timestamp> {
            Some(Timestamp::from_second(self.2).unwrap())
        }

        fn repository(&self) -> &str {
            "acme/app"
        }

        fn class(&self) -> Option<&str> {
            self.1
        }

        fn state(&self) -> State {
            self.0
        }
    }

    #[tokio::test]
    async fn a_record_that_ends_while_pages_are_read_is_listed_once_as_it_ended() {
        let (queued, completed) = (State::Job(JobStage::Queued), State::Job(JobStage::Completed));
        let listed = async |query: &Query| {
            let mut pages = vec![
                (vec![Record(completed, Some("a"), 1), Record(completed, Some("b"), 2)], None),
                (vec![Record(queued, Some("c"), 3)], Some("history".to_owned())),
                (vec![Record(queued, Some("a"), 1)], Some(format!("{OPEN_CURSOR}1"))),
            ];
            let listed = gather(query, async |_| Ok(pages.pop().unwrap())).await.unwrap();
            listed.iter().map(|record| (record.1.unwrap(), record.0)).collect::<Vec<_>>()
        };
        assert_eq!(listed(&Query::default()).await, [("a", completed), ("c", queued), ("b", completed)]);
        // A page of open records that are old, or that match nothing, ends no list.
        assert_eq!(listed(&Query::default().open()).await, [("a", queued), ("c", queued)]);
        let late = Query { since: Some(Timestamp::from_second(2).unwrap()), ..Query::default() };
        assert_eq!(listed(&late).await, [("c", queued), ("b", completed)]);
    }

    #[test]
    fn what_is_open_is_listed_however_old_and_what_ended_before_is_not() {
        let (queued, completed) = (State::Job(JobStage::Queued), State::Job(JobStage::Completed));
        let query = Query { since: Some(Timestamp::from_second(100).unwrap()), ..Query::default() };
        assert!(query.admits(&Record(queued, None, 1)));
        assert!(query.admits(&Record(completed, None, 100)));
        assert!(!query.admits(&Record(completed, None, 99)));
        let query = Query { class: Some("Small".to_owned()), ..query };
        assert!(query.admits(&Record(State::Runner(RunnerStage::Gone), Some("small"), 200)));
        assert!(!query.admits(&Record(queued, None, 200)));
    }
}
