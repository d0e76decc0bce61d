//! The operator's commands: each sends a request to a deployment and prints the result.

mod advice;
mod brake;
mod classes;
mod cluster;
mod costs;
mod credentials;
mod deliveries;
mod details;
pub(crate) mod doctor;
#[cfg(feature = "aws")]
mod exec;
mod find;
mod input;
mod job_log;
mod jobs;
mod logs;
mod peaks;
pub(crate) mod replay;
mod retry;
mod right_size;
mod runners;
mod runs;
mod send;
mod stats;
mod stop;
mod ui;
mod why;

use crate::arguments::{
    ClassesCommand, ClusterCommand, DeliveriesCommand, JobsCommand, OperatorCommand, RunnersCommand,
    RunsCommand, WebhookCommand,
};
use crate::exit::{DONE, Failure};
use crate::log;

/// Runs an operator's command and returns its exit code.
pub(crate) fn run(command: OperatorCommand) -> Result<u8, Failure> {
    log::init_for_command();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(carry_out(command))
}

async fn carry_out(command: OperatorCommand) -> Result<u8, Failure> {
    use OperatorCommand as Command;

    match command {
        #[cfg(feature = "aws")]
        Command::Runners(RunnersCommand::Exec(arguments)) => exec::exec(&arguments).await,
        #[cfg(not(feature = "aws"))]
        Command::Runners(RunnersCommand::Exec(_)) => Err(crate::deployment::without_aws("ECS Exec")),
        Command::Runners(RunnersCommand::List(arguments)) => runners::list(&arguments).await.map(done),
        Command::Runners(RunnersCommand::Details(arguments)) => details::details(&arguments).await.map(done),
        Command::Runners(RunnersCommand::Logs(arguments)) => logs::logs(&arguments).await.map(done),
        Command::Runners(RunnersCommand::Stop(arguments)) => stop::stop(&arguments).await.map(done),
        Command::Jobs(JobsCommand::List(arguments)) => jobs::list(&arguments).await.map(done),
        Command::Jobs(JobsCommand::Logs(arguments)) => job_log::print_log(&arguments).await.map(done),
        Command::Jobs(JobsCommand::Retry(arguments)) => retry::retry(&arguments).await.map(done),
        Command::Runs(RunsCommand::List(arguments)) => runs::list(&arguments).await.map(done),
        Command::Ui(arguments) => ui::ui(&arguments).await.map(done),
        Command::Why(arguments) => why::why(&arguments).await.map(done),
        Command::Stats(arguments) => stats::stats(&arguments).await.map(done),
        Command::Costs(arguments) => costs::costs(&arguments).await.map(done),
        Command::Classes(ClassesCommand::List(arguments)) | Command::ListClassSizes(arguments) => {
            classes::list(&arguments).await.map(done)
        }
        Command::Classes(ClassesCommand::Check(arguments)) => classes::check(&arguments).map(done),
        Command::Cluster(ClusterCommand::Status(arguments)) => cluster::status(&arguments).await.map(done),
        Command::Replay(arguments) => replay::replay(&arguments).await,
        Command::Doctor(arguments) => doctor::doctor(&arguments).await,
        Command::Deliveries(DeliveriesCommand::List(arguments)) => {
            deliveries::list(&arguments).await.map(done)
        }
        Command::Deliveries(DeliveriesCommand::Redeliver(arguments)) => {
            deliveries::redeliver(&arguments).await.map(done)
        }
        Command::Pause(arguments) => brake::pause(&arguments, true).await.map(done),
        Command::Resume(arguments) => brake::pause(&arguments, false).await.map(done),
        Command::Drain(arguments) => brake::drain(&arguments).await.map(done),
        Command::Webhook(WebhookCommand::Send(arguments)) => send::send(&arguments).await.map(done),
    }
}

/// The exit code of a command that has none of its own.
fn done(_done: ()) -> u8 {
    DONE
}
