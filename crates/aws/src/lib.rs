//! The only crate that names AWS: DynamoDB behind the engine's ports, and the
//! one request that an agent makes.

#[cfg(feature = "boot")]
pub mod boot;
#[cfg(feature = "store")]
pub mod store;
