//! Faults of one repository, subnet or class, or of GitHub for some time, and their cost for all other jobs.
//!
//! Each scenario prints its figures in one line for each variant. It asserts only that no job is lost and
//! that none is executed twice. The comments name the required bounds of the figures as `Must be`. Letters
//! name the scenarios.
//!
//! ```text
//! cargo test -p ecsrunner-sim --test scenarios -- --nocapture --test-threads 2
//! ECSRUNNER_SCENARIOS=full cargo test --release -p ecsrunner-sim --test scenarios -- --nocapture
//! ```

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod sick_pool;
mod sick_placement;
mod failing_starts;
mod no_capacity;
mod own_image;
mod warm_runners;
mod start_times;
mod waits;
mod github_away;
mod github_unsteady;
mod slow_rounds;
mod many_writes;
mod lost_webhooks;
mod stopping;
mod class_policy;
mod foreign_jobs;
