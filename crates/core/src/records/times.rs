//! The times of a runner's task, agent and job, from which where a job's wait went is computed.

use jiff::Timestamp;

use crate::reason::Code;
use crate::rules::image::RunnerVersion;
use crate::wire::event::TaskTimes;
use crate::wire::exit_record::AgentTimes;
use crate::wire::peaks::Peaks;
use crate::wire_form::by_wire_form;

/// What held a job back before a runner was reserved for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HeldBy {
    /// A limit of runners, or a budget.
    Limit,
    /// The rate of launches.
    Pace,
    /// Launches were paused, or held back after failures.
    Hold,
    /// AWS had no capacity.
    Capacity,
}

impl HeldBy {
    pub const ALL: [Self; 4] = [Self::Limit, Self::Pace, Self::Hold, Self::Capacity];

    /// The wire form, pinned.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Pace => "pace",
            Self::Hold => "hold",
            Self::Capacity => "capacity",
        }
    }

    /// Returns what a reason to wait means; `None` for one that is no obstacle.
    #[must_use]
    pub const fn of(code: Code) -> Option<Self> {
        match code {
            Code::LimitDeployment | Code::LimitClass | Code::LimitRepository | Code::BudgetSpent => {
                Some(Self::Limit)
            }
            Code::Pace => Some(Self::Pace),
            Code::NoCapacity => Some(Self::Capacity),
            Code::Paused
            | Code::ScopeHeld
            | Code::GithubUnavailable
            | Code::PoolHeld
            | Code::PoolUnused
            | Code::PoolRefused
            | Code::ImageUnavailable
            | Code::ClassHeld => Some(Self::Hold),
            _ => None,
        }
    }
}

by_wire_form!(HeldBy, "obstacle of a launch");

/// The times of a runner's record from which the wait of its job is computed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Times {
    /// What the compute service says of its task.
    pub task: TaskTimes,
    /// What its agent said at its end.
    pub agent: Option<AgentReport>,
    /// The job that it executes.
    pub job: Option<JobTimes>,
}

/// What is kept of an agent's exit record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentReport {
    /// When the line was written, by the log. Of two records the later one counts.
    pub written_at: Timestamp,
    pub times: AgentTimes,
    /// The version of GitHub's runner.
    pub runner_version: Option<RunnerVersion>,
    /// What its job used; `None` if nothing was measured, or the agent is of an earlier release.
    pub peaks: Option<Peaks>,
}

/// When a job was queued and started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobTimes {
    /// When GitHub queued it.
    pub queued_at: Timestamp,
    /// When it was recorded as queued; `None` if that webhook never came.
    pub recorded_at: Option<Timestamp>,
    /// When a runner began it.
    pub started_at: Timestamp,
    /// What held it back first.
    pub held_by: Option<HeldBy>,
}
