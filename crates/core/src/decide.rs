//! Decisions: events become facts, facts become a plan, and a runner's record
//! determines its next step. The engine carries the decisions out.

pub mod admit;
pub mod readmit;
pub mod fail;
pub mod record;
pub mod learn;
pub mod rerun;
pub mod about;
pub mod right_size;
pub mod images;
pub mod budgets;
pub mod plan;
pub mod step;
pub mod answer;
pub mod claim;
pub mod sweep;
