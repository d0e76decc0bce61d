//! `ecsrunner why`: one job, from its webhook to what to do next.

use std::fmt::Write;

use anyhow::anyhow;
use ecsrunner_core::reason::Reason;
use ecsrunner_engine::view::{JobView, ReasonView, RunnerView};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{advice, find, runs};
use crate::arguments::WhyArguments;
use crate::deployment::{Deployment, Query};
use crate::exit::Failure;
use crate::output::{self, clean, print, short, span, usd};

/// A runner is recorded after its job, though by another clock.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

#[derive(Serialize)]
struct Answer {
    job: JobView,
    runners: Vec<RunnerView>,
    because: Option<ReasonView>,
    next: String,
}

pub(super) async fn why(arguments: &WhyArguments) -> Result<(), Failure> {
    let id = find::job_id(&arguments.job)?;
    let deployment = Deployment::connect(&arguments.target).await?;
    let Some(job) = deployment.job(id.get()).await? else {
        return Err(Failure::not_found(anyhow!("{} has no record of job {id}", deployment.name())).hint(
            "none of the job's webhooks was recorded in 90 days: look at the webhook's recent deliveries at \
             GitHub, and whether it is this deployment that they go to",
        ));
    };
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
    let because = because(&job, &runners);
    let next = next(&job, because.as_ref());
    let answer = Answer { job, runners, because, next };
    if arguments.format.json {
        output::print_json(&answer)?;
    } else {
        print(&answer.text(Timestamp::now(), output::is_for_people())?)?;
    }
    Ok(())
}

/// The job's own reason or, where it has none, its runner's.
fn because(job: &JobView, runners: &[RunnerView]) -> Option<ReasonView> {
    let of_runner = |runner: &RunnerView| {
        let ending = runner.ending.as_deref().filter(|ending| *ending != "completed");
        let of_ending = || Reason::from_parts(ending?, None).as_ref().map(ReasonView::of);
        runner.reason.clone().or_else(of_ending)
    };
    // What ended well needs no reason.
    if job.state == "completed" && job.conclusion.as_deref() == Some("success") {
        return None;
    }
    let its = runners.iter().find(|runner| job.runner.as_ref() == Some(&runner.name));
    job.reason.clone().or_else(|| its.and_then(of_runner))
}

fn next(job: &JobView, because: Option<&ReasonView>) -> String {
    let code =
        because.and_then(|because| Reason::from_parts(&because.code, None)).map(|reason| reason.code());
    match (job.state.as_str(), code) {
        (_, Some(code)) => advice::on(code).to_owned(),
        ("in_progress", None) => "nothing: the job is being executed".to_owned(),
        ("completed", None) if job.conclusion.as_deref() == Some("success") => {
            "nothing: all went well".to_owned()
        }
        ("completed", None) if job.runner.is_none() && job.reached("in_progress").is_none() => {
            "no runner of ours executed it: see above what became of those that were started for it"
                .to_owned()
        }
        ("completed", None) => format!("read the job's log at GitHub: {}", url(job)),
        (state, None) => format!("`ecsrunner why {}` again in a minute: the job is {state}", job.id),
    }
}

fn url(job: &JobView) -> String {
    format!("https://github.com/{}/actions/runs/{}/job/{}", job.repository, job.run_id, job.id)
}

/// One thing that happened.
struct Moment {
    at: Timestamp,
    what: String,
}

impl Answer {
    fn text(&self, now: Timestamp, for_people: bool) -> Result<String, std::fmt::Error> {
        let job = &self.job;
        let mut text = String::new();
        let state = match &job.conclusion {
            Some(conclusion) => format!("{} with {}", job.state.replace('_', " "), clean(conclusion)),
            None => job.state.replace('_', " "),
        };
        let since = job.timeline.last().map_or(now, |stage| stage.at);
        let for_how_long = match job.state.as_str() {
            "completed" | "refused" => String::new(),
            _ => format!(", for {}", span(now.duration_since(since))),
        };
        writeln!(text, "Job {} `{}` of {}: {state}{for_how_long}", job.id, clean(&job.name), job.repository)?;
        let workflow = job.workflow.as_ref().map(|name| format!("workflow {}, ", clean(name)));
        let class = job.class.as_ref().map(|class| format!(", class {class}")).unwrap_or_default();
        let labels = clean(&job.labels.join(", "));
        writeln!(
            text,
            "  {}attempt {}, runs-on [{labels}]{class}",
            workflow.unwrap_or_default(),
            job.attempt
        )?;
        writeln!(text, "  {}\n", url(job))?;
        for moment in self.moments(for_people) {
            writeln!(text, "  {:.3}  {}", moment.at, moment.what)?;
        }
        writeln!(text)?;
        if let Some(because) = &self.because {
            writeln!(text, "Why:   {} [{}]", clean(&because.text), because.code)?;
        }
        writeln!(text, "Next:  {}", self.next)?;
        Ok(text)
    }

    fn moments(&self, for_people: bool) -> Vec<Moment> {
        let mut moments = Vec::new();
        // GitHub's clock has whole seconds, ours does not.
        let first = self.job.timeline.first().map_or(self.job.created_at, |stage| stage.at);
        moments.push(Moment { at: self.job.created_at.min(first), what: "created at GitHub".to_owned() });
        for stage in &self.job.timeline {
            moments.push(Moment { at: stage.at, what: format!("job {}", stage.state.replace('_', " ")) });
        }
        for runner in &self.runners {
            let name = short(&runner.name, for_people);
            let other = match runner.job {
                Some(other) if other != self.job.id => format!(", which GitHub gave job {other}"),
                None if self.job.runner.as_ref().is_some_and(|name| *name != runner.name) => {
                    ", which did not execute it".to_owned()
                }
                Some(_) | None => String::new(),
            };
            for stage in &runner.timeline {
                let more = match (stage.state.as_str(), &runner.ending, runner.cost_usd) {
                    ("reserved", _, _) => other.clone(),
                    ("gone", Some(ending), Some(cost)) => format!(": {ending}, {}", usd(cost)),
                    ("gone" | "ending", Some(ending), _) => format!(": {ending}"),
                    _ => String::new(),
                };
                moments.push(Moment { at: stage.at, what: format!("  runner {name} {}{more}", stage.state) });
            }
        }
        moments.sort_by_key(|moment| moment.at);
        moments
    }
}
