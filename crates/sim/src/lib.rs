//! Stand-ins for GitHub's side: a stateful fake of its API, the workflows that
//! it runs, and a `Runner.Listener` that executes their jobs.
//!
//! What ecsrunner itself does (recording, planning, launching) does not belong
//! here: everything is reached over HTTP, as GitHub is.

pub mod github;
pub mod listener;
mod protocol;
mod random;
pub mod workflow;
pub mod scene;
