//! The types of the API, in the format of `docs/interface.md`. The server that
//! writes them and the clients that read them share these types.
//!
//! States are core's own enums, so that code cannot compare with an unknown
//! state. Requesting or displaying views does not belong here.

pub mod budget;
pub mod class;
pub mod costs;
pub mod deployment;
pub mod event;
pub mod job;
pub mod list;
pub mod operation;
pub mod reason;
pub mod right_size;
pub mod runner;
pub mod stage;
pub mod status;
pub mod wait;
