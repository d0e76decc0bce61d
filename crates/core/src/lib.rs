//! The pure heart of ecsrunner: what is recorded, what is planned, and why.
//!
//! Nothing here does I/O, reads a clock or an environment, or names a type of
//! AWS's. `clippy.toml` beside this crate bans what would.

pub mod boot;
pub mod exit;
pub mod id;
pub mod labels;
pub mod policy;
pub mod pool;
