//! What the API, the page and the command line say about a deployment, in the
//! form of `docs/interface.md`: one set of types for the server that writes it
//! and the clients that read it.
//!
//! States are core's own enums, so that a state nobody knows cannot be compared
//! with. How a view is asked for or drawn does not belong here.

pub mod class;
pub mod event;
pub mod job;
pub mod list;
pub mod reason;
pub mod runner;
pub mod stage;
pub mod status;
