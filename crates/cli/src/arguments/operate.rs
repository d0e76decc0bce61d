//! The operator's commands, and the deployment that they act on.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use ecsrunner_api::costs::CostKey;
use ecsrunner_core::id::Repository;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::records::runner::RunnerStage;

use super::since::Since;
use crate::environment;

/// The deployment that a command acts on.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Deployment")]
pub(crate) struct TargetArguments {
    /// Deployment on AWS [env: ECSRUNNER_DEPLOYMENT]
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    pub(crate) deployment: Option<String>,
    /// Local server, by URL or state directory [env: ECSRUNNER_LOCAL]
    #[arg(long, value_name = "URL|DIR")]
    pub(crate) local: Option<String>,
    /// AWS profile [env: AWS_PROFILE]
    #[arg(long, value_name = "NAME", conflicts_with = "local")]
    pub(crate) profile: Option<String>,
    /// AWS Region of the deployment [env: AWS_REGION]
    #[arg(long, value_name = "REGION", conflicts_with = "local")]
    pub(crate) region: Option<String>,
}

/// The output format.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct FormatArguments {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunnersCommand {
    /// List open runners, then ended ones, the latest first
    List(ListRunners),
    /// Show all details of a runner
    Details(RunnerDetails),
    /// Print the log of a runner's task
    Logs(RunnerLogs),
    /// Open a shell or run a command in a runner's task (ECS Exec)
    Exec(RunnerExec),
    /// Retire a runner, or stop it at once with --force
    Stop(StopRunner),
}

