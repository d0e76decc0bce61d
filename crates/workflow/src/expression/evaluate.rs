//! Evaluates parsed expressions.

use super::tree::{Function, Node, Operator};
use super::value::Value;
use super::{Contexts, Fault, functions};

/// The value of a part of an expression. `*` and what follows it yield several values at once.
enum Found {
    One(Value),
    Many(Vec<Value>),
}

impl Found {
    fn value(self) -> Value {
        match self {
            Self::One(value) => value,
            Self::Many(values) => Value::List(values),
        }
    }
}

pub(super) fn evaluate(node: &Node, contexts: &Contexts) -> Result<Value, Fault> {
    found(node, contexts).map(Found::value)
}

fn found(node: &Node, contexts: &Contexts) -> Result<Found, Fault> {
    Ok(Found::One(match node {
        Node::Literal(value) => value.clone(),
        Node::Name(name) => root(name, contexts)?,
        Node::Star => Value::from("*"),
        Node::Index(of, member) => {
            let of = found(of, contexts)?;
            return Ok(match member.as_ref() {
                Node::Star => all(of),
                member => step(of, &evaluate(member, contexts)?),
            });
        }
        Node::Call(function, arguments) => call(*function, arguments, contexts)?,
        Node::Not(node) => Value::Bool(!evaluate(node, contexts)?.is_truthy()),
        Node::And(nodes) => row(nodes, contexts, |value| !value.is_truthy())?,
        Node::Or(nodes) => row(nodes, contexts, Value::is_truthy)?,
        Node::Compare(operator, left, right) => {
            let (left, right) = (evaluate(left, contexts)?, evaluate(right, contexts)?);
            compare(*operator, &left, &right).into()
        }
    }))
}

fn root(name: &str, contexts: &Contexts) -> Result<Value, Fault> {
    contexts.get(name).cloned().ok_or_else(|| Fault(format!("the context `{name}` is not known here")))
}

/// Returns the first value of a row that decides it, or else the last one.
fn row(nodes: &[Node], contexts: &Contexts, decides: impl Fn(&Value) -> bool) -> Result<Value, Fault> {
    let mut last = Value::Null;
    for node in nodes {
        last = evaluate(node, contexts)?;
        if decides(&last) {
            break;
        }
    }
    Ok(last)
}

/// Takes all values of a list or map.
fn all(found: Found) -> Found {
    let values = |value: Value| match value {
        Value::List(items) => items,
        Value::Map(entries) => entries.into_iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    };
    match found {
        Found::One(value) => Found::Many(values(value)),
        Found::Many(items) => Found::Many(items.into_iter().flat_map(values).collect()),
    }
}

fn step(found: Found, index: &Value) -> Found {
    match found {
        Found::One(value) => Found::One(member(&value, index).unwrap_or_default()),
        Found::Many(items) => Found::Many(items.iter().filter_map(|item| member(item, index)).collect()),
    }
}

fn member(value: &Value, index: &Value) -> Option<Value> {
    match value {
        Value::Map(_) if matches!(index, Value::List(_) | Value::Map(_)) => None,
        Value::Map(_) => value.get(&index.text()).cloned(),
        Value::List(items) => {
            let number = index.number().floor();
            let at = (0..items.len()).find(|at| u32::try_from(*at).is_ok_and(|at| f64::from(at) == number));
            at.map(|at| items[at].clone())
        }
        _ => None,
    }
}

fn compare(operator: Operator, left: &Value, right: &Value) -> bool {
    match operator {
        Operator::And => left.is_truthy() && right.is_truthy(),
        Operator::Or => left.is_truthy() || right.is_truthy(),
        Operator::Equal => left.equals(right),
        Operator::NotEqual => !left.equals(right),
        Operator::Greater => left.compare(right).is_some_and(|order| order.is_gt()),
        Operator::GreaterOrEqual => left.compare(right).is_some_and(|order| order.is_ge()),
        Operator::Less => left.compare(right).is_some_and(|order| order.is_lt()),
        Operator::LessOrEqual => left.compare(right).is_some_and(|order| order.is_le()),
    }
}

fn call(function: Function, arguments: &[Node], contexts: &Contexts) -> Result<Value, Fault> {
    let value = |node: &Node| evaluate(node, contexts);
    match function {
        Function::Success => Ok(contexts.status()?.success.into()),
        Function::Failure => Ok(contexts.status()?.failure.into()),
        Function::Cancelled => Ok(contexts.status()?.cancelled.into()),
        Function::Always => Ok(true.into()),
        Function::HashFiles => Err(Fault("hashFiles needs the files of a runner".to_owned())),
        Function::Case => case(arguments, contexts),
        Function::Format => {
            let [template, arguments @ ..] = arguments else { return Ok(Value::Null) };
            functions::format(&value(template)?.text(), arguments.len(), |at| value(&arguments[at]))
                .map(Value::Text)
        }
        Function::Contains
        | Function::StartsWith
        | Function::EndsWith
        | Function::Join
        | Function::ToJson
        | Function::FromJson => {
            functions::call(function, &arguments.iter().map(value).collect::<Result<Vec<_>, _>>()?)
        }
    }
}

/// Returns the value behind the first condition that is true, or the last value.
fn case(arguments: &[Node], contexts: &Contexts) -> Result<Value, Fault> {
    let (pairs, default) = arguments.as_chunks::<2>();
    for [condition, value] in pairs {
        match evaluate(condition, contexts)? {
            Value::Bool(true) => return evaluate(value, contexts),
            Value::Bool(false) => {}
            other => {
                return Err(Fault(format!("a condition of case is {}: a boolean is expected", other.kind())));
            }
        }
    }
    default.first().map_or(Ok(Value::Null), |default| evaluate(default, contexts))
}
