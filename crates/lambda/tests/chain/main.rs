//! The control plane as AWS runs it, from the webhook to history.
//!
//! ministack is AWS: it holds DynamoDB, SQS, EventBridge, parameters, secrets
//! and logs, and runs the real `bootstrap` as its function. The shipped
//! template stands in front. ECS and GitHub are this repository's fakes, for
//! no emulator tells a task's whole life. In one task the image's agent runs; what
//! is in the others is played here, step by step.
//!
//! `cargo xtask test chain` starts what the driver needs and names it in the
//! environment. What an adapter or the engine does in each case does not
//! belong here, but whether all of them hang together.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "says what was played, or why nothing was")]

mod actions;
mod agent;
mod aws;
mod chain;
mod deployment;
mod github;
mod logs;
mod runner;
mod task_events;
mod webhook;

mod dead_letters;
mod life;
mod operator;
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

/// Bounds every wait, so that what never happens fails the test.
const LIMIT: Duration = Duration::from_secs(30);
/// How often somebody else's state is looked at.
const PACE: Duration = Duration::from_millis(50);

/// What `cargo xtask test chain` sets.
struct Setting {
    aws_url: String,
    /// What ministack gives its functions as the secret of their access key.
    aws_secret: String,
    webhook_url: String,
    archive: PathBuf,
    /// What is in a task.
    programs: Programs,
    /// `ecsrunner`, as an operator has it.
    command_line: PathBuf,
    /// `index.json` of @octokit/webhooks-examples.
    samples: PathBuf,
    /// For the recorded actions; its `logs` has what others wrote.
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

/// A scene with the chain that it is played on.
macro_rules! scene {
    ($chain:ident: $module:ident::$scene:ident) => {
        played(stringify!($scene), $module::$scene(&$chain))
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_control_plane_serves_a_deployment_from_its_webhooks_to_its_history() {
    let Some(setting) = Setting::from_environment() else {
        eprintln!("skipped: ECSRUNNER_CHAIN_AWS_URL is not set; `cargo xtask test chain` sets it");
        return;
    };
    let chain = Rc::new(Chain::set_up(setting).await);
    // A scene that fails must not take along what the function has logged.
    let stage = LocalSet::new();
    let playing = stage.spawn_local(play(Rc::clone(&chain)));
    let played = stage.run_until(playing).await;
    chain.logs().await.save(&chain.setting.dir.join("logs/function.log"));
    played.unwrap();
}

async fn play(chain: Rc<Chain>) {
    scene!(chain: life::a_job_runs_once_and_is_history).await;
    scene!(chain: agent::the_images_agent_executes_a_job).await;
    scene!(chain: operator::an_operator_sees_a_runner_and_enters_it).await;
    scene!(chain: samples::githubs_own_sample_of_a_job_of_ours_starts_a_task).await;
    scene!(chain: repairs::a_cancelled_jobs_runner_is_retired_with_all_that_it_has).await;
    scene!(chain: repairs::the_sweep_hears_of_a_task_whose_end_nobody_told).await;
    scene!(chain: refusals::a_wrong_signature_is_counted_and_dropped).await;
    scene!(chain: refusals::a_signed_body_that_cannot_be_read_is_kept_for_a_person).await;
    scene!(chain: samples::those_of_others_repositories_leave_nothing_open).await;
    scene!(chain: dead_letters::what_is_no_event_of_ours_is_tried_three_times_and_kept_with_its_reason).await;
    // Both wait for SQS.
    tokio::join!(
        scene!(chain: queue::capacity_that_comes_back_is_found_by_a_kick),
        scene!(chain: queue::a_message_that_is_no_kick_is_set_aside),
    );
    scene!(chain: operator::the_brake_is_pulled_and_released).await;
    scene!(chain: operator::an_operator_is_told_what_is_missing).await;
    scene!(chain: operator::an_operator_looks_for_what_is_wrong).await;
    scene!(chain: life::nothing_is_left).await;
    scene!(chain: life::the_metrics_add_up).await;
    scene!(chain: secrets::no_secret_is_in_a_log_a_task_or_an_event).await;
    scene!(chain: actions::the_actions_called_are_those_that_are_written_down).await;
}

async fn played(scene: &str, playing: impl Future<Output = ()>) {
    let begun = Instant::now();
    eprintln!("  {scene} …");
    playing.await;
    eprintln!("  {scene}: {:.1} s", begun.elapsed().as_secs_f64());
}

/// Looks until there is something to see.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(PACE).await;
    }
}
