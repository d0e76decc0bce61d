//! What to do: events become facts, facts become a plan, and a runner's record
//! says its next step. The engine performs what is decided here.

pub mod admit;
pub mod record;
pub mod learn;
pub mod plan;
pub mod step;
pub mod answer;
pub mod sweep;
