//! What happens when.

use std::collections::BTreeMap;
use std::fmt;

use ecsrunner_core::id::TaskId;
use jiff::Timestamp;

use super::driver::Arrival;
use super::outside::Outside;

/// Something that a scenario does to the outside world.
pub type Act = Box<dyn FnOnce(&mut Outside, Timestamp) + Send>;

/// Something that happens at its time.
pub(super) enum Happening {
    /// The function is to be invoked.
    Arrives(Arrival),
    /// What runs in a task has something to do.
    Agent(TaskId),
    /// GitHub looks for runners.
    Assign,
    Act(Act),
}

/// What is to happen, in the order of time, and of addition at the same time.
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
