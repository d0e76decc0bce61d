//! The answer for people: the job, its history, ECS and GitHub, the reason, and what to do next.

use std::fmt::Write;

use ecsrunner_api::job::JobView;
use ecsrunner_aws::task::TaskInfo;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::records::runner::RunnerStage;
use ecsrunner_core::records::wait::Part;
use ecsrunner_core::wire::job::JobStatus;
use jiff::Timestamp;

use super::{Answer, AtGitHub};
use crate::operate::{peaks, stats};
use crate::output::{behind, clean, short, span, usd, wrapped};

/// One line of the history.
struct Moment {
    at: Timestamp,
    what: String,
}

impl Answer {
    /// `width` is that of a terminal in columns, or `None` for programs.
    pub(super) fn text(&self, now: Timestamp, width: Option<usize>) -> Result<String, std::fmt::Error> {
        let for_people = width.is_some();
        let width = width.unwrap_or(usize::MAX);
        let mut text = String::new();
        match (&self.job, &self.github) {
            (Some(job), _) => {
                text += &wrapped(&self.heading(job, now)?, width);
                for moment in self.moments(job, for_people) {
                    text += &behind(&format!("  {:.3}  ", moment.at), &moment.what, width);
                }
            }
            (None, Some(github)) => text += &wrapped(&self.unrecorded(github)?, width),
            (None, None) => {}
        }
        if let Some(job) = &self.job {
            text += &self.wait(job, width);
            text += &self.used(job, width);
        }
        text.push('\n');
        for task in &self.tasks {
            text += &behind("ECS:     ", &clean(&words(task)), width);
        }
        if let Some(github) = &self.github {
            text += &behind("GitHub:  ", &clean(&github.words()), width);
        }
        for delivery in &self.deliveries {
            let action = delivery.action.as_deref().unwrap_or("?");
            let (event, id, at, status) =
                (&delivery.event, delivery.id, delivery.delivered_at, &delivery.status);
            let told = format!("{event} {action}, delivery {id} at {at:.0}: {status}");
            text += &behind("Webhook: ", &clean(&told), width);
        }
        if let Some(because) = &self.because {
            text += &behind("Why:     ", &format!("{} [{}]", clean(&because.text), because.code), width);
        }
        text += &behind("Next:    ", &clean(&self.next), width);
        Ok(text)
    }

    fn moments(&self, job: &JobView, for_people: bool) -> Vec<Moment> {
        let mut moments = Vec::new();
        // GitHub's times are in whole seconds, ours are not.
        let first = job.timeline.first().map_or(job.created_at, |stage| stage.at);
        moments.push(Moment { at: job.created_at.min(first), what: "created at GitHub".to_owned() });
        for stage in &job.timeline {
            moments.push(Moment { at: stage.at, what: format!("job {}", words_of(stage.state)) });
        }
        for runner in &self.runners {
            let name = short(&runner.name, for_people);
            let purpose = if runner.fails { " to fail the job" } else { "" };
            let other = match runner.job {
                Some(other) if other != job.id => format!(", to which GitHub gave job {other}"),
                None if job.runner.as_ref().is_some_and(|name| *name != runner.name) => {
                    ", which did not execute the job".to_owned()
                }
                Some(_) | None => String::new(),
            };
            for (nth, stage) in runner.timeline.iter().enumerate() {
                // GitHub gave it a job just when it was to end.
                let goes_on = runner.timeline[nth + 1..].iter().any(|later| later.state == RunnerStage::Busy);
                let more = match (stage.state, &runner.ending, runner.cost_usd) {
                    (RunnerStage::Reserved, _, _) => format!("{purpose}{other}"),
                    (RunnerStage::Ending, _, _) if goes_on => ", until a job came".to_owned(),
                    (RunnerStage::Gone, Some(ending), Some(cost)) => format!(": {ending}, {}", usd(cost)),
                    (RunnerStage::Gone | RunnerStage::Ending, Some(ending), _) => format!(": {ending}"),
                    _ => String::new(),
                };
                moments.push(Moment { at: stage.at, what: format!("  runner {name} {}{more}", stage.state) });
            }
        }
        moments.sort_by_key(|moment| moment.at);
        moments
    }

    /// Says where the job's wait went, as far as its runner's record says so.
    fn wait(&self, job: &JobView, width: usize) -> String {
        let its = self.runners.iter().find(|runner| runner.job == Some(job.id));
        let Some(wait) = its.and_then(|runner| runner.wait.as_ref()) else { return String::new() };
        let part = |length, name: &str, why: &str| {
            behind(&format!("  {:>8}  {name:<10}  ", span(length)), why, width)
        };
        let warm = if wait.warm { ", on a warm task" } else { "" };
        let mut text = format!("\nIt waited {} until it started{warm}:\n", span(wait.total()));
        for of in Part::ALL {
            let Some(length) = wait.part(of) else { continue };
            let why = match wait.held_by.filter(|_| of == Part::Held) {
                Some(by) => format!("{} by {}", of.text(), stats::words(by)),
                None => of.text().to_owned(),
            };
            text += &part(length, of.word(), &why);
        }
        if !wait.unknown().is_zero() {
            text += &part(wait.unknown(), "unknown", "no record says where");
        }
        text
    }

