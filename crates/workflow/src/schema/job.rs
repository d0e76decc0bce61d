//! The keys of a job.

use super::contexts::{
    CREDENTIALS, ENVIRONMENT_URL, JOB, JOB_DEFAULTS, JOB_ENV, JOB_IF, OUTPUTS, STEP_IF, STRATEGY,
};
use super::step::STEPS;
use super::{
    ANY, BOOL, FILLED, Key, Mapping, NUMBER, Rule, Shape, TEXT, TEXT_OR_TEXTS, TEXTS, key, required,
};

pub(super) static JOBS: Rule = Rule::new(&[Shape::Map(&Mapping::names(
    "`jobs`",
    &Rule::new(&[Shape::Choice(&[("uses", &CALL), ("runs-on", &STEPS_JOB)])]),
))]);

static NAME: Rule = Rule::with(&[Shape::Text], &JOB);
static CONDITION: Rule = Rule::with(&[Shape::Condition], &JOB_IF);
static MINUTES: Rule = Rule::with(&[Shape::Number], &JOB);
pub(crate) static JOB_CONCURRENCY: Rule = Rule::with(&[Shape::Filled, Shape::Map(&CONCURRENCY)], &JOB);

static STEPS_JOB: Mapping = Mapping::of(
    "a job",
    &[
        key("name", &NAME),
        key("needs", &TEXT_OR_TEXTS),
        key("if", &CONDITION),
        required("runs-on", &RUNS_ON),
        key("permissions", &PERMISSIONS),
        key("environment", &ENVIRONMENT),
        key("concurrency", &JOB_CONCURRENCY),
        key("outputs", &Rule::with(&[Shape::Map(&Mapping::names("`outputs`", &TEXT))], &OUTPUTS)),
        key("env", &Rule::with(&[Shape::Map(&Mapping::names("`env`", &TEXT))], &JOB_ENV)),
        key("defaults", &Rule::with(&[Shape::Map(&DEFAULTS)], &JOB_DEFAULTS)),
        key("steps", &STEPS),
        key("timeout-minutes", &MINUTES),
        key("cancel-timeout-minutes", &MINUTES),
        key("strategy", &STRATEGY_RULE),
        key("continue-on-error", &Rule::with(&[Shape::Bool], &JOB)),
        key("container", &Rule::with(&[Shape::Text, Shape::Map(&CONTAINER)], &JOB)),
        key("services", &Rule::with(&[Shape::Map(&Mapping::names("`services`", &SERVICE_RULE))], &JOB)),
        key("snapshot", &SNAPSHOT),
    ],
);

static CALL: Mapping = Mapping::of(
    "a job that calls a workflow",
    &[
        key("name", &NAME),
        key("needs", &TEXT_OR_TEXTS),
        key("if", &CONDITION),
        required("uses", &FILLED),
        key("with", &Rule::with(&[Shape::Map(&Mapping::names("`with`", &SCALAR))], &JOB)),
        key(
            "secrets",
            &Rule::with(
                &[Shape::Word(&["inherit"]), Shape::Map(&Mapping::names("`secrets`", &SCALAR))],
                &JOB_ENV,
            ),
        ),
        key("permissions", &PERMISSIONS),
        key("concurrency", &JOB_CONCURRENCY),
        key("strategy", &STRATEGY_RULE),
    ],
);

static SCALAR: Rule = Rule::new(&[Shape::Bool, Shape::Number, Shape::Text]);

pub(crate) static STRATEGY_RULE: Rule = Rule::with(
    &[Shape::Map(&Mapping::of(
        "`strategy`",
        &[key("fail-fast", &BOOL), key("max-parallel", &NUMBER), key("matrix", &MATRIX)],
    ))],
    &STRATEGY,
);

static MATRIX: Rule = Rule::new(&[Shape::Map(&Mapping {
    what: "`matrix`",
    keys: &[key("include", &ROWS), key("exclude", &ROWS)],
    others: Some(&Rule::new(&[Shape::List(&ANY)])),
})]);
static ROWS: Rule =
    Rule::new(&[Shape::List(&Rule::new(&[Shape::Map(&Mapping::names("a row of a matrix", &ANY))]))]);

pub(crate) static RUNS_ON: Rule = Rule::with(
    &[
        Shape::Filled,
        Shape::List(&FILLED),
        Shape::Map(&Mapping::of("`runs-on`", &[key("group", &FILLED), key("labels", &TEXT_OR_TEXTS)])),
    ],
    &JOB,
);

