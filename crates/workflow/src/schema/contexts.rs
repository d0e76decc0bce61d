//! Which contexts the keys of a workflow may use.

use crate::expression::check::Allowed;

const fn only(contexts: &'static [&'static str]) -> Allowed {
    Allowed { contexts, status: false, hash_files: false, named_status: false }
}

/// `run-name`, the workflow's `concurrency`, and defaults of inputs.
pub(super) static RUN: Allowed = only(&["github", "inputs", "vars"]);
pub(super) static WORKFLOW_ENV: Allowed = only(&["github", "inputs", "vars", "secrets"]);
pub(super) static CALL_OUTPUT: Allowed = only(&["github", "inputs", "vars", "jobs"]);
pub(super) static STRATEGY: Allowed = only(&["github", "inputs", "vars", "needs"]);
/// Most keys of a job.
pub(super) static JOB: Allowed = only(&["github", "inputs", "vars", "needs", "strategy", "matrix"]);
pub(super) static JOB_ENV: Allowed =
    only(&["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets"]);
pub(super) static JOB_DEFAULTS: Allowed =
    only(&["github", "inputs", "vars", "needs", "strategy", "matrix", "env"]);
pub(super) static CREDENTIALS: Allowed =
    only(&["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "env"]);
pub(super) static JOB_IF: Allowed = Allowed {
    contexts: &["github", "inputs", "vars", "needs"],
    status: true,
    hash_files: false,
    named_status: true,
};

const ON_RUNNER: &[&str] =
    &["github", "inputs", "vars", "needs", "strategy", "matrix", "secrets", "steps", "job", "runner", "env"];
const ON_RUNNER_WITHOUT_SECRETS: &[&str] =
    &["github", "inputs", "vars", "needs", "strategy", "matrix", "steps", "job", "runner", "env"];

pub(super) static OUTPUTS: Allowed = only(ON_RUNNER);
pub(super) static ENVIRONMENT_URL: Allowed = only(ON_RUNNER_WITHOUT_SECRETS);
pub(super) static STEP: Allowed =
    Allowed { contexts: ON_RUNNER, status: false, hash_files: true, named_status: false };
pub(super) static STEP_IF: Allowed =
    Allowed { contexts: ON_RUNNER_WITHOUT_SECRETS, status: true, hash_files: true, named_status: false };
