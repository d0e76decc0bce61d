//! The engine in a world in memory and in virtual time, Lambda's around it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod burst;
mod crashes;
mod disorder;
mod backlog;
mod lease;
mod pause;
mod harness;
