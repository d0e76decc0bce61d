//! End-to-end tests: the real executable as a server, its agents and stand-in
//! listeners as processes, and a fake GitHub.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod testbed;

mod agents;
mod budgets;
mod cancels;
mod command_line;
mod demo;
mod disorder;
mod docker;
mod failures;
mod hostile;
mod inherited;
mod interface;
mod isolation;
mod job_logs;
mod killed;
mod limits;
mod memory;
mod namespaces;
mod one_job;
mod operator;
mod previous;
mod refusals;
mod rerun;
mod services;
mod setup;
mod start_checks;
mod stealing;
mod traces;
mod unreliable_github;
mod warm;
mod webhooks;
