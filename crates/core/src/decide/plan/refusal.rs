//! Why a job gets no runner now, and what holds it back since when.

use jiff::Timestamp;

use crate::id::{Account, ClassName, PoolId};
use crate::reason::Reason;
use crate::records::hold::Hold;
use crate::records::job::Job;
use crate::rules::class::size::Arch;
use crate::rules::pace::Bucket;
use crate::rules::pool::Scope;

/// Why a job gets no runner now.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) cause: Cause,
}

#[derive(Clone, Debug)]
pub(super) enum Cause {
    /// A limit or a pause: it passes by itself.
    Passing,
    /// A rate, which has no slot left.
    Pace(Bucket),
    /// Its class is no longer in the catalogue.
    NoClass,
    Held(HeldBack),
}

/// What holds jobs back, and since when.
#[derive(Clone, Debug)]
pub(super) struct HeldBack {
    pub(super) by: HeldBy,
    pub(super) since: Timestamp,
}

/// What jobs have in common that are held back for one cause.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum HeldBy {
    Scope(Scope),
    Account(Account),
    Pool(PoolId),
    Class(ClassName),
    /// Every placement, of a class that does not start there.
    ClassInPlacements(ClassName),
    /// Every placement, for want of Fargate's capacity.
    Capacity(Arch),
    /// Every placement, for want of the instances of a class.
    Instances(ClassName),
}

/// A job that is held back.
#[derive(Debug)]
pub(super) struct Blocked<'a> {
    pub(super) job: &'a Job,
    pub(super) reason: Reason,
    pub(super) back: HeldBack,
}

impl Refusal {
    pub(super) fn held(reason: Reason, by: HeldBy, hold: &Hold) -> Self {
        Self { reason, cause: Cause::Held(HeldBack { by, since: hold.since }) }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, cause: Cause::Passing }
    }
}
