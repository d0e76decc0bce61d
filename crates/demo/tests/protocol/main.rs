//! Checks the fake GitHub against the protocol of the official runner.
//!
//! The client here is written from the protocol's specification (seen with the official runner 2.336). It uses
//! neither the fake's types nor the stand-in listener, so a mistake that both share is found.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod client;
mod runner;
mod encoding;
mod configuration;
mod token;
mod session;
mod message;
mod run_service;
mod job_message;
mod contexts;
mod steps;
mod workflow;
mod launch;
mod results;
mod feed;
mod order;
