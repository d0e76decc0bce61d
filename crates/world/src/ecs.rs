//! A stateful fake of ECS on Fargate and on Managed Instances: the part of its API that starts, stops and
//! shows tasks, and their events. It is a state machine, and callers pass the
//! time.
//!
//! It answers as AWS does, in AWS's words. It exists because no emulator honours
//! `clientToken`, answers `failures[]`, throttles, or emits all events of a task.
//! No container runs. A test takes the place of the container, and gets its
//! environment from [`Ecs::tasks`]. `ecsrunner_sim::ecs` serves it over HTTP.

mod events;
mod faults;
mod instances;
mod launch;
mod life;
mod options;
mod rate;
mod reads;
mod reply;
mod representation;
mod request;
mod run_task;
mod setup;
mod state;
mod task;
mod tokens;
mod view;

pub use faults::{
    CallFault, EventFaults, FaultAnswer, Faults, InstanceFaults, Missing, Shortage, StartFault, ThrottleForm,
};
pub use life::ControlError;
pub use options::{Durations, Lags, Options, Rate, Rates, TaskDefinition};
pub use reply::{Refusal, Reply};
pub use run_task::{CAPACITY_UNAVAILABLE, VCPU_LIMIT_REACHED};
pub use state::Ecs;
pub use task::{Provider, Status, StopCode};
pub use view::TaskView;
