//! `ecsrunner why`: one job, from its webhook to what to do next.
//!
//! Records are read first. GitHub and ECS are asked about jobs that are open or
//! have no record, and about tasks.

mod evidence;
mod memory;
mod text;

use ecsrunner_api::job::JobView;
use ecsrunner_api::reason::ReasonView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_aws::task::TaskInfo;
use ecsrunner_core::decide::rerun::note;
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::records::runner::EndingKind;
use ecsrunner_core::wire::fault::Fault;
use ecsrunner_github::operator::Delivered;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::find::Asked;
use super::{advice, runs};
use crate::arguments::WhyArguments;
use crate::deployment::{Deployment, Pages, Query};
use crate::exit::Failure;
use crate::output::{self, print};

use evidence::AtGitHub;

/// The allowed difference between clocks: runners and webhooks are searched from this long before the job.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// Everything that is known about a job.
#[derive(Serialize)]
struct Answer {
    id: u64,
    /// `null` if the job has no record.
    job: Option<JobView>,
    runners: Vec<RunnerView>,
    /// The runners' tasks in ECS, if ECS was asked.
    tasks: Vec<TaskInfo>,
    /// The job at GitHub, if GitHub was asked.
    github: Option<AtGitHub>,
    /// The job's webhooks at GitHub, if the job has no record.
    deliveries: Vec<Delivered>,
    because: Option<ReasonView>,
    next: String,
    /// Whether runners are processes on one machine.
    #[serde(skip)]
    on_one_machine: bool,
    #[serde(skip)]
    pages: Pages,
}

pub(super) async fn why(arguments: &WhyArguments) -> Result<(), Failure> {
    // A job's own note names its runner: the job's id is not told there.
    let asked = Asked::parse(&arguments.job)?;
    let deployment = Deployment::connect(&arguments.target).await?;
    let named = asked.job(&deployment).await?;
    let mut answer = match deployment.job(named.id.get()).await? {
        Some(job) => recorded(&deployment, job).await?,
        None => {
            let repository = arguments.repository.clone().or(named.repository);
            evidence::unrecorded(&deployment, named.id, repository).await?
        }
    };
    if answer.next.is_empty() {
        answer.next = answer.advice(Timestamp::now());
    }
    if arguments.format.json {
        output::print_json(&answer)?;
    } else {
        print(&answer.text(Timestamp::now(), output::width_for_people())?)?;
    }
    Ok(())
}

async fn recorded(deployment: &Deployment, job: JobView) -> Result<Answer, Failure> {
    let query = Query {
        repository: Some(job.repository.clone()),
        since: Some(job.created_at - CLOCKS_DIFFER),
        ..Query::default()
    };
    let mut runners = deployment.runners(&query).await?;
    runners.retain(|runner| runs::concerns(runner, &job));
    // An organization's runner may have been started for another repository.
    if let Some(name) = job.runner.as_deref().filter(|name| runners.iter().all(|runner| runner.name != *name))
    {
        runners.extend(deployment.runner(name).await?);
    }
    runners.sort_by_key(RunnerView::began);
    let tasks = evidence::tasks(deployment, &runners).await;
    let github = if job.is_past() { None } else { evidence::of_job(deployment, &job).await };
    // Without a configuration, such as with the URL of a local server alone, no class is known.
    let (catalogue, max_job_minutes) = deployment
        .rules()
        .map(|rules| (rules.catalogue, rules.settings.limits.max_job_minutes))
        .unwrap_or_default();
    let because = because(&job, &runners);
    let next =
        memory::advice((&catalogue, max_job_minutes), &job, its_runner(&job, &runners), because.as_ref());
    let id = job.id;
    Ok(Answer {
        id,
        job: Some(job),
        runners,
        tasks,
        github,
        deliveries: Vec::new(),
        because,
        next: next.unwrap_or_default(),
        on_one_machine: deployment.is_local(),
        pages: deployment.pages()?,
    })
}

