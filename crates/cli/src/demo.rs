//! `ecsrunner demo`: runs a workflow's jobs with a real server and a fake
//! GitHub.

pub(crate) mod github;

mod actions;
mod advice;
mod changes;
mod commit;
mod files;
mod follow;
mod logs;
mod progress;
mod report;
mod repository;
mod submission;
mod summary;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};

use ecsrunner_core::id::Deployment;
use ecsrunner_core::rules::class::ClassError;
use ecsrunner_demo::testbed::{
    Capacity, DEPLOYMENT, Runner, Testbed, mistakes_in_labels, takes_public_repositories,
};
use ecsrunner_local::left;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{DemoOptions, Pair};
use crate::exit::Failure;
use crate::hidden::LISTENER_SUBCOMMAND;
use crate::output;
use follow::Follower;
use progress::Progress;
use report::Report;
use submission::Submission;

/// The limit of runners at one time in the demo.
const MAX_RUNNERS: u32 = 20;
/// The timeout of the whole demo with its own jobs.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// The timeout of the whole demo with a workflow file, longer than GitHub lets a job run by default.
const WORKFLOW_LIMIT: Duration = Duration::from_secs(7 * 3600);

pub(crate) fn run(options: DemoOptions) -> Result<(), Failure> {
    if let Some(option) = options.repeated() {
        return Err(Failure::usage(anyhow!("{option} is given twice, without regard to case")));
    }
    check_labels(&options.label)?;
    let submission = Submission::of(&options)?;
    check_visibility(&submission)?;
    let runner_dir = options.runner_dir.as_deref().map(official_runner).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(run_with_cleanup(&options, runner_dir.as_deref(), submission))?;
    report.print(options.json)?;
    report.fault().map_or(Ok(()), Err)
}

/// Checks the labels of `--label`.
fn check_labels(labels: &[Pair]) -> Result<(), Failure> {
    let mapped = labels.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect();
    let mistakes: Vec<String> = mistakes_in_labels(&mapped)
        .into_iter()
        .map(|mistake| match mistake {
            ClassError::MappedNowhere { label, class, known } => {
                format!("--label {label}={class}: the demo has the classes {}", known.replace(", ", " and "))
            }
            other => format!("--label: {other}"),
        })
        .collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Failure::usage(anyhow!(mistakes.join("\n  ")))) }
}

/// Checks that the server takes the event's repository.
fn check_visibility(submission: &Submission) -> Result<(), Failure> {
    if !submission.is_of_a_public_repository() || takes_public_repositories() {
        return Ok(());
    }
    let wrong =
        anyhow!("the payload has a public repository, whose jobs the demo's server takes as root only");
    Err(Failure::usage(wrong).hint("run the demo as root, or leave `repository.private` out of the payload"))
}

/// Returns the absolute path of an unpacked official runner.
fn official_runner(dir: &Path) -> Result<PathBuf, Failure> {
    let absolute = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    if absolute.join("bin/Runner.Listener").is_file() {
        return Ok(absolute);
    }
    Err(Failure::usage(anyhow!("--runner-dir {} does not contain bin/Runner.Listener", dir.display()))
        .hint("unpack a release from https://github.com/actions/runner/releases there"))
}

async fn run_with_cleanup(
    options: &DemoOptions,
    runner_dir: Option<&Path>,
    submission: Submission,
) -> Result<Report, Failure> {
    let executable = std::env::current_exe().context("the path of this executable is unknown")?;
    let runner = runner_dir.map_or(Runner::StandIn(LISTENER_SUBCOMMAND), Runner::Official);
    let labels: Vec<(String, String)> =
        options.label.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect();
    let capacity = Capacity {
        max_runners: MAX_RUNNERS,
        warm: 0,
        job_summary: options.summary,
        public_repositories: submission.is_of_a_public_repository(),
    };
    let testbed = Testbed::set_up(&executable, runner, capacity, &labels)?;
    let report = run_jobs(&testbed, options, submission).await;
    if report.is_err() {
        // The server leaves its runners running when it ends.
        left::kill_tasks(&testbed.state());
    }
    report
}

