//! Which open jobs cannot be served at present.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::choose::{Choices, Underway, Wanted};
use crate::decide::readmit::readmit;
use crate::decide::rerun;
use crate::id::{JobId, SubnetId};
use crate::records::hold::{Held, Hold};
use crate::records::job::{Job, JobState};
use crate::records::open::Open;
use crate::rules::Rules;
use crate::rules::class::Capacity;
use crate::wire::fault::Fault;

/// The open jobs that cannot be served at present, by the catalogue and by what is held.
#[derive(Debug)]
pub struct Unservable<'a> {
    pub rules: Rules<'a>,
    pub subnets: &'a [SubnetId],
    pub holds: &'a BTreeMap<Held, Hold>,
    pub underway: Cow<'a, Underway>,
    /// Jobs that need On-Demand capacity, whatever their class says.
    pub on_demand: Cow<'a, HashSet<JobId>>,
}

impl<'a> Unservable<'a> {
    pub(crate) fn of(open: &'a Open, rules: Rules<'a>, subnets: &'a [SubnetId]) -> Self {
        let on_demand = rerun::on_demand_jobs(open).into_iter().collect();
        let (underway, on_demand) = (Cow::Owned(Underway::of(open)), Cow::Owned(on_demand));
        Self { rules, subnets, holds: &open.holds, underway, on_demand }
    }

    /// Whether this job cannot be served. What is held counts until it has ended, also while it is tried.
    #[must_use]
    pub fn contains(&self, job: &Job, now: Timestamp) -> bool {
        let assignment = match &job.state {
            JobState::Refused { .. } => return readmit(job, self.rules, now).is_none(),
            JobState::Queued { assignment, .. } => assignment,
            JobState::Waiting | JobState::InProgress { .. } => return false,
        };
        // Without its class it is judged again first.
        let Some(class) = self.rules.catalogue.get(&assignment.class) else { return false };
        let of_class = self.holds.get(&Held::Class(class.name.clone()));
        let needs_on_demand = self.on_demand.contains(&job.id());
        let capacity = if needs_on_demand { Capacity::OnDemand } else { class.capacity };
        let choices = Choices { subnets: self.subnets, holds: self.holds, underway: &self.underway };
        // Refused runners of a pool say nothing about a job that is served.
        let fails_pool = |hold: &Hold| hold.is_effective() && hold.fault != Fault::JobRefused;
        self.holds.get(&Held::Pool(assignment.pool.clone())).is_some_and(fails_pool)
            || of_class.is_some_and(Hold::is_effective)
            || !choices.is_any_free(Wanted::of(class, capacity), now)
    }
}
