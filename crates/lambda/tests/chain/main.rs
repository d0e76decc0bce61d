//! Tests the control plane as on AWS, from the webhook to history.
//!
//! ministack emulates AWS: DynamoDB, SQS, EventBridge, parameters, secrets and
//! logs. It runs the real `bootstrap` as its function, behind the shipped
//! template. ECS and GitHub are this repository's fakes, because no emulator
//! covers a task's whole life. CodeBuild and ECR are fakes too, since no emulator
//! builds. One task runs the image's agent; the test itself
//! plays the part of the agent in the others, step by step.
//!
//! `cargo xtask test chain` starts the services and passes them in environment
//! variables. This test checks that all parts work together. The cases of one
//! adapter or of the engine do not belong here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "says what was played")]

mod actions;
mod agent;
mod aws;
mod builds;
mod chain;
mod deployment;
mod github;
mod logs;
mod runner;
mod task_events;
mod traces;
mod webhook;

mod dead_letters;
mod exit_records;
mod images;
mod life;
mod operator;
mod page;
mod queue;
mod refusals;
mod repairs;
mod samples;
mod secrets;

use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use agent::Programs;
use chain::Chain;

/// Bounds every wait, so that a missing event fails the test.
const LIMIT: Duration = Duration::from_secs(30);
/// How often the state of another process is polled.
const PACE: Duration = Duration::from_millis(50);

/// The variables that `cargo xtask test chain` sets.
struct Setting {
    aws_url: String,
    /// The secret access key that ministack gives its functions.
    aws_secret: String,
    webhook_url: String,
    archive: PathBuf,
    /// The programs in a task.
    programs: Programs,
    /// The path of `ecsrunner`.
    command_line: PathBuf,
    /// `index.json` of @octokit/webhooks-examples.
    samples: PathBuf,
    /// Receives the recorded actions. Its `logs` holds the logs of other processes.
    dir: PathBuf,
}

impl Setting {
    fn from_environment() -> Option<Self> {
        let variable = |name| std::env::var(name).ok();
        Some(Self {
            aws_url: variable("ECSRUNNER_CHAIN_AWS_URL")?,
            aws_secret: variable("ECSRUNNER_CHAIN_AWS_SECRET")?,
            webhook_url: variable("ECSRUNNER_CHAIN_WEBHOOK_URL")?,
            archive: variable("ECSRUNNER_CHAIN_ARCHIVE")?.into(),
            programs: Programs {
                agent: variable("ECSRUNNER_CHAIN_AGENT")?.into(),
                listener: variable("ECSRUNNER_CHAIN_LISTENER")?.into(),
            },
            command_line: variable("ECSRUNNER_CHAIN_COMMAND_LINE")?.into(),
            samples: variable("ECSRUNNER_CHAIN_SAMPLES")?.into(),
            dir: variable("ECSRUNNER_CHAIN_DIR")?.into(),
        })
    }
}

/// Runs one part on the chain and prints its name.
macro_rules! part {
    ($chain:ident: $module:ident::$part:ident) => {
        run_part(stringify!($part), $module::$part(&$chain))
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_plane_serves_a_deployment_from_its_webhooks_to_its_history() {
    let Some(setting) = Setting::from_environment() else {
        return ecsrunner_skip::left_to("chain");
    };
    let chain = Rc::new(Chain::set_up(setting).await);
    // Save the function's log even if a part fails.
    let tasks = LocalSet::new();
    let parts = tasks.spawn_local(run(Rc::clone(&chain)));
    let run = tasks.run_until(parts).await;
    chain.logs().await.save(&chain.setting.dir.join("logs/function.log"));
    run.unwrap();
}

async fn run(chain: Rc<Chain>) {
    part!(chain: refusals::a_ping_before_setup_is_dropped_without_an_error).await;
    part!(chain: life::a_job_runs_once_and_is_history).await;
    part!(chain: agent::the_images_agent_executes_a_job).await;
    part!(chain: operator::an_operator_sees_a_runner_and_enters_it).await;
    part!(chain: page::the_page_follows_a_job_and_acts_for_its_operator).await;
    part!(chain: samples::githubs_own_sample_of_a_job_of_ours_starts_a_task).await;
    part!(chain: repairs::a_cancelled_jobs_runner_is_retired_with_all_that_it_has).await;
    part!(chain: repairs::the_sweep_hears_of_a_task_whose_end_nobody_told).await;
    part!(chain: refusals::a_wrong_signature_is_counted_and_dropped).await;
    part!(chain: refusals::what_cannot_be_githubs_costs_no_event).await;
    part!(chain: refusals::a_signed_body_that_cannot_be_read_is_kept_for_a_person).await;
    part!(chain: samples::those_of_others_repositories_leave_nothing_open).await;
    part!(chain: dead_letters::what_is_no_event_of_ours_is_tried_three_times_and_kept_with_its_reason).await;
    // Both wait for SQS, so run them at the same time.
    tokio::join!(
        part!(chain: queue::capacity_that_comes_back_is_found_by_a_kick),
        part!(chain: queue::a_message_that_is_no_kick_is_set_aside),
    );
    part!(chain: operator::the_brake_is_pulled_and_released).await;
    part!(chain: operator::an_operator_is_told_what_is_missing).await;
    part!(chain: operator::an_operator_looks_for_what_is_wrong).await;
    part!(chain: operator::an_operator_asks_github_without_its_credentials).await;
    part!(chain: life::nothing_is_left).await;
    part!(chain: life::the_metrics_add_up).await;
    part!(chain: traces::a_trace_that_was_refused_is_counted).await;
    part!(chain: images::the_runners_image_is_built_tried_and_named).await;
    part!(chain: images::a_build_that_fails_is_shown_and_runners_start_from_the_image_before).await;
    part!(chain: secrets::no_secret_is_in_a_log_a_task_or_an_event).await;
    part!(chain: actions::the_actions_called_are_those_that_are_written_down).await;
}

async fn run_part(name: &str, part: impl Future<Output = ()>) {
    let begun = Instant::now();
    eprintln!("  {name} …");
    part.await;
    eprintln!("  {name}: {:.1} s", begun.elapsed().as_secs_f64());
}

/// Polls until `look` returns a value.
async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(LIMIT, what, look).await
}

/// Polls until `look` returns a value, for at most this time.
async fn within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(PACE).await;
    }
}
