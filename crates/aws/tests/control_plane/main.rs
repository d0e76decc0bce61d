//! The control plane's adapters against a stand-in that speaks AWS's JSON protocols.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aws;
mod ecs;
mod fake_ecs;
mod images;
#[cfg(feature = "operate")]
mod network;
mod parameters;
mod queue;
mod secrets;
mod store;
mod tls;
