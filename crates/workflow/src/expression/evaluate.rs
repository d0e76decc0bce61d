//! Evaluates parsed expressions.

use github_actions_expressions::call::{Call, Function};
use github_actions_expressions::literal::Literal;
use github_actions_expressions::op::{BinExpr, BinOp, UnOp};
use github_actions_expressions::{Expr, SpannedExpr};

use super::check::function_name;
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

pub(super) fn evaluate(expression: &SpannedExpr<'_>, contexts: &Contexts) -> Result<Value, Fault> {
    match &expression.inner {
        Expr::Literal(literal) => Ok(literal_value(literal)),
        Expr::Call(call) => evaluate_call(call, contexts),
        Expr::Context(context) => path(&context.parts, contexts),
        Expr::BinExpr(operation) => binary(operation, contexts),
        Expr::UnExpr { op: UnOp::Not, expr } => Ok(Value::Bool(!evaluate(expr, contexts)?.is_truthy())),
        Expr::Identifier(name) => root(name.as_str(), contexts),
        Expr::Star | Expr::Index(_) => Err(Fault(format!("`{}` has no value", expression.origin.raw))),
    }
}

fn literal_value(literal: &Literal<'_>) -> Value {
    match literal {
        Literal::Number(number) => Value::Number(*number),
        Literal::String(text) => Value::Text(text.to_string()),
        Literal::Boolean(value) => Value::Bool(*value),
        Literal::Null => Value::Null,
    }
}

fn root(name: &str, contexts: &Contexts) -> Result<Value, Fault> {
    contexts.get(name).cloned().ok_or_else(|| Fault(format!("the context `{name}` is not known here")))
}

fn path(parts: &[SpannedExpr<'_>], contexts: &Contexts) -> Result<Value, Fault> {
    let Some((head, members)) = parts.split_first() else { return Ok(Value::Null) };
    let mut found = Found::One(evaluate(head, contexts)?);
    for member in members {
        found = match &member.inner {
            Expr::Star => all(found),
            Expr::Identifier(name) => step(found, &Value::from(name.as_str())),
            Expr::Index(index) if matches!(index.inner, Expr::Star) => all(found),
            Expr::Index(index) => step(found, &evaluate(index, contexts)?),
            _ => return Err(Fault(format!("`{}` is not a member", member.origin.raw))),
        };
    }
    Ok(found.value())
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

fn binary(operation: &BinExpr<'_>, contexts: &Contexts) -> Result<Value, Fault> {
    let left = evaluate(&operation.lhs, contexts)?;
    let right = || evaluate(&operation.rhs, contexts);
    Ok(match operation.op {
        BinOp::And if left.is_truthy() => right()?,
        BinOp::Or if !left.is_truthy() => right()?,
        BinOp::And | BinOp::Or => left,
        BinOp::Eq => left.equals(&right()?).into(),
        BinOp::Neq => (!left.equals(&right()?)).into(),
        BinOp::Gt => left.compare(&right()?).is_some_and(|order| order.is_gt()).into(),
        BinOp::Ge => left.compare(&right()?).is_some_and(|order| order.is_ge()).into(),
        BinOp::Lt => left.compare(&right()?).is_some_and(|order| order.is_lt()).into(),
        BinOp::Le => left.compare(&right()?).is_some_and(|order| order.is_le()).into(),
    })
}

fn evaluate_call(call: &Call<'_>, contexts: &Contexts) -> Result<Value, Fault> {
    match call.func {
        Function::Success => return Ok(contexts.status()?.success.into()),
        Function::Failure => return Ok(contexts.status()?.failure.into()),
        Function::Cancelled => return Ok(contexts.status()?.cancelled.into()),
        Function::Always => return Ok(true.into()),
        Function::HashFiles => return Err(Fault("hashFiles needs the files of a runner".to_owned())),
        Function::Case => return case(&call.args, contexts),
        Function::Contains
        | Function::StartsWith
        | Function::EndsWith
        | Function::Format
        | Function::Join
        | Function::ToJSON
        | Function::FromJSON => {}
    }
    if call.args.is_empty() {
        return Err(Fault(format!("`{}` needs a value", function_name(call.func))));
    }
    let arguments =
        call.args.iter().map(|argument| evaluate(argument, contexts)).collect::<Result<Vec<_>, _>>()?;
    functions::call(call.func, &arguments)
}

/// Returns the value behind the first condition that is true, or the last value.
fn case(arguments: &[SpannedExpr<'_>], contexts: &Contexts) -> Result<Value, Fault> {
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
