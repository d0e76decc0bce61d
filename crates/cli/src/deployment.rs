//! A deployment, as commands see it: on AWS, or a server on some machine.
//!
//! Both tell the same views; what a command makes of them does not belong here.

mod aws;
mod local;
mod profile;

use anyhow::anyhow;
use ecsrunner_engine::view::{ClassView, JobView, RunnerView};
use jiff::Timestamp;

use crate::arguments::TargetArguments;
use crate::environment;
use crate::exit::Failure;
use crate::output::say;

pub(crate) use aws::{AwsDeployment, Stopped};
use local::LocalServer;

/// The most records of history that one list looks through.
const MOST_RECORDS: usize = 200_000;

/// Where commands are carried out.
pub(crate) enum Deployment {
    Aws(Box<AwsDeployment>),
    Local(LocalServer),
}

/// Which records.
#[derive(Clone, Default, Debug)]
pub(crate) struct Query {
    pub(crate) repository: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) state: Option<String>,
    /// What has ended before is left out.
    pub(crate) since: Option<Timestamp>,
    /// At most so many; all by default.
    pub(crate) limit: Option<usize>,
}

impl Query {
    fn admits(&self, repository: &str, class: Option<&str>, state: &str, last: Option<Timestamp>) -> bool {
        let admits = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| have.is_some_and(|have| have.eq_ignore_ascii_case(wanted)))
        };
        let late = self.since.is_none_or(|since| !is_past(state) || last.is_none_or(|last| last >= since));
        admits(&self.repository, Some(repository))
            && admits(&self.class, class)
            && admits(&self.state, Some(state))
            && late
    }

    /// Whether history is looked through at all.
    fn wants_past(&self) -> bool {
        self.state.as_deref().is_none_or(is_past)
    }

    /// Whether no later page of history adds anything. `last` is when the latest record read so far ended.
    fn is_enough(&self, admitted: usize, last: Option<Timestamp>) -> bool {
        self.limit.is_some_and(|limit| admitted >= limit)
            || self.since.is_some_and(|since| last.is_some_and(|last| last < since))
    }
}

/// What lists hold.
trait Listed {
    /// When it last changed.
    fn last(&self) -> Option<Timestamp>;

    /// Whether it is asked for.
    fn is_admitted(&self, query: &Query) -> bool;
}

impl Listed for JobView {
    fn last(&self) -> Option<Timestamp> {
        self.timeline.last().map(|stage| stage.at)
    }

    fn is_admitted(&self, query: &Query) -> bool {
        query.admits(&self.repository, self.class.as_deref(), &self.state, self.last())
    }
}

impl Listed for RunnerView {
    fn last(&self) -> Option<Timestamp> {
        self.timeline.last().map(|stage| stage.at)
    }

    fn is_admitted(&self, query: &Query) -> bool {
        query.admits(&self.repository, Some(&self.class), &self.state, self.last())
    }
}

/// Reads page after page, the latest first, until all that is asked for is there.
async fn gather<T: Listed>(
    query: &Query,
    mut read: impl AsyncFnMut(Option<String>) -> Result<(Vec<T>, Option<String>), Failure>,
) -> Result<Vec<T>, Failure> {
    let (mut admitted, mut records, mut after) = (Vec::new(), 0, None);
    loop {
        let (page, next) = read(after).await?;
        records += page.len();
        let last = page.last().and_then(Listed::last);
        admitted.extend(page.into_iter().filter(|record| record.is_admitted(query)));
        after = next;
        if after.is_none() || query.is_enough(admitted.len(), last) {
            return Ok(admitted);
        }
        if records >= MOST_RECORDS {
            say(&format!(
                "note: only the latest {records} records were read: `--since` and `--repository` ask for fewer"
            ));
            return Ok(admitted);
        }
    }
}

