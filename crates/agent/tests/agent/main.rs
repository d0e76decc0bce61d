//! The agent as a process: what it does, what it logs and what it leaves behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ecs;
mod exit_record;
mod harness;
mod table;

mod boot;
mod task;
mod hook;
mod hostile;
mod isolation;
mod listener;
mod runner_dir;
mod services;

mod container;
mod docker;
mod engine_network;
mod image;
mod network;
mod thief;
mod warm;
