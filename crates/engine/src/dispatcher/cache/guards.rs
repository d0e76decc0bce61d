//! Rights that one effect has at a time, and gives back when they are dropped.

use ecsrunner_core::records::hold::Held;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::placement::Placement;

use super::Cache;

/// A placement is held, and its probe is not due yet or is running already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotYet;

/// The only attempt in a held placement. Dropping it ends the probe.
#[derive(Debug)]
pub(crate) struct Probe<'a> {
    pub(super) cache: &'a Cache,
    pub(super) target: (Placement, Arch),
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.cache.lock().underway.asked.remove(&self.target);
    }
}

/// A call to GitHub; the only one, if it tries a scope or an account that rests. Dropping it ends the try.
#[derive(Debug)]
pub(crate) struct Trying<'a> {
    pub(super) cache: &'a Cache,
    pub(super) held: Vec<Held>,
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        let mut known = self.cache.lock();
        for held in &self.held {
            known.trying.remove(held);
        }
    }
}
