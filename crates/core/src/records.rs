//! The stored records of jobs, runners, holds, reruns and images, and how one version becomes the next.

pub mod job;
pub mod runner;
pub mod hold;
pub mod rerun;
pub mod image;
pub mod timeline;
pub mod shared_map;
pub mod open;
pub mod change;
