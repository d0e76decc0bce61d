//! The schedule of a simulation.

use std::collections::BTreeMap;
use std::fmt;

use ecsrunner_core::id::TaskId;
use jiff::Timestamp;

use super::driver::Arrival;
use super::outside::Outside;

/// A change of the outside world by a scenario.
pub type Act = Box<dyn FnOnce(&mut Outside, Timestamp) + Send>;

/// A scheduled step.
pub(super) enum Happening {
    /// An event arrives, and the function is invoked.
    Arrives(Arrival),
    /// The agent of a task has something to do.
    Agent(TaskId),
    /// GitHub assigns jobs to runners.
    Assign,
    Act(Act),
}

/// Scheduled steps by time. Steps at the same time keep the order of addition.
#[derive(Default)]
pub(super) struct Agenda {
    happenings: BTreeMap<(Timestamp, u64), Happening>,
    added: u64,
}

impl fmt::Debug for Agenda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agenda").field("happenings", &self.happenings.len()).finish_non_exhaustive()
    }
}

impl Agenda {
    pub(super) fn add(&mut self, at: Timestamp, happening: Happening) {
        self.added += 1;
        self.happenings.insert((at, self.added), happening);
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.happenings.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn take_until(&mut self, at: Timestamp) -> Vec<Happening> {
        let later = self.happenings.split_off(&(at, u64::MAX));
        std::mem::replace(&mut self.happenings, later).into_values().collect()
    }
}
