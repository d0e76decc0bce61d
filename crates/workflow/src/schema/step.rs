//! The keys of a step.

use super::contexts::{STEP, STEP_IF};
use super::{BOOL, FILLED, Mapping, Rule, Shape, TEXT, TEXT_OR_TEXTS, key, required};

pub(super) static STEPS: Rule = Rule::new(&[Shape::List(&Rule::new(&[Shape::Choice(&[
    ("run", &SCRIPT),
    ("wait", &WAIT),
    ("wait-all", &WAIT_ALL),
    ("cancel", &CANCEL),
    ("parallel", &PARALLEL),
    ("uses", &ACTION),
])]))]);

static NAME: Rule = Rule::with(&[Shape::Text], &STEP);
static CONDITION: Rule = Rule::with(&[Shape::Condition], &STEP_IF);
static MINUTES: Rule = Rule::with(&[Shape::Number], &STEP);
static FLAG: Rule = Rule::with(&[Shape::Bool], &STEP);
static ENV: Rule = Rule::with(&[Shape::Map(&Mapping::names("`env`", &TEXT))], &STEP);
static INPUTS: Rule = Rule::with(&[Shape::Map(&Mapping::names("`with`", &TEXT))], &STEP);

static SCRIPT: Mapping = Mapping::of(
    "a step with `run`",
    &[
        key("name", &NAME),
        key("id", &FILLED),
        key("if", &CONDITION),
        required("run", &NAME),
        key("shell", &FILLED),
        key("working-directory", &NAME),
        key("env", &ENV),
        key("continue-on-error", &FLAG),
        key("timeout-minutes", &MINUTES),
        key("background", &BOOL),
    ],
);

static ACTION: Mapping = Mapping::of(
    "a step with `uses`",
    &[
        key("name", &NAME),
        key("id", &FILLED),
        key("if", &CONDITION),
        required("uses", &FILLED),
        key("with", &INPUTS),
        key("env", &ENV),
        key("continue-on-error", &FLAG),
        key("timeout-minutes", &MINUTES),
        key("background", &BOOL),
    ],
);

static WAIT: Mapping = Mapping::of(
    "a step with `wait`",
    &[
        key("name", &NAME),
        key("id", &FILLED),
        required("wait", &TEXT_OR_TEXTS),
        key("continue-on-error", &FLAG),
    ],
);
static WAIT_ALL: Mapping = Mapping::of(
    "a step with `wait-all`",
    &[
        key("name", &NAME),
        key("id", &FILLED),
        required("wait-all", &Rule::new(&[Shape::Null, Shape::Bool])),
        key("continue-on-error", &FLAG),
    ],
);
static CANCEL: Mapping = Mapping::of(
    "a step with `cancel`",
    &[key("name", &NAME), key("id", &FILLED), required("cancel", &FILLED), key("continue-on-error", &FLAG)],
);
static PARALLEL: Mapping = Mapping::of(
    "a step with `parallel`",
    &[required(
        "parallel",
        &Rule::new(&[Shape::List(&Rule::new(&[Shape::Choice(&[("run", &SCRIPT), ("uses", &ACTION)])]))]),
    )],
);
