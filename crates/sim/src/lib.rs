//! For tests only: scenarios of the engine with faults, on the in-memory world of
//! `ecsrunner-world`, and the fake ECS over HTTP for contract tests of the
//! adapters. Releases contain nothing of this crate.

pub mod ecs;
