//! Jobs that ran out of memory: what killed them, and which class would fit.

use ecsrunner_api::job::JobView;
use ecsrunner_api::reason::ReasonView;
use ecsrunner_api::right_size::was_killed_for_memory;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::decide::right_size::with_more_memory;
use ecsrunner_core::id::Repository;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::rules::class::Catalogue;

/// Returns the reason of a job that failed after the kernel had killed a process of it.
pub(super) fn killed(job: &JobView, runner: &RunnerView) -> Option<ReasonView> {
    let kills = runner.peaks.filter(|_| was_killed_for_memory(job, runner))?.oom_kills.unwrap_or_default();
    let words = format!("the kernel killed {kills} of its processes");
    let words = match runner.memory {
        Some(memory) => format!("{memory} MiB, in class `{}`: {words}", runner.class),
        None => words,
    };
    Some(ReasonView::of(&Reason::with(Code::OutOfMemory, words)))
}

/// Returns what to do about a job that ran out of memory; `None` for another job, or if its class or runner is not known.
///
/// The class may have been changed since, so the memory that counts is the runner's own. `max_job_minutes` are the
/// deployment's.
pub(super) fn advice(
    (catalogue, max_job_minutes): (&Catalogue, u32),
    job: &JobView,
    runner: Option<&RunnerView>,
    because: Option<&ReasonView>,
) -> Option<String> {
    because.filter(|because| because.code.known() == Some(Code::OutOfMemory))?;
    let name = job.class.as_deref()?;
    let present = catalogue.iter().find(|class| class.name.as_str() == name)?;
    let repository = Repository::parse(&job.repository).ok()?;
    let memory = runner?.memory.unwrap_or(present.size.memory());
    let larger = match with_more_memory(catalogue, present, memory, max_job_minutes, &repository) {
        Some(larger) if larger.name == present.name => {
            return Some(format!(
                "run the job again: its runner had {memory} MiB, and class `{name}` has {} MiB by now",
                larger.size.memory()
            ));
        }
        Some(larger) => {
            format!("put `class:{}` into its `runs-on`, which has {} MiB", larger.name, larger.size.memory())
        }
        None => "add a class with more: no class that could take the job has more".to_owned(),
    };
    Some(format!(
        "let the job use less memory than the {memory} MiB of its runner, or {larger}; then run the job again"
    ))
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

    fn runner(class: &str, memory: u32, oom_kills: u64) -> RunnerView {
        serde_json::from_value(json!({
            "name": "r", "repository": "acme/app", "class": class, "pool": "p", "state": "gone",
            "ending": "completed", "reason": null, "job": 7, "launched_for": 7, "task": null,
            "capacity_provider": "FARGATE", "cpu": 512, "memory": memory, "task_seconds": 1.0, "cost_usd": 1.0,
            "peaks": {"oom_kills": oom_kills}, "timeline": [],
        }))
        .unwrap()
    }

    #[test]
    fn a_job_that_failed_after_the_kernel_killed_a_process_is_told_its_runners_memory() {
        let told = |job: &JobView, runner: &RunnerView| killed(job, runner).map(|reason| reason.text);
        // The class has 1024 MiB by now.
        let text = "the job needed more memory than its runner has: 512 MiB, in class `small`: the kernel killed 2 of its processes";
        assert_eq!(told(&job("small", "failure"), &runner("small", 512, 2)).as_deref(), Some(text));
        let text = "the job needed more memory than its runner has: the kernel killed 1 of its processes";
        let older = RunnerView { memory: None, ..runner("gone", 512, 1) };
        assert_eq!(told(&job("gone", "failure"), &older).as_deref(), Some(text));
        for (conclusion, kills) in [("failure", 0), ("cancelled", 1), ("success", 1)] {
            assert_eq!(told(&job("small", conclusion), &runner("small", 512, kills)), None, "{conclusion}");
        }
        let others = RunnerView { job: Some(8), ..runner("small", 512, 1) };
        assert_eq!(told(&job("small", "failure"), &others), None, "another job's");
    }

    #[test]
    fn the_class_that_would_fit_is_named() {
        let told = |class: &str, memory: u32, code: Code| {
            let (job, runner) = (job(class, "failure"), runner(class, memory, 1));
            advice((&catalogue(), 360), &job, Some(&runner), Some(&ReasonView::of(&code.into())))
        };
        let text = "let the job use less memory than the 1024 MiB of its runner, or put `class:medium` into its `runs-on`, which has 4096 MiB; then run the job again";
        assert_eq!(told("small", 1024, Code::OutOfMemory).as_deref(), Some(text));
        let text = "let the job use less memory than the 4096 MiB of its runner, or add a class with more: no class that could take the job has more; then run the job again";
        assert_eq!(told("medium", 4096, Code::OutOfMemory).as_deref(), Some(text));
        let text = "run the job again: its runner had 512 MiB, and class `small` has 1024 MiB by now";
        assert_eq!(told("small", 512, Code::OutOfMemory).as_deref(), Some(text));
        assert_eq!(told("gone", 1024, Code::OutOfMemory), None, "the general advice is given");
        assert_eq!(told("small", 1024, Code::AgentCrashed), None);
    }
}
