//! Tests the fake GitHub over HTTP, and the stand-in listener as a process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actions;
mod assignment;
mod concurrency;
mod containers;
mod filters;
mod jobs;
mod listener;
mod live;
mod rest;
mod harness;
mod webhooks;
mod workflows;
