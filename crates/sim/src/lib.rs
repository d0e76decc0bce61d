//! Stand-ins for GitHub's side: a stateful fake of its API, the workflows that
//! it runs, and a `Runner.Listener` that executes their jobs.
//!
//! A fake of ECS stands beside it, and a world in memory and virtual time in
//! which the engine itself is run and disturbed. What ecsrunner does
//! (recording, planning, launching) does not belong here.

pub mod ecs;
pub mod github;
pub mod listener;
mod protocol;
mod random;
pub mod runner_client;
mod times;
mod worker;
pub mod workflow;
pub mod scene;
pub mod world;
