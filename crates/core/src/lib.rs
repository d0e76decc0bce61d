//! The pure heart of ecsrunner: what is recorded, what is planned, and why.
//!
//! Bytes → [`wire::event::Event`] → facts ([`decide::record::record`]) →
//! [`decide::plan::plan`] → effects, which the engine performs. Each room knows
//! the ones before it and none after: [`rules`], [`wire`], [`records`], [`decide`]. Nothing here does I/O, reads a clock or an environment, or
//! names a type of AWS's: `clippy.toml` beside this crate bans what would.

pub mod rules;
pub mod wire;
pub mod records;
pub mod decide;

pub mod id;
pub mod reason;

#[cfg(test)]
mod testing;
