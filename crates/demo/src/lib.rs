//! The environment of the demo: a stateful fake GitHub over HTTP that speaks
//! GitHub's own protocol with runners, a stand-in for the runner, the workflows
//! that both execute, and a testbed that runs fake and server as processes.
//!
//! The work of ecsrunner itself (recording, planning, launching) does not belong
//! here.

pub mod github;
pub mod workflow;
pub mod listener;
mod worker;
pub mod runner_client;
mod protocol;
mod times;
pub mod testbed;
