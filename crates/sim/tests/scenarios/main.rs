//! Faults that hit one repository, subnet, class or hour of GitHub, and what they cost everybody else.
//!
//! Each scenario prints its figures in one line for each variant and asserts only what must never be
//! otherwise: no job is lost, none is executed twice. The bounds that the figures are to be held to stand
//! beside them as `must be`. Letters name the scenarios.
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
mod github_away;
mod github_unsteady;
mod slow_rounds;
mod many_writes;
mod lost_webhooks;
mod stopping;
mod class_policy;
