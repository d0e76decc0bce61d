//! The list of behaviours. Each is a row: an event, and its expected outcome.
//!
//! The values were seen with the official runner 2.336.

mod containers;
mod ends;
mod hooks;
mod lives;
mod services;
mod signals;

use crate::trial::{Checked, Trial};

pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The expected outcome, in a few words.
    pub(crate) outcome: &'static str,
    /// Fails if the outcome is another.
    pub(crate) check: fn(&mut Trial) -> Checked,
}

/// All rows. Those that take long come first.
pub(crate) const ROWS: [&[Row]; 6] =
    [services::ROWS, signals::ROWS, ends::ROWS, lives::ROWS, hooks::ROWS, containers::ROWS];
