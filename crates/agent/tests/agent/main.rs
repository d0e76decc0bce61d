//! The agent as a process: what it does, what it says and what is left of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod harness;
mod table;

mod boot;
mod hook;
mod isolation;
mod listener;
