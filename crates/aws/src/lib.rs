//! The only crate that names AWS: the engine's ports on DynamoDB, ECS and SQS,
//! what a deployment is told by SSM and Secrets Manager, and the one request
//! that an agent makes.

#[cfg(feature = "boot")]
pub mod boot;
#[cfg(feature = "store")]
pub mod store;

#[cfg(feature = "control-plane")]
pub mod connection;
#[cfg(feature = "control-plane")]
pub mod ecs;
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
pub use fault::denies_caller;
