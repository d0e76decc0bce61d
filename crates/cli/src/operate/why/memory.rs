//! Jobs that ran out of memory: what killed them, and which class would fit.

use ecsrunner_api::job::JobView;
use ecsrunner_api::reason::ReasonView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::decide::right_size::with_more_memory;
use ecsrunner_core::id::Repository;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::rules::class::{Catalogue, Class};
use ecsrunner_core::wire::job::Conclusion;

/// Returns the reason of a job that failed after the kernel had killed a process of it: the agent lived on, so nothing else
/// says why.
pub(super) fn killed(job: &JobView, runner: &RunnerView, catalogue: &Catalogue) -> Option<ReasonView> {
    let has_failed = job.conclusion == Some(Conclusion::Failure) && runner.job == Some(job.id);
    let peaks = runner.peaks.filter(|peaks| has_failed && peaks.ran_out_of_memory())?;
    let words = format!("the kernel killed {} of its processes", peaks.oom_kills.unwrap_or_default());
    let words = match class_of(catalogue, &runner.class) {
        Some(class) => format!("class `{}` has {} MiB: {words}", class.name, class.size.memory()),
        None => words,
    };
    Some(ReasonView::of(&Reason::with(Code::OutOfMemory, words)))
}

/// Returns what to do about a job that ran out of memory; `None` for another job, or if its class is not known.
pub(super) fn advice(catalogue: &Catalogue, job: &JobView, because: Option<&ReasonView>) -> Option<String> {
    because.filter(|because| because.code.known() == Some(Code::OutOfMemory))?;
    let present = class_of(catalogue, job.class.as_deref()?)?;
    let repository = Repository::parse(&job.repository).ok()?;
    let (name, memory) = (&present.name, present.size.memory());
    let larger = match with_more_memory(catalogue, present, &repository) {
        Some(larger) => {
            format!("put `class:{}` into its `runs-on`, which has {} MiB", larger.name, larger.size.memory())
        }
        None => "add a class with more: no class that could take the job has more".to_owned(),
    };
    Some(format!(
        "let the job use less memory than the {memory} MiB of class `{name}`, or {larger}; then run the job again"
    ))
}

fn class_of<'a>(catalogue: &'a Catalogue, name: &str) -> Option<&'a Class> {
    catalogue.iter().find(|class| class.name.as_str() == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn catalogue() -> Catalogue {
        let text = r#"{"small": {"cpu": 512, "memory": 1024}, "medium": {"cpu": 1024, "memory": 4096}}"#;
        Catalogue::read(&serde_json::from_str(text).unwrap()).0
    }

    fn job(class: &str, conclusion: &str) -> JobView {
        serde_json::from_value(json!({
            "id": 7, "repository": "acme/app", "run_id": 1, "attempt": 1, "name": "build", "workflow": "CI",
            "labels": [], "class": class, "pool": null, "state": "completed", "reason": null, "runner": "r",
            "conclusion": conclusion, "created_at": "2026-11-30T12:00:00Z", "timeline": [],
        }))
        .unwrap()
    }

    fn runner(class: &str, oom_kills: u64) -> RunnerView {
        serde_json::from_value(json!({
            "name": "r", "repository": "acme/app", "class": class, "pool": "p", "state": "gone",
            "ending": "completed", "reason": null, "job": 7, "launched_for": 7, "task": null,
            "capacity_provider": "FARGATE", "task_seconds": 1.0, "cost_usd": 1.0,
            "peaks": {"oom_kills": oom_kills}, "timeline": [],
        }))
        .unwrap()
    }

    #[test]
    fn a_job_that_failed_after_the_kernel_killed_a_process_is_told_its_memory() {
        let told =
            |job: &JobView, runner: &RunnerView| killed(job, runner, &catalogue()).map(|reason| reason.text);
        let text = "the job needed more memory than its runner has: class `small` has 1024 MiB: the kernel killed 2 of its processes";
        assert_eq!(told(&job("small", "failure"), &runner("small", 2)).as_deref(), Some(text));
        let text = "the job needed more memory than its runner has: the kernel killed 1 of its processes";
        assert_eq!(told(&job("gone", "failure"), &runner("gone", 1)).as_deref(), Some(text));
        for (conclusion, kills) in [("failure", 0), ("cancelled", 1), ("success", 1)] {
            assert_eq!(told(&job("small", conclusion), &runner("small", kills)), None, "{conclusion}");
        }
        let others = RunnerView { job: Some(8), ..runner("small", 1) };
        assert_eq!(told(&job("small", "failure"), &others), None, "another job's");
    }

    #[test]
    fn the_class_that_would_fit_is_named() {
        let told = |class: &str, code: Code| {
            advice(&catalogue(), &job(class, "failure"), Some(&ReasonView::of(&code.into())))
        };
        let text = "let the job use less memory than the 1024 MiB of class `small`, or put `class:medium` into its `runs-on`, which has 4096 MiB; then run the job again";
        assert_eq!(told("small", Code::OutOfMemory).as_deref(), Some(text));
        let text = "let the job use less memory than the 4096 MiB of class `medium`, or add a class with more: no class that could take the job has more; then run the job again";
        assert_eq!(told("medium", Code::OutOfMemory).as_deref(), Some(text));
        assert_eq!(told("gone", Code::OutOfMemory), None, "the general advice is given");
        assert_eq!(told("small", Code::AgentCrashed), None);
    }
}
