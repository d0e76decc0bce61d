//! What an operator configures: settings, classes, limits and policy, and what
//! follows from them alone. Nothing here depends on a record.

pub mod settings;
pub mod limits;
pub mod pace;
pub mod policy;
pub mod class;
pub mod labels;
pub mod pool;
pub mod placement;
pub mod cost;

use class::Catalogue;
use settings::Settings;

/// The rules by which events are judged.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub settings: &'a Settings,
    pub catalogue: &'a Catalogue,
}
