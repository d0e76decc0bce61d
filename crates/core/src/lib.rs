//! The pure part of ecsrunner: what is recorded, what is planned, and why.
//!
//! Bytes → [`wire::event::Event`] → facts ([`decide::record::record`]) →
//! [`decide::plan::plan`] → effects, which the engine performs. [`rules`],
//! [`wire`], [`records`] and [`decide`] each depend only on those before them.
//! Nothing here does I/O, reads a clock or the environment, or uses a type of
//! the AWS SDK: this crate's `clippy.toml` bans the calls that would.

mod wire_form;
pub mod rules;
pub mod wire;
pub mod records;
pub mod decide;

pub mod cidr;
pub mod clock;
pub mod host;
pub mod id;
pub mod reason;
pub mod text;

#[cfg(test)]
mod testing;