async fn run_jobs(
    testbed: &Testbed,
    options: &DemoOptions,
    submission: Submission,
) -> Result<Report, Failure> {
    let mut github = testbed.start_github().await?;
    let mut server = testbed.start_server(&github, "127.0.0.1:0", &[]).await?;
    let mut progress = Progress::new(options.json || output::talk().quiet, options.follow);
    progress.say(&format!("fake GitHub at {}, server and page at {}", github.url(), server.url()));
    testbed.connect(&github, &server).await?;
    let checkout = submission.checkout(options, &testbed.inside("repository.git"))?;
    if let Some(checkout) = &checkout {
        let changes = if checkout.has_changes { ", with changes that are not committed" } else { "" };
        progress.say(&format!("repository: branch {} at {}{changes}", checkout.branch, &checkout.sha[..12]));
    }
    let run = submission.submit(&github, options, checkout.as_ref(), &progress).await?;
    let mut follower = Follower::new(&github, &server, run)?;
    if options.workflow.is_some() {
        progress.say(&format!("steps, logs, outputs and annotations as they come: {}", follower.run_url()));
    }
    let limit = if options.workflow.is_some() { WORKFLOW_LIMIT } else { LIMIT };
    let followed = tokio::time::timeout(limit, follow(&mut follower, &mut progress));
    tokio::select! {
        followed = followed => followed.map_err(|_| anyhow!("some jobs did not end within {} minutes", limit.as_secs() / 60))??,
        interrupted = interrupted() => interrupted.and_then(|()| Err(anyhow!("interrupted")))?,
        died = server.died() => Err(anyhow!("the server ended: {died}"))?,
        died = github.died() => Err(anyhow!("the fake GitHub ended: {died}"))?,
    }
    progress.end();
    for (job, lines) in follower.logs_of_failures().await? {
        progress.say(&format!("last lines of the log of {job}:"));
        lines.iter().for_each(|line| progress.say(&format!("  | {line}")));
    }
    let logs = match log_directory(options)? {
        Some(directory) => logs::save(&follower, &directory).await?,
        None => BTreeMap::new(),
    };
    if options.web {
        for (name, url) in follower.job_urls() {
            progress.say(&format!("log of {name}: {url}"));
        }
        let page = format!("{}/#token={}", server.url(), testbed.token()?);
        // What the person has to open is no progress.
        output::call(&format!("web page at {page}, until Ctrl-C"));
        interrupted().await?;
    }
    let registrations = follower.registrations().await?;
    server.stop().await?;
    github.stop().await?;
    let left = left::count(&testbed.state(), &Deployment::parse(DEPLOYMENT)?).await?;
    Ok(Report::new(follower.jobs(), testbed, left, registrations, &logs, options.summary)?)
}

/// Returns the directory for the logs. Those of a workflow file are kept, since they are what a person looks for.
fn log_directory(options: &DemoOptions) -> anyhow::Result<Option<PathBuf>> {
    if options.logs.is_some() || options.workflow.is_none() {
        return Ok(options.logs.clone());
    }
    let made = tempfile::Builder::new().prefix("ecsrunner-logs-").tempdir();
    Ok(Some(made.context("no directory can be made for the logs")?.keep()))
}

/// Returns after SIGINT or SIGTERM.
async fn interrupted() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}

async fn follow(follower: &mut Follower, progress: &mut Progress) -> anyhow::Result<()> {
    loop {
        follower.look().await?;
        if progress.shows_lines() {
            for (job, lines) in follower.new_lines().await? {
                progress.show_lines(&job, &lines)?;
            }
        }
        progress.show(follower.jobs())?;
        if follower.is_done() {
            return Ok(());
        }
        follower.give_up_unserved().await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
