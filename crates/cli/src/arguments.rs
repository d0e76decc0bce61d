//! Commands and flags.

mod demo;
mod operate;
mod replay;
mod setup;
mod simulate;
mod since;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::environment;

pub(crate) use demo::{DemoArguments, DemoCommand, DemoOptions, GithubArguments, Pair};
#[cfg(feature = "aws")]
pub(crate) use operate::RunnerExec;
pub(crate) use operate::{
    BrakeArguments, CheckClasses, ClassesCommand, ClusterCommand, ClusterStatus, CostsArguments,
    DeliveriesCommand, DoctorArguments, JobLogs, JobsCommand, ListClasses, ListDeliveries, ListJobs,
    ListRunners, ListRuns, PastArguments, Redeliver, RetryJob, RunnerDetails, RunnerLogs, RunnersCommand,
    RunsCommand, SendWebhook, StatsArguments, StopRunner, TargetArguments, UiArguments, WebhookCommand,
    WhyArguments,
};
pub(crate) use replay::ReplayArguments;
pub(crate) use setup::SetupArguments;
pub(crate) use simulate::SimulateArguments;

/// Run GitHub Actions jobs on ephemeral runners: on AWS Fargate, or on this machine.
#[derive(Debug, Parser)]
#[command(name = "ecsrunner", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) talk: TalkArguments,
}

/// Options for colours and messages, the same for every command.
#[derive(Clone, Copy, Default, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct TalkArguments {
    /// Disable colours [env: NO_COLOR]
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Print only errors to stderr
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print progress to stderr (repeat for more detail)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a demo on this machine with a fake GitHub
    Demo(Box<DemoArguments>),
    /// Run jobs on this machine
    #[command(subcommand)]
    Local(LocalCommand),
    /// Make and install the GitHub App, and store its credentials
    Setup(Box<SetupArguments>),
    #[command(flatten)]
    Operator(OperatorCommand),
    /// Show waits, costs and limits for a load
    Simulate(SimulateArguments),
    /// Print a shell completion script
    Completions(CompletionsArguments),
    /// Print the manual page
    Man,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Explain the state of a job and what to do next
    Why(WhyArguments),
    /// Show jobs, runners, costs and holds in a page on this machine
    Ui(UiArguments),
    /// List and manage runners
    #[command(subcommand)]
    Runners(RunnersCommand),
    /// List jobs, print their logs, and retry them
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// List executed jobs
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Show where the waits of jobs went, by class and repository
    Stats(StatsArguments),
    /// Show what runners cost
    Costs(CostsArguments),
    /// List and check runner classes
    #[command(subcommand)]
    Classes(ClassesCommand),
    /// List runner classes (same as `classes list`)
    ListClassSizes(ListClasses),
    /// Show the ECS cluster, its runners and limits
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Check permissions, secrets, webhook, images and quotas
    Doctor(DoctorArguments),
    /// Stop launching runners; running jobs continue
    Pause(BrakeArguments),
    /// Resume launching runners
    Resume(BrakeArguments),
    /// Pause, and retire runners that have no job
    Drain(BrakeArguments),
    /// List and redeliver GitHub webhooks
    #[command(subcommand)]
    Deliveries(DeliveriesCommand),
    /// Send test webhooks
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Show which decisions recorded events would lead to
    Replay(ReplayArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Shell to complete commands in
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// Start the server: webhook, API and web page, with runners as processes
    Up(UpArguments),
}

#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// Address to listen on (port 0: any free port)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Directory for records, tasks and logs
    #[arg(long, value_name = "DIR", env = environment::STATE)]
    pub(crate) state: PathBuf,
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = environment::CONFIG)]
    pub(crate) config: PathBuf,
    /// Poll GitHub every 15 seconds, if its webhooks cannot reach this machine
    #[arg(long)]
    pub(crate) poll: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
