//! The fake GitHub and the stand-in listener, from the outside: over HTTP and as a process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod assignment;
mod ecs;
mod jobs;
mod listener;
mod rest;
mod stage;
mod webhooks;
mod workflows;