    /// Says what the job used of its runner, if that was measured.
    fn used(&self, job: &JobView, width: usize) -> String {
        let its = self.runners.iter().find(|runner| runner.job == Some(job.id));
        let lines = its.and_then(|runner| runner.peaks.as_ref()).map(peaks::lines).unwrap_or_default();
        let mut text = String::new();
        if !lines.is_empty() {
            text.push_str("\nIt used:\n");
        }
        for (name, value) in lines {
            text += &behind(&format!("  {name:<10}  "), &value, width);
        }
        text
    }

    fn heading(&self, job: &JobView, now: Timestamp) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let state = match &job.conclusion {
            Some(conclusion) => format!("{} with {}", words_of(job.state), clean(conclusion.as_str())),
            None => words_of(job.state),
        };
        let since = job.timeline.last().map_or(now, |stage| stage.at);
        let for_how_long =
            if job.is_past() { String::new() } else { format!(", for {}", span(now.duration_since(since))) };
        writeln!(text, "Job {} `{}` of {}: {state}{for_how_long}", job.id, clean(&job.name), job.repository)?;
        let workflow = job.workflow.as_ref().map(|name| format!("workflow {}, ", clean(name)));
        let class = job.class.as_ref().map(|class| format!(", class {class}")).unwrap_or_default();
        let labels = clean(&job.labels.join(", "));
        let (workflow, attempt) = (workflow.unwrap_or_default(), job.attempt);
        writeln!(text, "  {workflow}attempt {attempt}, runs-on [{labels}]{class}")?;
        writeln!(text, "  {}\n", self.page(job))?;
        Ok(text)
    }

    fn unrecorded(&self, job: &AtGitHub) -> Result<String, std::fmt::Error> {
        let (id, mut text) = (self.id, String::new());
        writeln!(text, "Job {id} `{}` of {}: not recorded here", clean(&job.name), job.repository)?;
        let workflow = job.workflow.as_ref().map(|name| format!("workflow {}, ", clean(name)));
        let (workflow, attempt) = (workflow.unwrap_or_default(), job.attempt);
        writeln!(text, "  {workflow}attempt {attempt}, runs-on [{}]", clean(&job.labels.join(", ")))?;
        writeln!(text, "  {}\n", self.pages.job(&job.repository, job.run_id, id))?;
        for (at, what) in [
            (job.created_at, "created at GitHub"),
            (job.started_at.filter(|_| job.status != JobStatus::Queued), "started"),
            (job.completed_at, "ended"),
        ] {
            if let Some(at) = at {
                writeln!(text, "  {at:.3}  {what}")?;
            }
        }
        Ok(text)
    }
}

/// Returns a state as words.
fn words_of(state: JobStage) -> String {
    state.as_str().replace('_', " ")
}

/// Describes a task's state, and why it stopped.
fn words(task: &TaskInfo) -> String {
    let mut words = format!("task {} is {}", task.task, task.last_status);
    if task.desired_status != task.last_status {
        words += &format!(", desired {}", task.desired_status);
    }
    for why in [&task.stop_code, &task.stopped_reason, &task.container_reason].into_iter().flatten() {
        words += &format!("; {why}");
    }
    if let Some(code) = task.exit_code {
        words += &format!("; exit code {code}");
    }
    words
}

#[cfg(test)]
mod tests {
    use ecsrunner_api::deployment::JobHold;
    use ecsrunner_api::reason::ReasonView;
    use ecsrunner_core::reason::{Code, Reason};
    use ecsrunner_github::ApiUrl;
    use serde_json::{Value, json};

    use super::*;
    use crate::deployment::Pages;

    fn job(state: &str) -> JobView {
        serde_json::from_value(json!({
            "id": 7, "repository": "acme/app", "run_id": 1, "attempt": 1, "name": "build", "workflow": "CI",
            "labels": [], "class": null, "pool": null, "state": state, "reason": null, "runner": "r",
            "conclusion": null, "created_at": "2026-11-30T12:00:00Z", "timeline": [],
        }))
        .unwrap()
    }

    fn answer(job: JobView, runner: Value, code: Code) -> Answer {
        Answer {
            id: 7,
            job: Some(job),
            runners: vec![serde_json::from_value(runner).unwrap()],
            tasks: Vec::new(),
            github: None,
            deliveries: Vec::new(),
            because: Some(ReasonView::of(&Reason::from(code))),
            next: String::new(),
            on_one_machine: false,
            pages: Pages::of(&ApiUrl::parse(ApiUrl::GITHUB_COM).unwrap()),
        }
    }

