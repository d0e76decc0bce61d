//! Data that crosses a boundary: incoming webhooks, task events and answers, and
//! the boot items, exit codes, exit records and environment variables that agents use.

pub mod webhook;
pub mod event;
pub mod job;
pub mod boot;
pub mod environment;
pub mod exit;
pub mod exit_record;
pub mod peaks;
pub mod fault;
