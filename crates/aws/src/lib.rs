//! The only crate that calls AWS. It implements the engine's ports on
//! DynamoDB, ECS and SQS, reads a deployment's parameters and secrets from SSM and
//! Secrets Manager, and makes the agent's requests.

pub mod boot_item;
#[cfg(any(feature = "boot", feature = "control-plane"))]
pub mod partition;
pub mod task;
pub mod task_event;

#[cfg(feature = "boot")]
pub mod boot;
#[cfg(feature = "store")]
pub mod store;

#[cfg(feature = "control-plane")]
pub mod connection;
#[cfg(feature = "control-plane")]
pub mod ecs;
#[cfg(feature = "control-plane")]
pub mod images;
#[cfg(feature = "control-plane")]
pub mod queue;
#[cfg(feature = "control-plane")]
pub mod parameters;
#[cfg(feature = "control-plane")]
pub mod secrets;
#[cfg(feature = "operate")]
pub mod operate;
#[cfg(feature = "control-plane")]
mod cache;
#[cfg(feature = "store")]
mod fault;

#[cfg(feature = "store")]
pub use fault::{denies_caller, is_expired};
