//! One machine: the same engine, store and agent as on AWS, with an embedded
//! DynamoDB, an HTTP endpoint in API Gateway's place and processes in ECS's.
//!
//! There is less isolation here than on Fargate, and start-up says so.

pub mod config;
pub mod up;
pub mod task;
pub mod left;
pub mod attach;
pub mod probe;
mod brake;

mod accounts;
mod paths;
mod preflight;
mod state_dir;
mod embedded;
mod boot_front;
mod compute;
mod server;
mod machine;
