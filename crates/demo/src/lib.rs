//! What the demo needs beside the product: a stateful fake of GitHub over HTTP,
//! which speaks GitHub's own protocol with runners, a stand-in for the runner,
//! the workflows that both execute, and a testbed of fake and server as
//! processes.
//!
//! What ecsrunner does (recording, planning, launching) does not belong here.

pub mod github;
pub mod workflow;
pub mod listener;
mod worker;
pub mod runner_client;
mod protocol;
mod times;
pub mod testbed;
