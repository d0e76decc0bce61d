//! What the operator's commands know of a server on this machine: its state directory, and its configuration.
//!
//! Only Linux has such a server. The commands compile elsewhere too, where they reach a server by its URL.

#[cfg(target_os = "linux")]
pub(crate) use ecsrunner_local::attach::{AttachError, Attachment};
#[cfg(target_os = "linux")]
pub(crate) use ecsrunner_local::check_program;
#[cfg(target_os = "linux")]
pub(crate) use ecsrunner_local::config::{Config, Overrides};

#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(not(target_os = "linux"))]
pub(crate) use absent::{AttachError, Attachment, Config, Overrides, check_program};
