//! Commands and flags.

mod operate;
mod replay;
mod since;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use ecsrunner_core::id::Repository;

use crate::environment;

pub(crate) use operate::{
    BrakeArguments, CheckClasses, ClassesCommand, ClusterCommand, ClusterStatus, CostKey, CostsArguments,
    DeliveriesCommand, DoctorArguments, JobLogs, JobsCommand, ListClasses, ListDeliveries, ListJobs,
    ListRunners, ListRuns, PastArguments, Redeliver, RetryJob, RunnerDetails, RunnerExec, RunnerLogs,
    RunnersCommand, RunsCommand, SendWebhook, StopRunner, TargetArguments, WebhookCommand, WhyArguments,
};
pub(crate) use replay::ReplayArguments;

/// Run GitHub Actions jobs on ephemeral runners: on AWS Fargate, or on this machine.
#[derive(Debug, Parser)]
#[command(name = "ecsrunner", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) talk: TalkArguments,
}

/// What is said beside the answer.
#[derive(Clone, Copy, Default, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct TalkArguments {
    /// Use no colours; or NO_COLOR
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Say nothing on standard error but why a command failed
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say on standard error what is done; twice for details
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show it at work on this machine, with a fake GitHub
    Demo(DemoArguments),
    /// Serve jobs on this machine
    #[command(subcommand)]
    Local(LocalCommand),
    /// Say why a job is where it is, and what to do about it
    Why(WhyArguments),
    /// List and manage runners
    #[command(subcommand)]
    Runners(RunnersCommand),
    /// List jobs, print their logs, and try them again
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// List what was executed
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Add up what runners cost
    Costs(CostsArguments),
    /// List and check runner classes
    #[command(subcommand)]
    Classes(ClassesCommand),
    /// List the runner classes that jobs may ask for
    ListClassSizes(ListClasses),
    /// Show the cluster that runners are tasks of
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Check permissions, secrets, webhook, images and quotas
    Doctor(DoctorArguments),
    /// Launch no more runners; jobs that are executed go on
    Pause(BrakeArguments),
    /// Launch runners again
    Resume(BrakeArguments),
    /// Pause, and retire the runners that execute nothing
    Drain(BrakeArguments),
    /// List GitHub's webhook deliveries, and have them sent again
    #[command(subcommand)]
    Deliveries(DeliveriesCommand),
    /// Send test webhooks
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Show what recorded events would be decided to
    Replay(ReplayArguments),
    /// Print completions for a shell
    Completions(CompletionsArguments),
    /// Print the manual page
    Man,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
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
    /// A workflow file to run instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) workflow: Option<PathBuf>,
    /// Run the jobs on GitHub's own runner, unpacked here
    #[arg(long, value_name = "DIR")]
    pub(crate) runner_dir: Option<PathBuf>,
    /// Take an action from a directory (repeatable)
    #[arg(long, value_name = "OWNER/NAME@REF=DIR", requires = "workflow")]
    pub(crate) action: Vec<GivenAction>,
    /// Run so many short jobs instead of the built-in workflow
    #[arg(long, value_name = "N", conflicts_with = "workflow", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) jobs: Option<u32>,
    /// Print one JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Keep the web page up when the jobs are done, until Ctrl-C
    #[arg(long)]
    pub(crate) web: bool,
}

/// An action of another repository, and where its files are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GivenAction {
    /// `owner/name@ref`
    pub(crate) action: String,
    pub(crate) directory: PathBuf,
}

impl FromStr for GivenAction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is not an action: OWNER/NAME@REF=DIR is expected");
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
    /// Serve the fake GitHub alone
    Github(GithubArguments),
}

#[derive(Debug, Args)]
pub(crate) struct GithubArguments {
    /// Where to serve; port 0 takes any free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// A file with a token that is accepted with every permission
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Makes choices and ids the same each time
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// Start the server: webhook, API and page, with runners as processes
    Up(UpArguments),
}

#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// Where to serve; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// What outlives the server: records, tasks and their logs
    #[arg(long, value_name = "DIR", env = environment::STATE)]
    pub(crate) state: PathBuf,
    /// The configuration, in TOML
    #[arg(long, value_name = "FILE", env = environment::CONFIG)]
    pub(crate) config: PathBuf,
    /// Ask GitHub for queued jobs, for where its webhooks cannot reach this machine
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
