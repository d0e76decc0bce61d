//! The pure heart of ecsrunner: what is recorded, what is planned, and why.
//!
//! Bytes → [`event::Event`] → facts ([`record::record`]) → [`plan::plan`] →
//! effects, which the engine performs. Nothing here does I/O, reads a clock or
//! an environment, or names a type of AWS's: `clippy.toml` beside this crate
//! bans what would.

pub mod webhook;
pub mod event;
pub mod admit;
pub mod record;
pub mod plan;
pub mod hold;
pub mod pace;
pub mod placement;
pub mod sweep;

pub mod job;
pub mod runner;
pub mod timeline;
pub mod pool;
pub mod labels;
pub mod class;
pub mod settings;
pub mod limits;
pub mod policy;
pub mod cost;
pub mod reason;

pub mod boot;
pub mod exit;
pub mod id;

#[cfg(test)]
mod testing;
