//! The keys of a workflow file.

use super::contexts::{RUN, WORKFLOW_ENV};
use super::job::{CONCURRENCY, JOBS, PERMISSIONS};
use super::trigger::TRIGGERS;
use super::{Mapping, Rule, Shape, TEXT, key, required};

pub(crate) static ROOT: Rule = Rule::new(&[Shape::Map(&WORKFLOW)]);

static WORKFLOW: Mapping = Mapping::of(
    "a workflow",
    &[
        key("name", &Rule::new(&[Shape::Written])),
        key("description", &TEXT),
        key("run-name", &Rule::with(&[Shape::Text], &RUN)),
        required("on", &TRIGGERS),
        key("permissions", &PERMISSIONS),
        key("env", &Rule::with(&[Shape::Map(&Mapping::names("`env`", &TEXT))], &WORKFLOW_ENV)),
        key("defaults", &Rule::new(&[Shape::Map(&super::job::DEFAULTS)])),
        key("concurrency", &Rule::with(&[Shape::Text, Shape::Map(&CONCURRENCY)], &RUN)),
        required("jobs", &JOBS),
    ],
);
