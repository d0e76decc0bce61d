//! A stateful fake of ECS on Fargate: the part of its API that starts, stops
//! and shows tasks, and the events of their life, as a state machine with the
//! time given in.
//!
//! It answers as AWS does, with AWS's words: no emulator honours `clientToken`,
//! answers `failures[]`, throttles, or emits the whole life of a task. No
//! container runs: a test acts for what is in a task, by the environment that
//! [`Ecs::tasks`] shows. Its HTTP face is `ecsrunner_sim::ecs`.

mod events;
mod faults;
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

pub use faults::{CallFault, EventFaults, FaultAnswer, Faults, Shortage, StartFault, ThrottleForm};
pub use life::ControlError;
pub use options::{Durations, Lags, Options, Rate, Rates, TaskDefinition};
pub use reply::{Refusal, Reply};
pub use run_task::{CAPACITY_UNAVAILABLE, VCPU_LIMIT_REACHED};
pub use state::Ecs;
pub use task::{Provider, Status, StopCode};
pub use view::TaskView;
