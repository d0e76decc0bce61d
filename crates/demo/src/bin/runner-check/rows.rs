//! The list of behaviours. Each is a row: what happens, what has to come of it.
//!
//! The values are those that were seen with the official runner 2.336.

mod ends;
mod hooks;
mod lives;
mod services;
mod signals;

use crate::trial::{Checked, Trial};

pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What comes of it, in a few words.
    pub(crate) outcome: &'static str,
    /// Fails where something else does.
    pub(crate) check: fn(&mut Trial) -> Checked,
}

/// Every row; those that take long come first.
pub(crate) const ROWS: [&[Row]; 5] = [services::ROWS, signals::ROWS, ends::ROWS, lives::ROWS, hooks::ROWS];
