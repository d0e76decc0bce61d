//! The engine in an in-memory world in virtual time, invoked as by Lambda.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod burst;
mod clock;
mod crashes;
mod disorder;
mod backlog;
mod lease;
mod managed;
mod pause;
mod budgets;
mod rerun;
mod failures;
mod hostile;
mod unstarted;
mod failures_any_call;
mod missing;
mod unanswered;
mod harness;
