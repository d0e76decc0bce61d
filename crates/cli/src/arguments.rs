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
    /// Show jobs, runners, costs and holds in a local page
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
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
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

/// Returns a parser of whole numbers from `least` to `most`, whose errors say so.
fn whole<N: TryFrom<u64> + 'static>(
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<N, String> + Clone + Send + Sync + 'static {
    move |text: &str| {
        let number = text.parse::<u64>().ok().filter(|number| (least..=most).contains(number));
        number.and_then(|number| N::try_from(number).ok()).ok_or_else(|| {
            if most < u64::from(u32::MAX) {
                format!("expected a whole number from {least} to {most}")
            } else {
                format!("expected a whole number of at least {least}")
            }
        })
    }
}

/// Parses the address of a listener.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected ADDRESS:PORT, such as 127.0.0.1:8080".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The options of the demo that go with its own short jobs.
    const WITH_JOBS: [&str; 8] =
        ["workflow", "runner_dir", "follow", "logs", "jobs", "summary", "json", "web"];

    #[test]
    fn options_of_a_workflow_are_refused_with_jobs() {
        use clap::CommandFactory;
        let command = Arguments::command();
        let demo = command.find_subcommand("demo").unwrap();
        let find = |id: &str| demo.get_arguments().find(|argument| argument.get_id() == id).unwrap();
        let refused = demo.get_arg_conflicts_with(find("jobs"));
        let own = demo.get_arguments().filter(|argument| argument.get_help_heading().is_none());
        for argument in own
            .filter(|argument| !argument.is_global_set() && !WITH_JOBS.contains(&argument.get_id().as_str()))
        {
            assert!(refused.contains(&argument), "--jobs goes with --{}", argument.get_id());
        }
    }

    #[test]
    fn an_address_without_a_number_is_refused_with_an_example() {
        for text in ["localhost:8080", "127.0.0.1", ":8080", "8080"] {
            assert_eq!(address(text), Err("expected ADDRESS:PORT, such as 127.0.0.1:8080".to_owned()));
        }
        assert_eq!(address("127.0.0.1:0"), Ok("127.0.0.1:0".parse().unwrap()));
    }

    #[test]
    fn a_number_that_is_none_or_outside_its_range_is_refused_in_words() {
        for (text, least, most, expected) in [
            ("x", 1, u64::from(u32::MAX), "a whole number of at least 1"),
            ("0", 1, u32::MAX.into(), "a whole number of at least 1"),
            ("4294967296", 1, u32::MAX.into(), "a whole number of at least 1"),
            ("-1", 0, u64::MAX, "a whole number of at least 0"),
            ("257", 1, 256, "a whole number from 1 to 256"),
        ] {
            assert_eq!(whole::<u32>(least, most)(text), Err(format!("expected {expected}")));
        }
        assert_eq!(whole::<u32>(1, 256)("256"), Ok(256));
    }

    #[test]
    fn every_number_is_refused_in_words() {
        for line in [
            ["runs", "list", "--limit", "x"].as_slice(),
            &["jobs", "list", "--limit", "0"],
            &["ui", "--port", "70000"],
            &["classes", "check", "-", "--max-warm", "x"],
            &["demo", "--jobs", "0"],
        ] {
            let refused =
                Arguments::try_parse_from([["ecsrunner"].as_slice(), line].concat()).unwrap_err().to_string();
            assert!(refused.contains("expected a whole number"), "{line:?}: {refused}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
