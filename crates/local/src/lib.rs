//! The local mode: the same engine, store and agent as on AWS, on one machine.
//! An embedded DynamoDB replaces the real one, an HTTP server replaces API
//! Gateway, and processes replace ECS tasks.
//!
//! Isolation is weaker than on Fargate, and the server warns of it at its start.

pub mod config;
pub mod traces;
pub mod up;
pub mod task;
pub mod left;
pub mod attach;
pub mod probe;
mod brake;

mod accounts;
mod paths;
mod preflight;
mod custody;
pub use custody::check_program;
mod state_dir;
mod embedded;
mod boot_front;
mod compute;
mod namespaces;
pub use compute::removal;
mod server;
mod machine;
