//! Why something happened, or does not happen yet: a closed list.
//!
//! A reason is data. Logs, metrics, the API and the page read the same code;
//! the text is made from it here and nowhere else.

use std::fmt;
use std::sync::Arc;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal: $text:literal),+ $(,)?) => {
        /// The closed list of reasons, documented in `docs/semantics.md`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Code { $($(#[$doc])* $name),+ }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The wire form, pinned: it is stored, counted and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// The sentence, with `{}` where the detail goes.
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
    /// The event told nothing new.
    NothingNew = "nothing_new": "this was known already",
    Ping = "ping": "GitHub's ping was understood",
    /// An event that is not `workflow_job`.
    OtherEvent = "other_event": "event `{}` is not one that starts runners",
    /// A job that never was ours took its course elsewhere.
    NotOurs = "not_ours": "the job is not one of this deployment's",
    /// No or a wrong signature.
    SignatureInvalid = "signature_invalid": "the signature does not fit the body and any configured secret",
    /// A body above the limit.
    BodyTooLarge = "body_too_large": "the body is larger than {} bytes",
    /// A body that cannot be read, though its signature is right; it is kept.
    BodyUnreadable = "body_unreadable": "the body cannot be read: {}",
    /// A content type that is not JSON's.
    ContentType = "content_type": "content type `{}` is not `application/json`: set the webhook's content type",

    /// GitHub knows a job of which nothing was recorded: its webhooks were lost.
    NotRecorded = "not_recorded": "no webhook of the job was recorded: {}",

    // Why a job is refused.
    /// A job that names only a runner group.
    LabelsEmpty = "labels_empty": "the job names no label",
    /// A label that the deployment requires is missing.
    LabelsNotOurs = "labels_not_ours": "the job lacks the label this deployment requires: {}",
    /// A `class:` label that the catalogue does not have.
    ClassUnknown = "class_unknown": "runner class {}",
    /// The class is in the catalogue, with a mistake in it.
    ClassInvalid = "class_invalid": "{}",
    /// No `class:` label, and no class is the default.
    ClassMissing = "class_missing": "the job names no class, and no class is the default: add one of {}",
    /// A label that the class does not offer.
    LabelNotOffered = "label_not_offered": "{}",
    /// The class serves other repositories only.
    ClassNotAllowed = "class_not_allowed": "runner class {}",
    /// Policy: the repository is not on the list.
    RepositoryNotAllowed = "repository_not_allowed": "{}",
    /// Policy: a public repository.
    RepositoryPublic = "repository_public": "{}",
    /// Policy: a fork's run.
    ForkNotAllowed = "fork_not_allowed": "{}",
    /// Policy: the event that started the run.
    EventNotAllowed = "event_not_allowed": "{}",

    // Why a job waits.
    /// A deployment approval at GitHub.
    ApprovalPending = "approval_pending": "GitHub waits for an approval of the deployment",
    /// Recorded, and not planned yet.
    ToPlan = "to_plan": "the next round plans it",
    /// An old event: GitHub is asked first.
    ToConfirm = "to_confirm": "the event is old: GitHub is asked whether the job is still queued",
    /// A runner of its pool is on its way.
    RunnerStarting = "runner_starting": "a runner is starting",
    /// A runner of its pool waits for GitHub's assignment.
    RunnerIdle = "runner_idle": "a runner is ready: GitHub is to assign the job",
    LimitDeployment = "limit_deployment": "the deployment's limit of {} runners is reached",
    LimitClass = "limit_class": "the limit of {} is reached",
    LimitRepository = "limit_repository": "the limit of {} runners for one repository is reached",
    Paused = "paused": "launches are paused",
    /// AWS has no capacity, or its quota is spent.
    NoCapacity = "no_capacity": "AWS has no room for the runner: {}",
    /// The pace of launches.
    Pace = "pace": "runners are launched at the pace of {}",
    /// Starting its runner failed, and is tried again.
    Retrying = "retrying": "starting a runner failed and is tried again: {}",
    /// GitHub is asked what started the job's run.
    ToCheck = "to_check": "GitHub is asked what started the job's run",
    /// GitHub refuses registrations in the job's scope.
    ScopeHeld = "scope_held": "GitHub refuses to register runners: {}",
    /// Runners of the class do not come up.
    ClassHeld = "class_held": "runners of its class do not come up: {}",
    /// A runner completed a job nobody has named yet; it may have been this one.
    MaybeTaken = "maybe_taken": "a runner completed an unknown job: GitHub is asked whether it was this one",

    // Why a runner is launched or retired.
    /// More demand than supply.
    Demand = "demand": "demand {}",
    /// A runner that should have taken a job did not.
    SupplyDoubtful = "supply_doubtful": "a booted runner takes no job: {}",
    /// More supply than demand, for longer than the grace.
    Surplus = "surplus": "supply {}",

    // Why a runner ended.
    /// It executed its job.
    Completed = "completed": "the job was executed",
    /// No job came within the idle limit.
    IdleTimeout = "idle_timeout": "no job came within the idle limit",
    /// The task or the agent did not come up.
    BootFailed = "boot_failed": "the runner did not come up: {}",
    /// GitHub answered the runner only with errors, or had another session of it open.
    NoSession = "no_session": "GitHub gave the runner no session: {}",
    /// The agent or the listener ended without an ending of its own.
    AgentCrashed = "agent_crashed": "the agent ended unexpectedly: {}",
    /// AWS took the Spot capacity back.
    SpotInterrupted = "spot_interrupted": "AWS took the Spot capacity back",
    /// GitHub no longer knows the runner.
    RegistrationLost = "registration_lost": "GitHub no longer knows the runner",
    /// The job ran longer than its limit.
    JobTimeout = "job_timeout": "the job ran longer than its limit",
    /// An operator stopped it.
    StoppedByOperator = "stopped_by_operator": "an operator stopped it",
    /// The runner's own policy refused the job.
    JobRefused = "job_refused": "policy refused the job, and none of its steps was executed",
    /// The job-started hook did not check in, so policy was not known to hold.
    HookSilent = "hook_silent": "the job's hook did not check in within the hook limit, and the job was ended",
    /// The runner was given the job, and the job did not start there.
    JobNotStarted = "job_not_started": "the job did not start on its runner: GitHub did not let it start, or it was cancelled before",
    /// GitHub took the job away, or did not answer its renewals for about a minute.
    JobAbandoned = "job_abandoned": "the runner lost the job: GitHub took it away, or did not answer its renewals",
    /// The listener ended by itself before a job.
    JobWithdrawn = "job_withdrawn": "the runner ended by itself while it waited: usually the offered job was gone",
    /// The runner was stopped under its job.
    Interrupted = "interrupted": "the runner was stopped while its job ran",
}

/// A code, and what it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    code: Code,
    detail: Option<Arc<str>>,
}

impl Reason {
    const DETAIL_CHARS: usize = 160;

    /// A reason whose sentence has a place for a detail.
    #[must_use]
    pub fn with(code: Code, detail: impl fmt::Display) -> Self {
        let detail: String = detail.to_string().chars().take(Self::DETAIL_CHARS).collect();
        Self { code, detail: Some(detail.into()) }
    }

    /// A stored reason; an unknown code is one of a newer release.
    #[must_use]
    pub fn from_parts(code: &str, detail: Option<&str>) -> Option<Self> {
        let code = *Code::ALL.iter().find(|known| known.as_str() == code)?;
        Some(Self { code, detail: detail.map(Arc::from) })
    }

    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the reason is about, as stored.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The sentence for a person, without a full stop.
    #[must_use]
    pub fn text(&self) -> String {
        self.code.template().replace("{}", self.detail().unwrap_or("unknown"))
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
}
