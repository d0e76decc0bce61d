//! Lists, page by page.

use serde::{Deserialize, Serialize};

use crate::class::ClassView;
use crate::job::JobView;
use crate::runner::RunnerView;

/// Begins the cursor of a page that starts with open records. Other cursors list history alone.
pub const OPEN_CURSOR: &str = "open:";

/// The answer of `GET /api/v1/jobs`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobList {
    pub jobs: Vec<JobView>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// The answer of `GET /api/v1/runners`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunnerList {
    pub runners: Vec<RunnerView>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// The answer of `GET /api/v1/classes`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClassList {
    pub classes: Vec<ClassView>,
}