/// Returns the job's own reason, or else its runner's.
fn because(job: &JobView, runners: &[RunnerView]) -> Option<ReasonView> {
    let of_runner = |runner: &RunnerView| {
        let ending = runner.ending.filter(|ending| *ending != EndingKind::Completed);
        let of_ending = || Some(ReasonView::of(&ending?.code().into()));
        runner.reason.clone().or_else(of_ending)
    };
    // A successful job needs no reason.
    if job.has_succeeded() {
        return None;
    }
    let its = its_runner(job, runners);
    let of_runner = job.reason.clone().or_else(|| its.and_then(of_runner));
    of_runner.or_else(|| memory::killed(job, its?))
}

/// Returns the runner that executed the job.
fn its_runner<'a>(job: &JobView, runners: &'a [RunnerView]) -> Option<&'a RunnerView> {
    runners.iter().find(|runner| job.runner.as_ref() == Some(&runner.name))
}

impl Answer {
    fn page(&self, job: &JobView) -> String {
        self.pages.job(&job.repository, job.run_id, job.id)
    }

    /// Returns the advice on an open job, with the time of the next try if launches for it are held.
    fn while_open(&self, job: &JobView, code: Code, now: Timestamp) -> String {
        let hold = job.hold.as_ref();
        let local = Some(code).filter(|_| self.on_one_machine).and_then(advice::on_one_machine);
        let advice = match hold {
            Some(hold) if hold.fault == Fault::Throttled.as_str() => advice::THROTTLED,
            _ => local.unwrap_or(advice::on(code)),
        };
        match hold.filter(|hold| hold.not_before > now) {
            Some(hold) => format!("{advice}; the next try is not before {:.0}", hold.not_before),
            None => advice.to_owned(),
        }
    }

    fn advice(&self, now: Timestamp) -> String {
        let code = self.because.as_ref().and_then(|because| because.code.known());
        let Some(job) = &self.job else {
            return advice::on(code.unwrap_or(Code::NotRecorded)).to_owned();
        };
        if let Some(github) = self.github.as_ref().filter(|github| github.is_ahead_of(job.state)) {
            return format!(
                "run the command again in a few minutes: GitHub says {}, and the sweep will record that",
                github.words()
            );
        }
        let text = self.because.as_ref().map_or("", |because| because.text.as_str());
        match (job.state, code) {
            (JobStage::Completed, Some(_)) if text.contains(note::WANTED) => {
                format!("nothing to do, unless you do not want to wait: see {}", self.page(job))
            }
            (JobStage::Completed, Some(_)) if text.contains(note::MADE) => {
                format!("nothing to do: the new attempt is at {}", self.page(job))
            }
            // Only a person can start a job again that has ended at GitHub.
            (JobStage::Completed, Some(code)) => {
                advice::on(code).replace(advice::RETRY, "run the job again at GitHub")
            }
            (_, Some(code)) => {
                let retry = format!("run `ecsrunner jobs retry {}`", job.id);
                self.while_open(job, code, now).replace(advice::RETRY, &retry)
            }
            (JobStage::InProgress, None) => "nothing to do: the job is running".to_owned(),
            (JobStage::Completed, None) if job.has_succeeded() => "nothing to do".to_owned(),
            (JobStage::Completed, None)
                if job.runner.is_none() && job.reached(JobStage::InProgress).is_none() =>
            {
                "none of our runners executed it: the steps above show what happened to those that were started for it"
                    .to_owned()
            }
            (JobStage::Completed, None) => {
                format!("read the job's log with `ecsrunner jobs logs {}` or at {}", job.id, self.page(job))
            }
            (state @ (JobStage::Waiting | JobStage::Queued | JobStage::Refused), None) => {
                format!("run `ecsrunner why {}` again in a minute: the job is {state}", job.id)
            }
        }
    }
}