#[derive(Debug, Args)]
pub(crate) struct ListRunners {
    /// Filter by state
    #[arg(long, value_name = "STATE", value_parser = runner_stages())]
    pub(crate) state: Option<RunnerStage>,
    /// Filter by class
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    #[command(flatten)]
    pub(crate) past: PastArguments,
    /// Refresh the list every 2 seconds, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

/// Filters for open and ended records.
#[derive(Clone, Debug, Args)]
pub(crate) struct PastArguments {
    /// Filter by repository
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repository: Option<String>,
    /// Omit what ended earlier: a span such as 2h or 30d, or an RFC 3339 time
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    pub(crate) since: Since,
    /// Maximum number of results
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = super::whole::<u32>(1, u32::MAX.into()))]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct RunnerDetails {
    /// Runner name, or at least its last 4 characters
    pub(crate) runner: String,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RunnerLogs {
    /// Runner name, or at least its last 4 characters
    pub(crate) runner: String,
    /// Show the log of this service of its class instead of the runner's own
    #[arg(long, value_name = "NAME")]
    pub(crate) container: Option<String>,
    /// Follow the log until the runner is gone
    #[arg(long, short)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RunnerExec {
    /// Runner name, or at least its last 4 characters
    pub(crate) runner: String,
    /// Command to run instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct StopRunner {
    /// Runner name, or at least its last 4 characters
    pub(crate) runner: String,
    /// Stop the runner even if it runs a job; the job fails
    #[arg(long)]
    pub(crate) force: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List open jobs and what they wait for, then ended ones, the latest first
    List(ListJobs),
    /// Print the log of a job that has ended, from GitHub
    Logs(JobLogs),
    /// Re-evaluate a refused job, or re-run an ended one
    Retry(RetryJob),
}

#[derive(Debug, Args)]
pub(crate) struct ListJobs {
    /// Filter by state
    #[arg(long, value_name = "STATE", value_parser = job_stages())]
    pub(crate) state: Option<JobStage>,
    /// Filter by class
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
    /// Job id, the URL of the job at GitHub, or its runner's name or the last 4 characters of it
    pub(crate) job: String,
    /// Repository of the job, if JOB is an id that has no record
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repository: Option<Repository>,
    /// Wait for the job's end, and print its steps to stderr as they come
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Start each line with its time
    #[arg(long)]
    pub(crate) timestamps: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RetryJob {
    /// Job id, the URL of the job at GitHub, or its runner's name or the last 4 characters of it
    pub(crate) job: String,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show tasks, limits and quotas, and their use
    Status(ClusterStatus),
}

#[derive(Debug, Args)]
pub(crate) struct ClusterStatus {
    /// Cluster name or ARN, on AWS only [default: the deployment's cluster]
    pub(crate) cluster: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesCommand {
    /// List the GitHub App's webhook deliveries that failed or were lost
    List(ListDeliveries),
    /// Ask GitHub to send deliveries again
    Redeliver(Redeliver),
}

#[derive(Debug, Args)]
pub(crate) struct ListDeliveries {
    /// Include successful deliveries
    #[arg(long)]
    pub(crate) all: bool,
    /// Omit earlier deliveries: a span such as 2h, or an RFC 3339 time (GitHub keeps 3 days)
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
    /// Delivery numbers or GUIDs
    pub(crate) delivery: Vec<String>,
    /// Redeliver everything that `deliveries list` shows
    #[arg(long, conflicts_with = "delivery")]
    pub(crate) failed: bool,
    /// With --failed, omit earlier deliveries: a span such as 2h, or an RFC 3339 time
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    pub(crate) since: Since,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
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
    /// List executed jobs with their wait, duration and cost
    List(ListRuns),
}

#[derive(Debug, Args)]
pub(crate) struct ListRuns {
    /// Filter by runner name, or at least its last 4 characters
    #[arg(long, value_name = "RUNNER")]
    pub(crate) runner_id: Option<String>,
    /// Filter by workflow name
    #[arg(long, value_name = "NAME")]
    pub(crate) workflow: Option<String>,
    /// Show where the wait of each job went
    #[arg(long)]
    pub(crate) times: bool,
    /// Show what each job used of its runner
    #[arg(long, conflicts_with = "times")]
    pub(crate) peaks: bool,
    #[command(flatten)]
    pub(crate) past: PastArguments,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArguments {
    /// Job id, the URL of the job at GitHub, or its runner's name or the last 4 characters of it
    pub(crate) job: String,
    /// Repository of the job, if JOB is an id that has no record
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repository: Option<Repository>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

/// How costs are grouped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum By {
    Repository,
    Class,
    Workflow,
    Day,
}

impl By {
    pub(crate) const fn key(self) -> CostKey {
        match self {
            Self::Repository => CostKey::Repository,
            Self::Class => CostKey::Class,
            Self::Workflow => CostKey::Workflow,
            Self::Day => CostKey::Day,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct UiArguments {
    /// Open the page at this job: its id, its URL at GitHub, or its runner's name
    pub(crate) job: Option<String>,
    /// Port of the page on 127.0.0.1 (0: any free port)
    #[arg(long, value_name = "PORT", default_value_t = 0, value_parser = super::whole::<u16>(0, u16::MAX.into()))]
    pub(crate) port: u16,
    /// Print the address instead of opening a browser
    #[arg(long, short)]
    pub(crate) no_browser: bool,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CostsArguments {
    /// Omit runners that ended earlier: a span such as 2h or 30d, or an RFC 3339 time
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub(crate) since: Since,
    /// Group costs by this key
    #[arg(long, value_name = "KEY", value_enum, default_value_t = By::Repository)]
    pub(crate) by: By,
    /// GitHub's fee for a minute on a self-hosted runner, in US dollars, which savings are reduced by [default: the
    /// deployment's `self_hosted_fee`]
    #[arg(long, value_name = "USD", env = environment::SELF_HOSTED_FEE, value_parser = dollars, hide_env_values = true)]
    pub(crate) self_hosted_fee: Option<f64>,
    /// Compare what jobs used with the sizes of classes, and show which class would fit
    #[arg(long, conflicts_with_all = ["by", "self_hosted_fee"])]
    pub(crate) right_size: bool,
    /// Print the result as CSV
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArguments {
    /// Omit jobs whose runner ended earlier: a span such as 2h or 30d, or an RFC 3339 time
    #[arg(long, value_name = "WHEN", default_value = "7d")]
    pub(crate) since: Since,
    /// Filter by repository
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repository: Option<String>,
    /// Filter by class
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClassesCommand {
    /// List the runner classes that jobs can request
    List(ListClasses),
    /// Check a JSON file of runner classes
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
    /// JSON object of classes by name (`-` for stdin)
    pub(crate) file: PathBuf,
    /// The deployment's `limits.max_warm`, to check `warm.count` of all classes together
    #[arg(long, value_name = "N", value_parser = super::whole::<u32>(0, u32::MAX.into()))]
    pub(crate) max_warm: Option<u32>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Debug, Args)]
pub(crate) struct BrakeArguments {
    #[command(flatten)]
    pub(crate) format: FormatArguments,
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
    /// File with the payload, as GitHub sends it (`-` for stdin)
    pub(crate) file: PathBuf,
    /// Webhook URL
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// File with the webhook's secret
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: PathBuf,
    /// GitHub event name
    #[arg(long, value_name = "EVENT", default_value = "workflow_job")]
    pub(crate) event: String,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

fn dollars(text: &str) -> Result<f64, String> {
    let dollars = text.parse::<f64>().ok().filter(|dollars| dollars.is_finite() && *dollars >= 0.0);
    dollars.ok_or_else(|| "expected dollars such as 0.002".to_owned())
}

fn runner_stages() -> impl TypedValueParser<Value = RunnerStage> {
    PossibleValuesParser::new(RunnerStage::ALL.map(RunnerStage::as_str))
        .try_map(|text| RunnerStage::parse(&text).ok_or("expected a runner state"))
}

fn job_stages() -> impl TypedValueParser<Value = JobStage> {
    PossibleValuesParser::new(JobStage::ALL.map(JobStage::as_str))
        .try_map(|text| JobStage::parse(&text).ok_or("expected a job state"))
}