static SNAPSHOT: Rule = Rule::with(
    &[
        Shape::Filled,
        Shape::Map(&Mapping::of(
            "`snapshot`",
            &[
                required("image-name", &FILLED),
                key("if", &Rule::with(&[Shape::Condition], &STEP_IF)),
                key("version", &FILLED),
            ],
        )),
    ],
    &JOB,
);

pub(crate) static ENVIRONMENT: Rule = Rule::with(
    &[
        Shape::Text,
        Shape::Map(&Mapping::of(
            "`environment`",
            &[
                required("name", &TEXT),
                key("url", &Rule::with(&[Shape::Text], &ENVIRONMENT_URL)),
                key("deployment", &BOOL),
            ],
        )),
    ],
    &JOB,
);

pub(super) static CONCURRENCY: Mapping = Mapping::of(
    "`concurrency`",
    &[
        required("group", &FILLED),
        key("cancel-in-progress", &BOOL),
        key("queue", &Rule::new(&[Shape::Word(&["single", "max"])])),
    ],
);

pub(super) static DEFAULTS: Mapping = Mapping::of(
    "`defaults`",
    &[key(
        "run",
        &Rule::new(&[Shape::Map(&Mapping::of(
            "`defaults.run`",
            &[key("shell", &FILLED), key("working-directory", &FILLED)],
        ))]),
    )],
);

static CONTAINER_ENV: Rule = Rule::with(&[Shape::Map(&Mapping::names("`env`", &TEXT))], &OUTPUTS);
static LOGIN: Rule = Rule::with(
    &[Shape::Map(&Mapping::of("`credentials`", &[key("username", &FILLED), key("password", &FILLED)]))],
    &CREDENTIALS,
);

static CONTAINER: Mapping = Mapping::of(
    "`container`",
    &[
        key("image", &TEXT),
        key("credentials", &LOGIN),
        key("env", &CONTAINER_ENV),
        key("ports", &TEXTS),
        key("volumes", &TEXTS),
        key("options", &TEXT),
    ],
);

static SERVICE_RULE: Rule = Rule::new(&[
    Shape::Text,
    Shape::Map(&Mapping::of(
        "a service",
        &[
            key("image", &TEXT),
            key("credentials", &LOGIN),
            key("env", &CONTAINER_ENV),
            key("ports", &TEXTS),
            key("volumes", &TEXTS),
            key("options", &TEXT),
            key("entrypoint", &TEXT),
            key("command", &TEXT),
        ],
    )),
]);

static LEVEL: Rule = Rule::new(&[Shape::Word(&["read", "write", "none"])]);
static READ: Rule = Rule::new(&[Shape::Word(&["read", "none"])]);
static WRITE: Rule = Rule::new(&[Shape::Word(&["write", "none"])]);

pub(super) static PERMISSIONS: Rule = Rule::new(&[
    Shape::Word(&["read-all", "write-all"]),
    Shape::Map(&Mapping::of("`permissions`", &PERMISSION_KEYS)),
]);

static PERMISSION_KEYS: [Key; 20] = [
    key("actions", &LEVEL),
    key("artifact-metadata", &LEVEL),
    key("attestations", &LEVEL),
    key("checks", &LEVEL),
    key("code-quality", &LEVEL),
    key("contents", &LEVEL),
    key("copilot-requests", &WRITE),
    key("deployments", &LEVEL),
    key("discussions", &LEVEL),
    key("drives", &LEVEL),
    key("id-token", &WRITE),
    key("issues", &LEVEL),
    key("models", &READ),
    key("packages", &LEVEL),
    key("pages", &LEVEL),
    key("pull-requests", &LEVEL),
    key("repository-projects", &LEVEL),
    key("security-events", &LEVEL),
    key("statuses", &LEVEL),
    key("vulnerability-alerts", &READ),
];

/// Returns the levels that a permission can have.
pub(crate) fn permission_levels(name: &str) -> &'static [&'static str] {
    match PERMISSION_KEYS.iter().find(|key| key.name == name).map(|key| key.rule.shapes) {
        Some([Shape::Word(levels)]) => levels,
        _ => &[],
    }
}

/// Returns the names of all permissions.
pub(crate) fn permission_names() -> impl Iterator<Item = &'static str> {
    PERMISSION_KEYS.iter().map(|key| key.name)
}
