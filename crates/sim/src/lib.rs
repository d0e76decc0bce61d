//! Tests only: the engine in scenarios with faults, on the world in memory of
//! `ecsrunner-world`, and the fake ECS over HTTP for contract tests of the
//! adapters. Nothing of this ships.

pub mod ecs;
