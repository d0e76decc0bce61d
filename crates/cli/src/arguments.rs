//! Commands and flags.

mod operate;
mod replay;
mod setup;
mod simulate;
mod since;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use ecsrunner_core::id::Repository;

use crate::environment;

#[cfg(feature = "aws")]
pub(crate) use operate::RunnerExec;
pub(crate) use operate::{
    BrakeArguments, CheckClasses, ClassesCommand, ClusterCommand, ClusterStatus, CostKey, CostsArguments,
    DeliveriesCommand, DoctorArguments, JobLogs, JobsCommand, ListClasses, ListDeliveries, ListJobs,
    ListRunners, ListRuns, PastArguments, Redeliver, RetryJob, RunnerDetails, RunnerLogs, RunnersCommand,
    RunsCommand, SendWebhook, StopRunner, TargetArguments, WebhookCommand, WhyArguments,
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
    Demo(DemoArguments),
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
    /// List and manage runners
    #[command(subcommand)]
    Runners(RunnersCommand),
    /// List jobs, print their logs, and retry them
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// List executed jobs
    #[command(subcommand)]
    Runs(RunsCommand),
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

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DemoArguments {
    #[command(subcommand)]
    pub(crate) command: Option<DemoCommand>,
    #[command(flatten)]
    pub(crate) options: DemoOptions,
}

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Run this workflow file instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) workflow: Option<PathBuf>,
    /// Run jobs with the official runner, unpacked in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) runner_dir: Option<PathBuf>,
    /// Use a local directory for an action (repeatable)
    #[arg(long, value_name = "OWNER/NAME@REF=DIR", requires = "workflow")]
    pub(crate) action: Vec<GivenAction>,
    /// Run N short jobs instead of a workflow (1 to 256)
    #[arg(long, value_name = "N", conflicts_with = "workflow", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) jobs: Option<u32>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Keep serving the web page after the jobs end, until Ctrl-C
    #[arg(long)]
    pub(crate) web: bool,
}

/// An action of another repository, and the directory with its files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GivenAction {
    /// `owner/name@ref`
    pub(crate) action: String,
    pub(crate) directory: PathBuf,
}

impl FromStr for GivenAction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is not an action: expected OWNER/NAME@REF=DIR");
        let (action, directory) = text.split_once('=').ok_or_else(expected)?;
        let (repository, version) = action.split_once('@').ok_or_else(expected)?;
        if Repository::parse(repository).is_err() || version.is_empty() || directory.is_empty() {
            return Err(expected());
        }
        Ok(Self { action: action.to_owned(), directory: PathBuf::from(directory) })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum DemoCommand {
    /// Serve only the fake GitHub
    Github(GithubArguments),
}

#[derive(Debug, Args)]
pub(crate) struct GithubArguments {
    /// Address to listen on (port 0: any free port)
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// File with a token that the fake accepts with every permission
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Seed for reproducible choices and ids
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
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

    #[test]
    fn an_action_is_given_by_its_name_and_its_directory() {
        let given: GivenAction = "actions/checkout@v4=./stub".parse().unwrap();
        let directory = PathBuf::from("./stub");
        assert_eq!(given, GivenAction { action: "actions/checkout@v4".to_owned(), directory });
        for text in
            ["", "actions/checkout@v4", "checkout@v4=dir", "actions/checkout=dir", "a/b@=dir", "a/b@v1="]
        {
            assert!(text.parse::<GivenAction>().is_err(), "{text}");
        }
    }
}
