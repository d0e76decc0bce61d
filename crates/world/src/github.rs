//! GitHub in memory: registrations and their limits, jobs and their assignment,
//! webhooks and their faults.

mod hub;
mod faults;
mod job;
mod lists;
mod port;
mod webhook;

pub use faults::{HubFaults, RegistrationFailure, UNSTARTED_LIMIT};
pub(crate) use hub::Assigned;
pub use hub::{Hub, HubRunner, Trouble};
pub use job::{HubJob, HubState, Order};
pub use port::MemoryGitHub;
pub use webhook::{HubDelivery, SECRET, sign};
