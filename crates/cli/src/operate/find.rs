//! Finds the runner or the job that an argument names.

use anyhow::anyhow;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::id::{JobId, Repository, RunnerName, TaskName};

use crate::deployment::{Deployment, Query};
use crate::exit::Failure;

/// The fewest characters at the end of a name that identify a runner.
const FEWEST: usize = 4;
/// The number of latest runners that are searched for the end of a name.
const SOUGHT: usize = 10_000;
/// The most names that an error lists.
const NEAREST: usize = 3;

/// Returns the runner with this name, or the only one whose name ends with this text.
pub(super) async fn runner(deployment: &Deployment, text: &str) -> Result<RunnerView, Failure> {
    if text.chars().count() < FEWEST {
        return Err(Failure::usage(anyhow!(
            "`{text}` is too short: a runner's name, or at least its last {FEWEST} characters, is expected"
        ))
        .hint("run `ecsrunner runners list` to list the runners"));
    }
    if TaskName::parse(text).is_ok()
        && let Some(runner) = deployment.runner(text).await?
    {
        return Ok(runner);
    }
    let runners = deployment.runners(&Query { limit: Some(SOUGHT), ..Query::default() }).await?;
    let ends = |runner: &&RunnerView| runner.name.ends_with(text);
    let mut found: Vec<&RunnerView> = runners.iter().filter(ends).collect();
    match found.len() {
        1 => Ok(found.remove(0).clone()),
        0 => Err(no_runner(deployment, text, &runners)),
        count => {
            let names = found.iter().take(NEAREST).map(|runner| runner.name.as_str());
            let names = names.collect::<Vec<_>>().join(", ");
            Err(Failure::usage(anyhow!("`{text}` matches the end of {count} runner names: {names}"))
                .hint("give more characters of the name"))
        }
    }
}

fn no_runner(deployment: &Deployment, text: &str, runners: &[RunnerView]) -> Failure {
    let mut near: Vec<(usize, &str)> =
        runners.iter().map(|runner| (likeness(text, &runner.name), runner.name.as_str())).collect();
    near.sort_by_key(|(like, _)| std::cmp::Reverse(*like));
    let near: Vec<&str> =
        near.iter().filter(|(like, _)| *like > 2).take(NEAREST).map(|(_, name)| *name).collect();
    let failure = Failure::not_found(anyhow!("{} has no runner `{text}`", deployment.name()));
    failure.hint(if near.is_empty() {
        format!(
            "run `ecsrunner runners list --since 90d` to list all runners: only the latest {SOUGHT} are searched by the end of a name"
        )
    } else {
        format!("similar names: {}", near.join(", "))
    })
}

/// Returns how many characters two names share at their ends.
fn likeness(a: &str, b: &str) -> usize {
    a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count()
}

/// A job that an argument names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Named {
    pub(super) id: JobId,
    /// The repository, if the argument is a URL.
    pub(super) repository: Option<Repository>,
}

/// What an argument for a job names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    Job(Named),
    /// The name of a job's runner, or its end, as lists show it.
    OfRunner(String),
}

impl Asked {
    /// Parses a job's id, its URL at GitHub, or the name of its runner.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        match job(text) {
            Some(job) => Ok(Self::Job(job)),
            None if RunnerName::parse(text).is_ok() || is_end_of_runner(text) => {
                Ok(Self::OfRunner(text.to_owned()))
            }
            None => Err(Failure::usage(anyhow!(
                "`{text}` is neither a job id, the URL of a job, nor a runner's name or at least its last {FEWEST} characters"
            ))
            .hint(
                "use the URL of the job's page, such as https://github.com/OWNER/NAME/actions/runs/RUN/job/ID",
            )),
        }
    }

    /// Returns the job: a runner's is the one that it executes, or executed.
    pub(super) async fn job(self, deployment: &Deployment) -> Result<Named, Failure> {
        let text = match self {
            Self::Job(named) => return Ok(named),
            Self::OfRunner(text) => text,
        };
        let runner = runner(deployment, &text).await?;
        match runner.job {
            Some(job) => Ok(Named { id: JobId::new(job), repository: None }),
            None => Err(Failure::not_found(anyhow!("runner `{text}` has executed no job that is known"))
                .hint(format!("run `ecsrunner runners details {text}` to see what it did"))),
        }
    }
}

/// Whether a text can be the end of a runner's name, which is a ULID in lower case.
fn is_end_of_runner(text: &str) -> bool {
    let is_of_name = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-';
    let ulid = text.rsplit('-').next().unwrap_or_default();
    // Crockford's base 32.
    let is_of_ulid = |b: u8| b.is_ascii_alphanumeric() && !b"ilou".contains(&b);
    text.len() >= FEWEST && text.bytes().all(is_of_name) && !ulid.is_empty() && ulid.bytes().all(is_of_ulid)
}

/// Parses a job's id or its URL at GitHub.
fn job(text: &str) -> Option<Named> {
    let last = text.split(['?', '#']).next().unwrap_or(text).trim_end_matches('/');
    let (path, id) = match last.rsplit_once("/job/").or_else(|| last.rsplit_once("/jobs/")) {
        Some((path, id)) => (path, id),
        None => ("", last),
    };
    Some(Named { id: JobId::new(id.parse().ok()?), repository: repository_of(path) })
}

/// Returns the repository in `https://HOST/[repos/]OWNER/NAME/actions…`.
fn repository_of(path: &str) -> Option<Repository> {
    let (before, _) = path.split_once("/actions")?;
    let mut parts = before.rsplit('/');
    let (name, owner) = (parts.next()?, parts.next()?);
    Repository::parse(&format!("{owner}/{name}")).ok()
}

/// Returns the error of a job without a record.
pub(super) fn no_job(deployment: &Deployment, id: JobId) -> Failure {
    Failure::not_found(anyhow!("{} has no record of job {id}", deployment.name())).hint(
        "run `ecsrunner why` with the job's URL to ask GitHub, or `ecsrunner deliveries list` to see lost webhooks: \
         no webhook of the job was recorded in 90 days",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_named_by_its_id_or_its_page() {
        for text in [
            "42",
            "https://github.com/acme/app/actions/runs/7/job/42",
            "https://github.com/acme/app/actions/runs/7/job/42#step:3:1",
            "https://github.com/acme/app/actions/runs/7/job/42?pr=1",
            "https://api.github.com/repos/acme/app/actions/jobs/42",
        ] {
            let repository = text.contains("acme").then(|| Repository::parse("acme/app").unwrap());
            let named = Named { id: JobId::new(42), repository };
            assert_eq!(Asked::parse(text).unwrap(), Asked::Job(named), "{text}");
        }
        for text in
            ["", "build", "https://github.com/acme/app/actions/runs/7", "-1", "e", "abc", "no-such-job"]
        {
            assert!(Asked::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_job_is_named_by_its_runner_too() {
        for text in [
            "ge0w",
            "69g5fav0",
            "abcdefg234-01arz3ndektsv4rrffq69g5fav",
            "ecsr-ci-abcdefg234-01arz3ndektsv4rrffq69g5fav",
        ] {
            assert_eq!(Asked::parse(text).unwrap(), Asked::OfRunner(text.to_owned()));
        }
    }
}
