//! Workflow files: read and checked as GitHub does it, and evaluated as far as GitHub's service evaluates them.
//!
//! Everything here is pure. What a runner evaluates, such as the expressions of steps, is only checked here. The fake
//! GitHub in `ecsrunner-demo` turns the results into jobs and job messages.

mod problem;
mod number;
pub mod yaml;
pub mod expression;
mod token;
mod schema;
pub mod model;
mod read;
pub mod trigger;
mod matrix;
mod permissions;
mod place;
mod program;
pub mod run;

pub use expression::check::{members_of, used as contexts_of};
pub use matrix::{Combination, Strategy};
pub use permissions::{DEFAULT_PERMISSIONS, all_permissions};
pub use place::repository_root;
pub use problem::{Position, Problem, Problems};
pub use program::{Found, Program};
pub use read::read;
pub use token::{Content, Token};
