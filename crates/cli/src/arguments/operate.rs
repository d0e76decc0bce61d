//! The operator's commands, and where they are carried out.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use ecsrunner_core::id::Repository;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::records::runner::RunnerStage;

use super::since::Since;

/// Where a command is carried out.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Deployment")]
pub(crate) struct TargetArguments {
    /// A deployment on AWS, by name; or ECSRUNNER_DEPLOYMENT
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    pub(crate) deployment: Option<String>,
    /// A local server, by its URL or its state directory; or ECSRUNNER_LOCAL
    #[arg(long, value_name = "URL|DIR")]
    pub(crate) local: Option<String>,
    /// A profile of the AWS CLI's
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    pub(crate) profile: Option<String>,
    /// The AWS Region of the deployment
    #[arg(long, value_name = "REGION", conflicts_with = "local")]
    pub(crate) region: Option<String>,
}

/// How what was asked for is written.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct FormatArguments {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunnersCommand {
    /// List runners: the open ones, then the latest that are gone
    List(ListRunners),
    /// Show everything that is known of a runner
    Details(RunnerDetails),
    /// Print the log of a runner's task
    Logs(RunnerLogs),
    /// Open a shell in a runner's task, by ECS Exec
    Exec(RunnerExec),
    /// Retire a runner
    Stop(StopRunner),
}

#[derive(Debug, Args)]
pub(crate) struct ListRunners {
    /// Only runners in this state: reserved, starting, booted, busy, ending, gone
    #[arg(long, value_name = "STATE", value_parser = runner_stages())]
    pub(crate) state: Option<RunnerStage>,
    /// Only runners of this class
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    #[command(flatten)]
    pub(crate) past: PastArguments,
    /// Draw the list again every 2 seconds, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

/// Which part of what was.
#[derive(Clone, Debug, Args)]
pub(crate) struct PastArguments {
    /// Only those of this repository
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repository: Option<String>,
    /// Leave out what ended before: a span such as 2h or 30d, or a time
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    pub(crate) since: Since,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct RunnerDetails {
    /// The runner's name, or its end
    pub(crate) runner: String,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RunnerLogs {
    /// The runner's name, or its end
    pub(crate) runner: String,
    /// Go on until the runner is gone
    #[arg(long, short)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RunnerExec {
    /// The runner's name, or its end
    pub(crate) runner: String,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// What to execute there instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StopRunner {
    /// The runner's name, or its end
    pub(crate) runner: String,
    /// Stop it while it executes a job: the job fails
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs: the open ones with what they wait for, then the latest that ended
    List(ListJobs),
    /// Print the log of a job that has ended, as GitHub keeps it
    Logs(JobLogs),
    /// Have a refused job judged again, or one that has ended run again
    Retry(RetryJob),
}

#[derive(Debug, Args)]
pub(crate) struct ListJobs {
    /// Only jobs in this state: waiting, queued, in_progress, completed, refused
    #[arg(long, value_name = "STATE", value_parser = job_stages())]
    pub(crate) state: Option<JobStage>,
    /// Only jobs of this class
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    #[command(flatten)]
    pub(crate) past: PastArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct JobLogs {
    /// The job's id, or its URL at GitHub
    pub(crate) job: String,
    /// The job's repository, for a job without a record that is named by its id
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repository: Option<Repository>,
    /// Begin each line with its time
    #[arg(long)]
    pub(crate) timestamps: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RetryJob {
    /// The job's id, or its URL at GitHub
    pub(crate) job: String,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show tasks, limits and quotas, and how much of them is in use
    Status(ClusterStatus),
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStatus {
    /// Another cluster than the deployment's own, by name or ARN
    pub(crate) cluster: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesCommand {
    /// List webhook deliveries of the GitHub App that failed or were lost
    List(ListDeliveries),
    /// Have GitHub send deliveries again
    Redeliver(Redeliver),
}

#[derive(Debug, Args)]
pub(crate) struct ListDeliveries {
    /// Those that went well, too
    #[arg(long)]
    pub(crate) all: bool,
    /// Leave out what was delivered before: a span such as 2h, or a time; GitHub keeps three days
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    pub(crate) since: Since,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["delivery", "failed"]))]
pub(crate) struct Redeliver {
    /// Deliveries, by GitHub's number or by GUID
    pub(crate) delivery: Vec<String>,
    /// All that `deliveries list` shows
    #[arg(long, conflicts_with = "delivery")]
    pub(crate) failed: bool,
    /// With --failed: leave out what was delivered before
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    pub(crate) since: Since,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List jobs that were executed, with their wait, duration and cost
    List(ListRuns),
}

#[derive(Debug, Args)]
pub(crate) struct ListRuns {
    /// Only what this runner executed: its name, or its end
    #[arg(long, value_name = "RUNNER")]
    pub(crate) runner_id: Option<String>,
    /// Only jobs of this workflow
    #[arg(long, value_name = "NAME")]
    pub(crate) workflow: Option<String>,
    #[command(flatten)]
    pub(crate) past: PastArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArguments {
    /// The job's id, or its URL at GitHub
    pub(crate) job: String,
    /// The job's repository, for one by id of which there is no record
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repository: Option<Repository>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

/// What costs are added up by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum CostKey {
    Repository,
    Class,
    Workflow,
    Day,
}

#[derive(Debug, Args)]
pub(crate) struct CostsArguments {
    /// Leave out what ended before: a span such as 2h or 30d, or a time
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub(crate) since: Since,
    /// Add up by this
    #[arg(long, value_name = "KEY", value_enum, default_value_t = CostKey::Repository)]
    pub(crate) by: CostKey,
    /// Print comma-separated values
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClassesCommand {
    /// List the runner classes that jobs may ask for
    List(ListClasses),
    /// Check a catalogue of classes, a JSON object of them by name
    Check(CheckClasses),
}

#[derive(Debug, Args)]
pub(crate) struct ListClasses {
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CheckClasses {
    /// The file; `-` for standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Debug, Args)]
pub(crate) struct BrakeArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Send a file as a signed webhook
    Send(SendWebhook),
}

#[derive(Debug, Args)]
pub(crate) struct SendWebhook {
    /// The payload, as GitHub would send it
    pub(crate) file: PathBuf,
    /// Where to
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// A file with the webhook's secret
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: PathBuf,
    /// The event
    #[arg(long, value_name = "EVENT", default_value = "workflow_job")]
    pub(crate) event: String,
}

fn runner_stages() -> impl TypedValueParser<Value = RunnerStage> {
    PossibleValuesParser::new(RunnerStage::ALL.map(RunnerStage::as_str))
        .try_map(|text| RunnerStage::parse(&text).ok_or("a state of a runner is expected"))
}

fn job_stages() -> impl TypedValueParser<Value = JobStage> {
    PossibleValuesParser::new(JobStage::ALL.map(JobStage::as_str))
        .try_map(|text| JobStage::parse(&text).ok_or("a state of a job is expected"))
}
