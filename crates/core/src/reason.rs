//! Why something happened, or does not happen yet: a closed list.
//!
//! A reason is data. Logs, metrics, the API and the page read the same code.
//! Only this module turns a code into text.

use std::fmt;
use std::sync::Arc;

use crate::wire_form::by_wire_form;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $text:literal),+ $(,)?) => {
        /// The closed list of reasons, documented in `docs/semantics.md`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Code { $($(#[$doc])* $name),+ }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The wire form, pinned: it is stored, counted and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// The sentence, with `{}` in place of the detail.
            #[must_use]
            pub const fn template(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

codes! {
    // What became of a webhook.
    /// The event was recorded.
    Recorded = "recorded": "recorded",
    /// The event contained nothing new.
    NothingNew = "nothing_new": "this was known already",
    Ping = "ping": "GitHub's ping was understood",
    /// An event that is not `workflow_job`.
    OtherEvent = "other_event": "event `{}` is not one that starts runners",
    /// A job that was never ours started or ended elsewhere.
    NotOurs = "not_ours": "the job does not belong to this deployment",
    /// A missing or wrong signature.
    SignatureInvalid = "signature_invalid": "the signature is missing or matches no configured secret",
    /// A body above the limit.
    BodyTooLarge = "body_too_large": "the body is larger than {} bytes",
    /// A body that cannot be read although its signature is valid; it is kept.
    BodyUnreadable = "body_unreadable": "the body cannot be read: {}",
    /// A content type other than JSON's.
    ContentType = "content_type": "content type `{}` is not `application/json`: set the webhook's content type",

    /// GitHub knows the job, but none of its webhooks was recorded: they were lost.
    NotRecorded = "not_recorded": "no webhook of the job was recorded: {}",

    // Why a job is refused.
    /// A job that names only a runner group.
    LabelsEmpty = "labels_empty": "the job names no label",
    /// A label that the deployment requires is missing.
    LabelsNotOurs = "labels_not_ours": "the job lacks the label this deployment requires: {}",
    /// A `class:` label that the catalogue does not have.
    ClassUnknown = "class_unknown": "runner class {}",
    /// The class is in the catalogue but has a mistake.
    ClassInvalid = "class_invalid": "{}",
    /// No `class:` label, and no class is the default.
    ClassMissing = "class_missing": "the job names no class, and no class is the default: add one of {}",
    /// A label that the class does not offer.
    LabelNotOffered = "label_not_offered": "{}",
    /// The class serves only other repositories.
    ClassNotAllowed = "class_not_allowed": "runner class {}",
    /// Policy: the repository is not on the list.
    RepositoryNotAllowed = "repository_not_allowed": "{}",
    /// Policy: a public repository.
    RepositoryPublic = "repository_public": "{}",
    /// Policy: the run's head is in a fork.
    ForkNotAllowed = "fork_not_allowed": "{}",
    /// Policy: the event that started the run.
    EventNotAllowed = "event_not_allowed": "{}",

    // Why a job waits.
    /// A deployment approval is missing at GitHub.
    ApprovalPending = "approval_pending": "GitHub waits for a deployment approval",
    /// Recorded but not planned yet.
    ToPlan = "to_plan": "the next round plans it",
    /// An old event: GitHub is asked first.
    ToConfirm = "to_confirm": "the event is old: GitHub is asked whether the job is still queued",
    /// A runner of its pool is on its way.
    RunnerStarting = "runner_starting": "a runner is starting",
    /// A runner of its pool is ready, and GitHub has to assign the job.
    RunnerIdle = "runner_idle": "a runner is ready: GitHub has yet to assign the job",
    LimitDeployment = "limit_deployment": "the deployment's limit of {} runners is reached",
    LimitClass = "limit_class": "the limit of {} is reached",
    LimitRepository = "limit_repository": "the limit of {} runners for one repository is reached",
    Paused = "paused": "launches are paused",
    /// A budget whose action is `hold` is spent.
    BudgetSpent = "budget_spent": "a budget is spent: {}",
    /// AWS has no capacity, or its quota is used up.
    NoCapacity = "no_capacity": "AWS has no capacity for the runner: {}",
    /// The rate limit of GitHub or AWS for launches.
    Pace = "pace": "launches are limited to {}",
    /// Starting its runner failed and is retried.
    Retrying = "retrying": "starting a runner failed and is retried: {}",
    ToCheck = "to_check": "GitHub is asked what started the job's run",
    /// GitHub refuses registrations in the job's scope.
    ScopeHeld = "scope_held": "GitHub refuses to register runners: {}",
    /// GitHub answers with errors or not at all, or asks to be called later.
    GithubUnavailable = "github_unavailable": "launches wait until GitHub accepts calls again: {}",
    /// Runners of the job's pool end before they have a job.
    PoolHeld = "pool_held": "runners with its labels fail before they get a job: {}",
    /// Runners of the job's pool come up, and GitHub gives them no job.
    PoolUnused = "pool_unused": "runners with its labels came up and GitHub gave them no job, so they are launched ever more seldom: look at the runner group and the labels of the job: {}",
    /// Runners of the job's pool are taken by jobs that policy refuses.
    PoolRefused = "pool_refused": "GitHub gives runners with its labels to jobs that policy refuses, so one is tried at a time: look which repositories the runner group is visible to, and who else uses these labels",
    /// The deployment's own image cannot be used, and GitHub's may not take its place.
    ImageUnavailable = "image_unavailable": "the runners' image cannot be used: {}",
    /// Runners of the class do not start.
    ClassHeld = "class_held": "runners of its class do not start: {}",
    /// A runner completed a job that is not known yet; it may have been this one.
    MaybeTaken = "maybe_taken": "a runner completed an unknown job: GitHub is asked whether it was this one",

    // Why a runner is launched or retired.
    /// More demand than supply.
    Demand = "demand": "demand {}",
    /// A runner that should have taken a job did not.
    SupplyDoubtful = "supply_doubtful": "a booted runner takes no job: {}",
    /// More supply than demand, for longer than the grace period.
    Surplus = "surplus": "supply {}",

    // Why a runner ended.
    /// It executed its job.
    Completed = "completed": "the job was executed",
    IdleTimeout = "idle_timeout": "no job came within the idle limit",
    /// The task or the agent did not start.
    BootFailed = "boot_failed": "the runner did not start: {}",
    /// GitHub answered the runner only with errors, or another session of the runner was open.
    NoSession = "no_session": "GitHub gave the runner no session: {}",
    /// The agent or the listener ended without reporting why.
    AgentCrashed = "agent_crashed": "the agent ended unexpectedly: {}",
    /// The container, or a process of the job, was killed because its memory was used up.
    OutOfMemory = "out_of_memory": "the job needed more memory than its runner has: {}",
    SpotInterrupted = "spot_interrupted": "AWS took the Spot capacity back",
    RegistrationLost = "registration_lost": "GitHub no longer knows the runner",
    JobTimeout = "job_timeout": "the job ran longer than its limit",
    StoppedByOperator = "stopped_by_operator": "an operator stopped it",
    /// A reserved runner was never launched.
    Withdrawn = "withdrawn": "it was not launched: {}",
    /// The runner's own policy refused the job.
    JobRefused = "job_refused": "policy refused the job, and none of its steps was executed",
    /// The job-started hook did not check in, so the policy may not have been applied.
    HookSilent = "hook_silent": "the job's hook did not check in within the hook limit, and the job was ended",
    /// GitHub gave the runner the job, but the job did not start there.
    JobNotStarted = "job_not_started": "the job did not start on its runner: GitHub did not let it start, or it was cancelled before",
    /// GitHub took the job away, or did not answer its renewals for about a minute.
    JobAbandoned = "job_abandoned": "the runner lost the job: GitHub took it away, or did not answer its renewals",
    /// Its listener was stopped, or its worker gone, while its job ran.
    ListenerHung = "listener_hung": "the runner no longer attended to its job and was ended: its listener was stopped, or its worker was gone",
    /// The listener ended by itself before it had a job.
    JobWithdrawn = "job_withdrawn": "the runner ended by itself while it waited: usually the offered job was gone",
    Interrupted = "interrupted": "the runner was stopped while its job ran",
}

by_wire_form!(Code, "reason code");

/// A code and its detail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    code: Code,
    detail: Option<Arc<str>>,
}

impl Reason {
    const DETAIL_CHARS: usize = 160;

    /// Returns a reason with a detail, which is cut to 160 characters.
    #[must_use]
    pub fn with(code: Code, detail: impl fmt::Display) -> Self {
        let detail: String = detail.to_string().chars().take(Self::DETAIL_CHARS).collect();
        Self { code, detail: Some(detail.into()) }
    }

    /// Returns a stored reason; `None` if the code is unknown, as one of a newer release is.
    #[must_use]
    pub fn from_parts(code: &str, detail: Option<&str>) -> Option<Self> {
        Some(Self { code: Code::parse(code)?, detail: detail.map(Arc::from) })
    }

    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Returns the reason with a note at the end of its detail, which stays below 160 characters.
    #[must_use]
    pub fn and(&self, note: &str) -> Self {
        let room = Self::DETAIL_CHARS.saturating_sub(note.chars().count() + 2);
        let detail: String = self.detail().unwrap_or_default().chars().take(room).collect();
        let separator = if detail.is_empty() { "" } else { "; " };
        Self::with(self.code, format!("{detail}{separator}{note}"))
    }

    /// The sentence for a person, without a full stop. A detail that the sentence has
    /// no place for follows it.
    #[must_use]
    pub fn text(&self) -> String {
        let template = self.code.template();
        match self.detail() {
            Some(detail) if !template.contains("{}") => format!("{template}; {detail}"),
            detail => template.replace("{}", detail.unwrap_or("unknown")),
        }
    }
}

impl From<Code> for Reason {
    fn from(code: Code) -> Self {
        Self { code, detail: None }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_written_once_and_reads_back() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code:?}");
            assert_eq!(Reason::from_parts(code.as_str(), None).unwrap().code(), *code);
        }
        assert_eq!(Reason::from_parts("of_a_newer_release", None), None);
    }

    #[test]
    fn a_sentence_names_what_it_is_about() {
        let reason = Reason::with(Code::LimitDeployment, 50);
        assert_eq!(reason.text(), "the deployment's limit of 50 runners is reached");
    }

    #[test]
    fn a_note_follows_the_sentence() {
        let taken = Reason::from(Code::SpotInterrupted).and("run again as attempt 2");
        assert_eq!(taken.text(), "AWS took the Spot capacity back; run again as attempt 2");
        let crashed = Reason::with(Code::AgentCrashed, "exit code 1").and("run again as attempt 2");
        let text = "the agent ended unexpectedly: exit code 1; run again as attempt 2";
        assert_eq!((crashed.code(), crashed.text().as_str()), (Code::AgentCrashed, text));
        let long = Reason::with(Code::AgentCrashed, "x".repeat(160)).and("run again as attempt 2");
        assert!(long.text().ends_with("; run again as attempt 2"), "{long}");
    }
}
