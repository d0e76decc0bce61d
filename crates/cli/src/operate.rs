//! The operator's commands: each sends a request to a deployment and prints the result.

mod advice;
mod brake;
mod classes;
mod cluster;
mod costs;
mod credentials;
mod deliveries;
mod details;
mod doctor;
mod exec;
mod find;
mod job_log;
mod jobs;
mod logs;
mod replay;
mod retry;
mod runners;
mod runs;
mod send;
mod stop;
mod why;

use crate::arguments::{
    ClassesCommand, ClusterCommand, Command, DeliveriesCommand, JobsCommand, RunnersCommand, RunsCommand,
    WebhookCommand,
};
use crate::exit::{DONE, Failure};
use crate::log;

/// Runs an operator's command and returns its exit code.
pub(crate) fn run(command: Command) -> Result<u8, Failure> {
    log::init_for_command();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(carry_out(command))
}

async fn carry_out(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Runners(RunnersCommand::Exec(arguments)) => return exec::exec(&arguments).await,
        Command::Runners(RunnersCommand::List(arguments)) => runners::list(&arguments).await?,
        Command::Runners(RunnersCommand::Details(arguments)) => details::details(&arguments).await?,
        Command::Runners(RunnersCommand::Logs(arguments)) => logs::logs(&arguments).await?,
        Command::Runners(RunnersCommand::Stop(arguments)) => stop::stop(&arguments).await?,
        Command::Jobs(JobsCommand::List(arguments)) => jobs::list(&arguments).await?,
        Command::Jobs(JobsCommand::Logs(arguments)) => job_log::print_log(&arguments).await?,
        Command::Jobs(JobsCommand::Retry(arguments)) => retry::retry(&arguments).await?,
        Command::Runs(RunsCommand::List(arguments)) => runs::list(&arguments).await?,
        Command::Why(arguments) => why::why(&arguments).await?,
        Command::Costs(arguments) => costs::costs(&arguments).await?,
        Command::Classes(ClassesCommand::List(arguments)) | Command::ListClassSizes(arguments) => {
            classes::list(&arguments).await?;
        }
        Command::Classes(ClassesCommand::Check(arguments)) => classes::check(&arguments)?,
        Command::Cluster(ClusterCommand::Status(arguments)) => cluster::status(&arguments).await?,
        Command::Replay(arguments) => return replay::replay(&arguments).await,
        Command::Doctor(arguments) => return doctor::doctor(&arguments).await,
        Command::Deliveries(DeliveriesCommand::List(arguments)) => deliveries::list(&arguments).await?,
        Command::Deliveries(DeliveriesCommand::Redeliver(arguments)) => {
            deliveries::redeliver(&arguments).await?;
        }
        Command::Pause(arguments) => brake::pause(&arguments, true).await?,
        Command::Resume(arguments) => brake::pause(&arguments, false).await?,
        Command::Drain(arguments) => brake::drain(&arguments).await?,
        Command::Webhook(WebhookCommand::Send(arguments)) => send::send(&arguments).await?,
        Command::Demo(_) | Command::Local(_) | Command::Completions(_) | Command::Man => {}
    }
    Ok(DONE)
}