    fn runner(fails: bool, stages: &[&str]) -> Value {
        let at = |nth: usize| format!("2026-11-30T12:00:{nth:02}Z");
        let stages = stages.iter().enumerate().map(|(nth, state)| json!({"state": state, "at": at(nth)}));
        json!({
            "name": "r", "repository": "acme/app", "class": "small", "pool": "p", "state": "gone", "fails": fails,
            "ending": "completed", "reason": null, "job": 7, "launched_for": 7, "task": null,
            "capacity_provider": "FARGATE", "task_seconds": null, "cost_usd": null,
            "timeline": stages.collect::<Vec<_>>(),
        })
    }

    fn moments(answer: &Answer) -> Vec<String> {
        let moments = answer.moments(answer.job.as_ref().unwrap(), false).into_iter();
        moments.map(|moment| moment.what.trim_start().to_owned()).skip(1).collect()
    }

    #[test]
    fn a_runner_that_fails_its_job_is_told_as_one() {
        let told = moments(&answer(job("refused"), runner(true, &["reserved", "gone"]), Code::ClassUnknown));
        assert_eq!(told, ["runner r reserved to fail the job", "runner r gone: completed"]);
    }

    #[test]
    fn an_ending_that_was_taken_back_has_not_the_reason_of_the_last_one() {
        let stages = ["reserved", "ending", "busy", "ending", "gone"];
        let told = moments(&answer(job("completed"), runner(false, &stages), Code::ClassUnknown));
        assert_eq!(
            told[1..4],
            ["runner r ending, until a job came", "runner r busy", "runner r ending: completed"]
        );
    }

    #[test]
    fn lines_are_wrapped_behind_their_headings_for_people_alone() {
        let mut answer = answer(job("refused"), runner(true, &["reserved", "gone"]), Code::ClassUnknown);
        answer.next = answer.advice(Timestamp::UNIX_EPOCH);
        let now = Timestamp::UNIX_EPOCH;
        let told = answer.text(now, Some(80)).unwrap();
        insta::assert_snapshot!(told, @r"
        Job 7 `build` of acme/app: refused
          workflow CI, attempt 1, runs-on []
          https://github.com/acme/app/actions/runs/1/job/7

          2026-11-30T12:00:00.000Z  created at GitHub
          2026-11-30T12:00:00.000Z    runner r reserved to fail the job
          2026-11-30T12:00:01.000Z    runner r gone: completed

        Why:     runner class unknown [class_unknown]
        Next:    correct `runs-on` (`ecsrunner list-class-sizes` lists the classes), or
                 add the class and run `ecsrunner jobs retry 7`
        ");
        // The same words for programs, in whole lines.
        let whole = answer.text(now, None).unwrap();
        let of = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(of(&whole), of(&told));
        assert!(whole.lines().count() < told.lines().count());
    }

    #[test]
    fn a_job_that_waits_for_a_hold_is_told_its_next_try() {
        let next = |fault: &str, now: &str| {
            let hold =
                JobHold { fault: fault.to_owned(), not_before: "2026-11-30T12:05:00Z".parse().unwrap() };
            let job = JobView { hold: Some(hold), runner: None, ..job("queued") };
            answer(job, runner(false, &[]), Code::GithubUnavailable).advice(now.parse().unwrap())
        };
        let early = "2026-11-30T12:00:00Z";
        assert!(
            next("no_answer", early)
                .ends_with("GitHub's return; the next try is not before 2026-11-30T12:05:00Z"),
            "{}",
            next("no_answer", early)
        );
        let throttled = next("throttled", early);
        assert!(
            throttled.contains("limits the rate") && throttled.ends_with("2026-11-30T12:05:00Z"),
            "{throttled}"
        );
        assert!(!throttled.contains("return"), "{throttled}");
        assert!(!next("no_answer", "2026-11-30T12:05:00Z").contains("next try"), "it is due");
    }

    #[test]
    fn a_runner_that_starts_on_one_machine_is_no_task_on_fargate() {
        let of = |on_one_machine| {
            let answer = answer(job("queued"), runner(false, &[]), Code::RunnerStarting);
            Answer { on_one_machine, ..answer }.advice(Timestamp::UNIX_EPOCH)
        };
        assert!(of(false).contains("Fargate") && !of(true).contains("Fargate"), "{}", of(true));
    }

    #[test]
    fn an_open_job_is_retried_by_its_id_and_one_that_has_ended_at_github() {
        let next =
            |state| answer(job(state), runner(false, &[]), Code::ClassUnknown).advice(Timestamp::UNIX_EPOCH);
        assert!(
            next("refused").ends_with("or add the class and run `ecsrunner jobs retry 7`"),
            "{}",
            next("refused")
        );
        assert!(next("completed").ends_with("or add the class and run the job again at GitHub"));
    }
}
