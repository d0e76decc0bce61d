//! What is stored of jobs, runners and holds, and how one record becomes the next.

pub mod job;
pub mod runner;
pub mod hold;
pub mod timeline;
pub mod open;
pub mod change;
