//! The steps, outputs and annotations of a run. Its jobs' results are elsewhere.

use ecsrunner_core::wire::job::Conclusion;

use super::follow::{Seen, SimAnnotation, SimJob};
use super::progress::LEFT_QUEUED;
use crate::output::clean;

/// Returns the lines below the table of jobs.
pub(super) fn lines(seen: &Seen) -> Vec<String> {
    let mut lines = Vec::new();
    for job in &seen.run {
        if let Some(why) = seen.unserved.get(&job.id) {
            lines.push(format!("{}: {LEFT_QUEUED}: {}", clean(&job.name), clean(why)));
        }
        lines.extend(unusual_steps(job));
        lines.extend(job.outputs.iter().map(|(name, value)| {
            format!("{}: output {} = {}", clean(&job.name), clean(name), clean(&value.replace('\n', "⏎")))
        }));
        lines.extend(job.annotations.iter().map(|annotation| annotated(job, annotation)));
    }
    lines
}

/// Names the steps that did not succeed, if the job was executed.
fn unusual_steps(job: &SimJob) -> Vec<String> {
    let unusual = |wanted: &Conclusion| -> Vec<String> {
        let steps = job.steps.iter().filter(|step| step.conclusion.as_ref() == Some(wanted));
        steps.map(|step| clean(&step.name)).collect()
    };
    [Conclusion::Failure, Conclusion::Cancelled, Conclusion::Skipped]
        .iter()
        .map(|conclusion| (conclusion, unusual(conclusion)))
        .filter(|(_, names)| !names.is_empty())
        .map(|(conclusion, names)| format!("{}: steps {conclusion}: {}", clean(&job.name), names.join(", ")))
        .collect()
}

/// Describes an annotation: its job, level, place and message.
pub(super) fn annotated(job: &SimJob, annotation: &SimAnnotation) -> String {
    let level = annotation.level.as_deref().unwrap_or("notice").to_lowercase();
    let place = match (&annotation.path, annotation.start_line) {
        (Some(path), Some(line)) if line > 0 => format!(" {path}:{line}"),
        (Some(path), _) => format!(" {path}"),
        (None, _) => String::new(),
    };
    let title = annotation.title.as_deref().filter(|title| !title.is_empty());
    let title = title.map(|title| format!("{title}: ")).unwrap_or_default();
    let message = annotation.message.as_deref().unwrap_or_default();
    format!("{}: {level}{}: {}", clean(&job.name), clean(&place), clean(&format!("{title}{message}")))
}
