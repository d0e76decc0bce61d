//! A decision of a plan about one job or one runner, for JSON and for people.

use ecsrunner_api::reason::ReasonView;
use ecsrunner_core::decide::plan::Question;
use ecsrunner_core::id::{ClassName, JobId, RunnerName};
use ecsrunner_core::reason::Reason;
use serde::Serialize;

/// A decision, with its reason.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(into = "View")]
pub(super) enum Decision {
    Launch {
        job: JobId,
        /// An invented name. A deployment makes the real name when it reserves a runner.
        runner: RunnerName,
        class: ClassName,
        reason: Reason,
    },
    Retire {
        runner: RunnerName,
        class: ClassName,
        /// The job that the runner executes, if known.
        job: Option<JobId>,
        reason: Reason,
    },
    Wait {
        job: JobId,
        class: Option<ClassName>,
        reason: Reason,
    },
    /// A question to GitHub, which gets no answer offline.
    Ask {
        question: Question,
        class: Option<ClassName>,
        /// Why the job waits meanwhile, if it waits.
        reason: Option<Reason>,
    },
}

/// A decision in JSON: `docs/interface.md`.
#[derive(Serialize)]
struct View {
    decision: &'static str,
    job: Option<JobId>,
    runner: Option<RunnerName>,
    class: Option<ClassName>,
    reason: Option<ReasonView>,
}

impl From<Decision> for View {
    fn from(decision: Decision) -> Self {
        let (decision, job, runner, class, reason) = match decision {
            Decision::Launch { job, runner, class, reason } => {
                ("launch", Some(job), Some(runner), Some(class), Some(reason))
            }
            Decision::Retire { runner, class, job, reason } => {
                ("retire", job, Some(runner), Some(class), Some(reason))
            }
            Decision::Wait { job, class, reason } => ("wait", Some(job), None, class, Some(reason)),
            Decision::Ask { question, class, reason } => {
                let (job, runner) = match question {
                    Question::Job { job, on_behalf_of } => (Some(job), on_behalf_of),
                    Question::Run(job) => (Some(job), None),
                    Question::Runner(runner) => (None, Some(runner)),
                };
                ("ask", job, runner, class, reason)
            }
        };
        Self { decision, job, runner, class, reason: reason.as_ref().map(ReasonView::of) }
    }
}

impl Decision {
    /// Describes the decision for people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Launch { job, class, reason, .. } => {
                format!("launch {class} runner for job {job} ({reason})")
            }
            Self::Retire { runner, reason, .. } => format!("retire runner {runner} ({reason})"),
            Self::Wait { job, reason, .. } => format!("job {job} waits: {reason}"),
            Self::Ask { question: Question::Job { job, .. }, .. } => format!("asks GitHub about job {job}"),
            Self::Ask { question: Question::Run(job), .. } => {
                format!("asks GitHub what started the run of job {job}")
            }
            Self::Ask { question: Question::Runner(runner), .. } => {
                format!("asks GitHub about runner {runner}")
            }
        }
    }
}
