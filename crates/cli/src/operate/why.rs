//! `ecsrunner why`: one job, from its webhook to what to do next.
//!
//! Records are asked first. What they cannot know, since they are missing or
//! nothing came of them yet, GitHub and ECS are asked.

mod evidence;
mod text;

use ecsrunner_api::job::JobView;
use ecsrunner_api::reason::ReasonView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_aws::operate::TaskInfo;
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::records::runner::EndingKind;
use ecsrunner_github::operator::Delivered;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{advice, find, runs};
use crate::arguments::WhyArguments;
use crate::deployment::{Deployment, Pages, Query};
use crate::exit::Failure;
use crate::output::{self, print};

use evidence::AtGitHub;

/// A runner is recorded after its job, though by another clock.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// All that is known of a job.
#[derive(Serialize)]
struct Answer {
    id: u64,
    /// `null` where nothing was recorded.
    job: Option<JobView>,
    runners: Vec<RunnerView>,
    /// What ECS has of the runners' tasks, where it was asked.
    tasks: Vec<TaskInfo>,
    /// What GitHub has of the job, where it was asked.
    github: Option<AtGitHub>,
    /// The job's webhooks as GitHub sent them, where nothing was recorded.
    deliveries: Vec<Delivered>,
    because: Option<ReasonView>,
    next: String,
    #[serde(skip)]
    pages: Pages,
}

pub(super) async fn why(arguments: &WhyArguments) -> Result<(), Failure> {
    let named = find::job(&arguments.job)?;
    let deployment = Deployment::connect(&arguments.target).await?;
    let mut answer = match deployment.job(named.id.get()).await? {
        Some(job) => recorded(&deployment, job).await?,
        None => {
            let repository = arguments.repository.clone().or(named.repository);
            evidence::unrecorded(&deployment, named.id, repository).await?
        }
    };
    if answer.next.is_empty() {
        answer.next = answer.advice();
    }
    if arguments.format.json {
        output::print_json(&answer)?;
    } else {
        print(&answer.text(Timestamp::now(), output::is_for_people())?)?;
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
    let because = because(&job, &runners);
    let id = job.id;
    Ok(Answer {
        id,
        job: Some(job),
        runners,
        tasks,
        github,
        deliveries: Vec::new(),
        because,
        next: String::new(),
        pages: deployment.pages()?,
    })
}

/// The job's own reason or, where it has none, its runner's.
fn because(job: &JobView, runners: &[RunnerView]) -> Option<ReasonView> {
    let of_runner = |runner: &RunnerView| {
        let ending = runner.ending.filter(|ending| *ending != EndingKind::Completed);
        let of_ending = || Some(ReasonView::of(&ending?.code().into()));
        runner.reason.clone().or_else(of_ending)
    };
    // What ended well needs no reason.
    if job.has_succeeded() {
        return None;
    }
    let its = runners.iter().find(|runner| job.runner.as_ref() == Some(&runner.name));
    job.reason.clone().or_else(|| its.and_then(of_runner))
}

impl Answer {
    fn page(&self, job: &JobView) -> String {
        self.pages.job(&job.repository, job.run_id, job.id)
    }

    fn advice(&self) -> String {
        let code = self.because.as_ref().map(|because| because.code);
        let Some(job) = &self.job else {
            return advice::on(code.unwrap_or(Code::NotRecorded)).to_owned();
        };
        if let Some(github) = self.github.as_ref().filter(|github| github.is_ahead_of(job.state)) {
            return format!(
                "look again in a few minutes: GitHub says {}, and the sweep asks it by itself",
                github.words()
            );
        }
        match (job.state, code) {
            (_, Some(code)) => advice::on(code).to_owned(),
            (JobStage::InProgress, None) => "nothing: the job is being executed".to_owned(),
            (JobStage::Completed, None) if job.has_succeeded() => "nothing: all went well".to_owned(),
            (JobStage::Completed, None)
                if job.runner.is_none() && job.reached(JobStage::InProgress).is_none() =>
            {
                "no runner of ours executed it: see above what became of those that were started for it"
                    .to_owned()
            }
            (JobStage::Completed, None) => {
                format!("`ecsrunner jobs logs {}` prints the job's log, as does {}", job.id, self.page(job))
            }
            (state @ (JobStage::Waiting | JobStage::Queued | JobStage::Refused), None) => {
                format!("`ecsrunner why {}` again in a minute: the job is {state}", job.id)
            }
        }
    }
}
