//! The functions of expressions that the service evaluates.

use github_actions_expressions::call::Function;

use super::Fault;
use super::value::{Value, folded};

/// Calls a function whose arguments are evaluated. Status functions are not among them.
pub(super) fn call(function: Function, arguments: &[Value]) -> Result<Value, Fault> {
    let text = |at: usize| arguments.get(at).map(Value::text).unwrap_or_default();
    Ok(match function {
        Function::Contains => contains(&arguments[0], &arguments[1]).into(),
        Function::StartsWith => folded(&text(0)).starts_with(&folded(&text(1))).into(),
        Function::EndsWith => folded(&text(0)).ends_with(&folded(&text(1))).into(),
        Function::Format => Value::Text(format(&text(0), &arguments[1..])?),
        Function::Join => join(&arguments[0], arguments.get(1)).into(),
        Function::ToJSON => Value::Text(to_json(&arguments[0])),
        Function::FromJSON => from_json(&text(0))?,
        Function::HashFiles
        | Function::Case
        | Function::Success
        | Function::Always
        | Function::Cancelled
        | Function::Failure => return Err(Fault(format!("{function:?} is not a function of values"))),
    })
}

fn contains(search: &Value, item: &Value) -> bool {
    match (search, item) {
        (Value::List(items), _) => items.iter().any(|candidate| candidate.equals(item)),
        (Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => false,
        (search, item) => folded(&search.text()).contains(&folded(&item.text())),
    }
}

fn join(items: &Value, separator: Option<&Value>) -> String {
    let separator = separator.map_or_else(|| ",".to_owned(), Value::text);
    match items {
        Value::List(items) => items.iter().map(Value::text).collect::<Vec<_>>().join(&separator),
        Value::Map(_) => String::new(),
        scalar => scalar.text(),
    }
}

fn to_json(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn from_json(text: &str) -> Result<Value, Fault> {
    if text.trim().is_empty() {
        return Err(Fault("fromJSON was given an empty text: JSON is expected".to_owned()));
    }
    serde_json::from_str(text).map_err(|error| Fault(format!("fromJSON was given `{}`: {error}", cut(text))))
}

fn cut(text: &str) -> String {
    const MAX_SHOWN: usize = 80;
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Replaces `{0}`, `{1}`, … by the arguments. `{{` and `}}` are braces.
fn format(template: &str, arguments: &[Value]) -> Result<String, Fault> {
    let wrong = || {
        Fault(format!("format was given `{}`: `{{0}}`, or `{{{{` for a brace, is expected", cut(template)))
    };
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        if let Some(behind) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
            out.push_str(&tail[..1]);
            rest = behind;
            continue;
        }
        let (number, behind) =
            tail.strip_prefix('{').and_then(|tail| tail.split_once('}')).ok_or_else(wrong)?;
        let number: usize = number.parse().map_err(|_| wrong())?;
        let argument = arguments.get(number).ok_or_else(|| {
            Fault(format!("format was given `{}`, but no value for `{{{number}}}`", cut(template)))
        })?;
        out.push_str(&argument.text());
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}
