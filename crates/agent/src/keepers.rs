//! The processes that a task on one machine starts before it is confined.

use crate::{engine, network};

/// They end when the agent does.
#[derive(Debug, Default)]
pub struct Keepers {
    /// That of the task's Docker engine.
    pub engine: Option<engine::Keeper>,
    /// That of the task's network namespace.
    pub network: Option<network::Keeper>,
}
