//! The key `on`: events, their filters, and the inputs of a workflow.

use super::contexts::{CALL_OUTPUT, RUN};
use super::{BOOL, FILLED, Key, Mapping, Rule, Shape, TEXT, TEXT_OR_TEXTS, key, required};

/// The events that can start a workflow, each with the activity types that it has.
pub(crate) const EVENTS: [(&str, &[&str]); 36] = [
    ("branch_protection_rule", &["created", "edited", "deleted"]),
    ("check_run", &["created", "rerequested", "completed", "requested_action"]),
    ("check_suite", &["completed"]),
    ("create", &[]),
    ("delete", &[]),
    ("deployment", &[]),
    ("deployment_status", &[]),
    (
        "discussion",
        &[
            "created",
            "edited",
            "deleted",
            "transferred",
            "pinned",
            "unpinned",
            "labeled",
            "unlabeled",
            "locked",
            "unlocked",
            "category_changed",
            "answered",
            "unanswered",
        ],
    ),
    ("discussion_comment", &["created", "edited", "deleted"]),
    ("fork", &[]),
    ("gollum", &[]),
    ("image_version", &["created", "ready", "deleted"]),
    ("issue_comment", &["created", "edited", "deleted"]),
    (
        "issues",
        &[
            "opened",
            "edited",
            "deleted",
            "transferred",
            "pinned",
            "unpinned",
            "closed",
            "reopened",
            "assigned",
            "unassigned",
            "labeled",
            "unlabeled",
            "locked",
            "unlocked",
            "milestoned",
            "demilestoned",
            "typed",
            "untyped",
            "field_added",
            "field_removed",
        ],
    ),
    ("label", &["created", "edited", "deleted"]),
    ("merge_group", &["checks_requested", "destroyed"]),
    ("milestone", &["created", "closed", "opened", "edited", "deleted"]),
    ("page_build", &[]),
    ("project", &["created", "closed", "reopened", "edited", "deleted"]),
    ("project_card", &["created", "moved", "converted", "edited", "deleted"]),
    ("project_column", &["created", "updated", "moved", "deleted"]),
    ("public", &[]),
    ("pull_request", PULL_REQUEST),
    ("pull_request_comment", &["created", "edited", "deleted"]),
    ("pull_request_review", &["submitted", "edited", "dismissed"]),
    ("pull_request_review_comment", &["created", "edited", "deleted"]),
    ("pull_request_target", PULL_REQUEST),
    ("push", &[]),
    ("registry_package", &["published", "updated"]),
    ("release", &["published", "unpublished", "created", "edited", "deleted", "prereleased", "released"]),
    ("repository_dispatch", &[]),
    ("schedule", &[]),
    ("status", &[]),
    ("watch", &["started"]),
    ("workflow_dispatch", &[]),
    ("workflow_run", &["completed", "requested", "in_progress"]),
];

const PULL_REQUEST: &[&str] = &[
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "opened",
    "edited",
    "closed",
    "reopened",
    "synchronize",
    "converted_to_draft",
    "ready_for_review",
    "locked",
    "unlocked",
    "milestoned",
    "demilestoned",
    "review_requested",
    "review_request_removed",
    "auto_merge_enabled",
    "auto_merge_disabled",
    "enqueued",
    "dequeued",
    "stacked",
];

pub(super) static TRIGGERS: Rule = Rule::new(&[
    Shape::Filled,
    Shape::List(&FILLED),
    Shape::Map(&Mapping {
        what: "`on`",
        keys: &[
            key("schedule", &SCHEDULE),
            key("workflow_call", &CALL),
            key("workflow_dispatch", &DISPATCH),
            key("workflow_run", &Rule::new(&[Shape::Null, Shape::Map(&WORKFLOW_RUN)])),
            key("image_version", &Rule::new(&[Shape::Null, Shape::Map(&IMAGE_VERSION)])),
        ],
        others: Some(&Rule::new(&[Shape::Null, Shape::Map(&Mapping::of("an event", EVENT))])),
    }),
]);

static SCHEDULE: Rule = Rule::new(&[Shape::List(&Rule::new(&[Shape::Map(&Mapping::of(
    "an entry of `schedule`",
    &[required("cron", &FILLED), key("timezone", &FILLED)],
))]))]);

static FILTER: Rule = Rule::new(&[Shape::Null, Shape::Filled, Shape::List(&FILLED)]);

/// The filters that GitHub takes with any event, also where they have no effect.
const EVENT: &[Key] = &[
    key("types", &TEXT_OR_TEXTS),
    key("branches", &FILTER),
    key("branches-ignore", &FILTER),
    key("tags", &FILTER),
    key("tags-ignore", &FILTER),
    key("paths", &FILTER),
    key("paths-ignore", &FILTER),
];

static WORKFLOW_RUN: Mapping = Mapping::of(
    "`workflow_run`",
    &[
        key("types", &TEXT_OR_TEXTS),
        required("workflows", &TEXT_OR_TEXTS),
        key("branches", &FILTER),
        key("branches-ignore", &FILTER),
    ],
);

static IMAGE_VERSION: Mapping = Mapping::of(
    "`image_version`",
    &[key("types", &TEXT_OR_TEXTS), key("names", &TEXT_OR_TEXTS), key("versions", &TEXT_OR_TEXTS)],
);

static DISPATCH: Rule = Rule::new(&[
    Shape::Null,
    Shape::Map(&Mapping::of(
        "`workflow_dispatch`",
        &[key(
            "inputs",
            &Rule::new(&[Shape::Null, Shape::Map(&Mapping::names("`inputs`", &DISPATCH_INPUT))]),
        )],
    )),
]);

static DEFAULT: Rule = Rule::new(&[Shape::Bool, Shape::Number, Shape::Text]);

static DISPATCH_INPUT: Rule = Rule::new(&[
    Shape::Null,
    Shape::Map(&Mapping::of(
        "an input",
        &[
            key("description", &TEXT),
            key("deprecationMessage", &TEXT),
            key("type", &FILLED),
            key("required", &BOOL),
            key("default", &DEFAULT),
            key("options", &Rule::new(&[Shape::List(&TEXT)])),
        ],
    )),
]);

static CALL: Rule = Rule::new(&[
    Shape::Null,
    Shape::Map(&Mapping::of(
        "`workflow_call`",
        &[
            key("inputs", &Rule::new(&[Shape::Null, Shape::Map(&Mapping::names("`inputs`", &CALL_INPUT))])),
            key(
                "secrets",
                &Rule::new(&[Shape::Null, Shape::Map(&Mapping::names("`secrets`", &CALL_SECRET))]),
            ),
            key(
                "outputs",
                &Rule::new(&[Shape::Null, Shape::Map(&Mapping::names("`outputs`", &CALL_OUTPUTS))]),
            ),
        ],
    )),
]);

static CALL_INPUT: Rule = Rule::new(&[Shape::Map(&Mapping::of(
    "an input",
    &[
        key("description", &TEXT),
        required("type", &Rule::new(&[Shape::Word(&["string", "boolean", "number"])])),
        key("required", &BOOL),
        key("default", &Rule::with(&[Shape::Bool, Shape::Number, Shape::Text], &RUN)),
    ],
))]);

static CALL_SECRET: Rule = Rule::new(&[
    Shape::Null,
    Shape::Map(&Mapping::of("a secret", &[key("description", &TEXT), key("required", &BOOL)])),
]);

static CALL_OUTPUTS: Rule = Rule::new(&[Shape::Map(&Mapping::of(
    "an output",
    &[key("description", &TEXT), required("value", &Rule::with(&[Shape::Text], &CALL_OUTPUT))],
))]);
