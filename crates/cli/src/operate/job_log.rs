//! `ecsrunner jobs logs`: prints a job's log from GitHub.
//!
//! The log of a runner's task is in `logs.rs`.

mod follow;

use std::fmt::Write;

use ecsrunner_api::job::JobView;
use ecsrunner_core::id::{JobId, Repository};
use ecsrunner_github::logs::{JobLog, JobLogError, Line, MAX_LOG_BYTES};
use jiff::Timestamp;
use owo_colors::OwoColorize;
use serde::Serialize;

use super::find::Asked;
use super::{credentials, find};
use crate::arguments::JobLogs;
use crate::deployment::Deployment;
use crate::exit::Failure;
use crate::output::{self, print, say};

#[derive(Serialize)]
struct Document<'a> {
    job: u64,
    repository: String,
    /// Whether the end of the log is omitted.
    cut: bool,
    lines: Vec<JsonLine<'a>>,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    at: Option<Timestamp>,
    text: &'a str,
}

pub(super) async fn print_log(arguments: &JobLogs) -> Result<(), Failure> {
    let asked = Asked::parse(&arguments.job)?;
    let deployment = Deployment::connect(&arguments.target).await?;
    let named = asked.job(&deployment).await?;
    let repository = match arguments.repository.clone().or(named.repository) {
        Some(repository) => repository,
        None => recorded_repository(&deployment, named.id).await?,
    };
    let client = credentials::for_logs(&deployment).await?;
    let log = match arguments.follow {
        true => follow::log_at_end(&client, &repository, named.id).await,
        false => client.job_log(&repository, named.id).await,
    };
    let log = log.map_err(failure)?;
    if log.is_cut() {
        say(&format!("note: the log is longer than {} MiB, and its end is omitted", MAX_LOG_BYTES >> 20));
    }
    if arguments.format.json {
        print_json(&log, named.id, &repository)?;
    } else {
        print(&text(&log, arguments.timestamps)?)?;
    }
    Ok(())
}

async fn recorded_repository(deployment: &Deployment, id: JobId) -> Result<Repository, Failure> {
    let Some(JobView { repository, .. }) = deployment.job(id.get()).await? else {
        return Err(find::no_job(deployment, id)
            .hint("give the job's URL, or its repository with `--repository OWNER/NAME`"));
    };
    Repository::parse(&repository).map_err(Failure::usage)
}

fn print_json(log: &JobLog, job: JobId, repository: &Repository) -> Result<(), Failure> {
    let lines: Vec<Line<'_>> = log.lines().collect();
    let lines = lines.iter().map(|line| JsonLine { at: line.at, text: &line.text }).collect();
    let document = Document { job: job.get(), repository: repository.to_string(), cut: log.is_cut(), lines };
    output::print_json(&document)?;
    Ok(())
}

/// Formats the lines with colours, which are removed if stdout is not a terminal.
fn text(log: &JobLog, timestamps: bool) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for line in log.lines() {
        if timestamps && let Some(at) = line.at {
            write!(text, "{at:.7} ")?;
        }
        match kind(&line.text) {
            Kind::Error => writeln!(text, "{}", line.text.red())?,
            Kind::Warning => writeln!(text, "{}", line.text.yellow())?,
            Kind::Group => writeln!(text, "{}", line.text.bold())?,
            Kind::Plain => writeln!(text, "{}", line.text)?,
        }
    }
    Ok(text)
}

/// The kind of a line, by the runner's commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Error,
    Warning,
    Group,
    Plain,
}

fn kind(text: &str) -> Kind {
    match text.strip_prefix("##[").and_then(|rest| rest.split_once(']')).map(|(command, _)| command) {
        Some("error") => Kind::Error,
        Some("warning") => Kind::Warning,
        Some("group") => Kind::Group,
        _ => Kind::Plain,
    }
}

/// Returns why there is no log, with a hint.
fn failure(error: JobLogError) -> Failure {
    match &error {
        JobLogError::NotEnded { job, runner: Some(runner), .. } => {
            let hint = format!(
                "run `ecsrunner jobs logs {job} --follow` to see its steps as they come, and `ecsrunner runners logs \
                 {runner} --follow` for the log of its runner"
            );
            Failure::not_found(error).hint(hint)
        }
        JobLogError::NotEnded { job, runner: None, .. } => {
            let hint = format!("run `ecsrunner why {job}` to see what the job waits for");
            Failure::not_found(error).hint(hint)
        }
        JobLogError::NoJob { .. } => Failure::not_found(error).hint(
            "check the id: a deleted run takes its jobs with it, and the jobs of a re-run have new ids",
        ),
        JobLogError::NeverStarted { job } => {
            let hint = format!("run `ecsrunner why {job}` to see what happened to the job");
            Failure::not_found(error).hint(hint)
        }
        JobLogError::Gone { .. } | JobLogError::Missing { .. } => Failure::not_found(error)
            .hint("wait some seconds if the job has just ended; by default, GitHub keeps logs for 90 days"),
        JobLogError::Denied { .. } => Failure::permission(error)
            .hint("grant `actions: read` in the repository; `ecsrunner doctor` checks the App's permissions"),
        JobLogError::GitHub { .. } | JobLogError::Storage { .. } => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_commands_are_told_from_text_that_looks_alike() {
        for (text, expected) in [
            ("##[error]Process completed with exit code 1.", Kind::Error),
            ("##[warning]deprecated", Kind::Warning),
            ("##[group]Run make", Kind::Group),
            ("##[endgroup]", Kind::Plain),
            ("## [error]", Kind::Plain),
            ("a ##[error] within", Kind::Plain),
            ("##[error", Kind::Plain),
            ("", Kind::Plain),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }
}
