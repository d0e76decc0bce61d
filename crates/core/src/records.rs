//! The stored records of jobs, runners, warm tasks, holds, reruns, images and spending, and how one version becomes the next.

pub mod job;
pub mod runner;
pub mod instance;
pub mod warm;
pub mod task;
pub mod hold;
pub mod rerun;
pub mod image;
pub mod overspend;
pub mod spend;
pub mod timeline;
pub mod times;
pub mod wait;
pub mod shared_map;
pub mod open;
pub mod change;
