//! Which keys a workflow file may have, which types their values have, and which contexts their expressions may use.
//!
//! The tables follow GitHub's documentation, "Workflow syntax" and "Contexts reference", and its parser, which is
//! public (`src/Sdk/WorkflowParser` of actions/runner).

mod check;
mod contexts;
mod job;
mod root;
mod step;
pub(crate) mod trigger;

pub(crate) use check::{check, check_value};
pub(crate) use job::{
    ENVIRONMENT, JOB_CONCURRENCY, RUNS_ON, STRATEGY_RULE, permission_levels, permission_names,
};
pub(crate) use root::ROOT;

use crate::expression::check::Allowed;

/// What a key's value may be.
pub(crate) struct Rule {
    /// The value has one of these shapes.
    shapes: &'static [Shape],
    /// Which contexts expressions may use here and below; `None` for those of the key above.
    allowed: Option<&'static Allowed>,
}

impl Rule {
    const fn new(shapes: &'static [Shape]) -> Self {
        Self { shapes, allowed: None }
    }

    const fn with(shapes: &'static [Shape], allowed: &'static Allowed) -> Self {
        Self { shapes, allowed: Some(allowed) }
    }
}

/// One kind of value.
enum Shape {
    Null,
    Bool,
    Number,
    /// A text, or another scalar that is converted to one.
    Text,
    /// A text, in which a number is taken as it is written.
    Written,
    /// A text that is not empty.
    Filled,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// An expression, also without `${{` and `}}`.
    Condition,
    List(&'static Rule),
    Map(&'static Mapping),
    /// A mapping of the first kind whose key it has, or else of the last kind.
    Choice(&'static [(&'static str, &'static Mapping)]),
    /// Any value.
    Any,
}

/// A mapping with these keys.
pub(crate) struct Mapping {
    /// What it describes, such as `a step`.
    what: &'static str,
    keys: &'static [Key],
    /// The rule of all other keys, if they are allowed.
    others: Option<&'static Rule>,
}

impl Mapping {
    const fn of(what: &'static str, keys: &'static [Key]) -> Self {
        Self { what, keys, others: None }
    }

    /// A mapping from names that the file chooses.
    const fn names(what: &'static str, values: &'static Rule) -> Self {
        Self { what, keys: &[], others: Some(values) }
    }
}

struct Key {
    name: &'static str,
    rule: &'static Rule,
    required: bool,
}

const fn key(name: &'static str, rule: &'static Rule) -> Key {
    Key { name, rule, required: false }
}

const fn required(name: &'static str, rule: &'static Rule) -> Key {
    Key { name, rule, required: true }
}

#[cfg(test)]
pub(crate) const fn any_with(allowed: &'static Allowed) -> Rule {
    Rule::with(&[Shape::Any], allowed)
}

static TEXT: Rule = Rule::new(&[Shape::Text]);
static FILLED: Rule = Rule::new(&[Shape::Filled]);
static BOOL: Rule = Rule::new(&[Shape::Bool]);
static NUMBER: Rule = Rule::new(&[Shape::Number]);
pub(crate) static ANY: Rule = Rule::new(&[Shape::Any]);
static TEXTS: Rule = Rule::new(&[Shape::List(&FILLED)]);
static TEXT_OR_TEXTS: Rule = Rule::new(&[Shape::Filled, Shape::List(&FILLED)]);
