//! What crosses a boundary: webhooks, task events and answers as they come in,
//! boot items, exit codes and environment variables as agents know them.

pub mod webhook;
pub mod event;
pub mod job;
pub mod boot;
pub mod environment;
pub mod exit;