impl Deployment {
    /// The deployment that flags or variables name.
    pub(crate) async fn connect(target: &TargetArguments) -> Result<Self, Failure> {
        let named = match (&target.local, &target.deployment) {
            (Some(url), _) => Named::Local(url.clone()),
            (None, Some(name)) => Named::Aws(name.clone()),
            (None, None) => named_by_environment()?,
        };
        Ok(match named {
            Named::Local(url) => Self::Local(LocalServer::at(&url)?),
            Named::Aws(name) => Self::Aws(Box::new(AwsDeployment::connect(&name, target).await?)),
        })
    }

    /// The deployment on AWS, for what a local server has no part in.
    pub(crate) fn on_aws(&self, what: &str) -> Result<&AwsDeployment, Failure> {
        match self {
            Self::Aws(aws) => Ok(aws),
            Self::Local(server) => {
                Err(Failure::usage(anyhow!("{what} needs a deployment on AWS, and this is {server}")))
            }
        }
    }

    /// Its name, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Aws(aws) => format!("deployment {}", aws.name()),
            Self::Local(server) => server.to_string(),
        }
    }

    /// Runners, the open ones first, then the latest.
    pub(crate) async fn runners(&self, query: &Query) -> Result<Vec<RunnerView>, Failure> {
        let mut runners = match self {
            Self::Aws(aws) => aws.runners(query).await?,
            Self::Local(server) => server.runners(query).await?,
        };
        runners.truncate(query.limit.unwrap_or(usize::MAX));
        Ok(runners)
    }

    /// Jobs, the open ones first, then the latest.
    pub(crate) async fn jobs(&self, query: &Query) -> Result<Vec<JobView>, Failure> {
        let mut jobs = match self {
            Self::Aws(aws) => aws.jobs(query).await?,
            Self::Local(server) => server.jobs(query).await?,
        };
        jobs.truncate(query.limit.unwrap_or(usize::MAX));
        Ok(jobs)
    }

    /// One job, open or ended.
    pub(crate) async fn job(&self, id: u64) -> Result<Option<JobView>, Failure> {
        match self {
            Self::Aws(aws) => aws.job(id).await,
            Self::Local(server) => {
                let jobs = server.jobs(&Query::default()).await?;
                Ok(jobs.into_iter().find(|job| job.id == id))
            }
        }
    }

    /// One runner, open or gone.
    pub(crate) async fn runner(&self, name: &str) -> Result<Option<RunnerView>, Failure> {
        match self {
            Self::Aws(aws) => aws.runner(name).await,
            Self::Local(server) => {
                let runners = server.runners(&Query::default()).await?;
                Ok(runners.into_iter().find(|runner| runner.name == name))
            }
        }
    }

    /// What it offers.
    pub(crate) async fn classes(&self) -> Result<Vec<ClassView>, Failure> {
        match self {
            Self::Aws(aws) => Ok(aws.classes()),
            Self::Local(server) => server.classes().await,
        }
    }
}

/// Whether what is in that state is history.
fn is_past(state: &str) -> bool {
    matches!(state, "gone" | "completed" | "refused")
}

enum Named {
    Aws(String),
    Local(String),
}

fn named_by_environment() -> Result<Named, Failure> {
    let local = environment::text(environment::LOCAL).map(Named::Local);
    let named = local.or_else(|| environment::text(environment::DEPLOYMENT).map(Named::Aws));
    named.ok_or_else(|| {
        Failure::usage(anyhow!("no deployment is named")).hint(format!(
            "name one on AWS with `--deployment NAME` or {}, a local server with `--local URL` or {}",
            environment::DEPLOYMENT,
            environment::LOCAL
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_listed_however_old_and_what_ended_before_is_not() {
        let at = |secs| Timestamp::from_second(secs).unwrap();
        let query = Query { since: Some(at(100)), ..Query::default() };
        assert!(query.admits("acme/app", None, "queued", Some(at(1))));
        assert!(query.admits("acme/app", None, "completed", Some(at(100))));
        assert!(!query.admits("acme/app", None, "completed", Some(at(99))));
        let query = Query { class: Some("Small".to_owned()), ..query };
        assert!(query.admits("acme/app", Some("small"), "gone", Some(at(200))));
        assert!(!query.admits("acme/app", None, "queued", Some(at(200))));
    }
}
