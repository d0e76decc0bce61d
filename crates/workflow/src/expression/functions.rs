//! The functions of expressions that the service evaluates.

use github_actions_expressions::call::Function;

use super::Fault;
use super::lenient_json;
use super::value::{Value, folded};

/// Calls a function whose arguments are evaluated. Status functions are not among them.
pub(super) fn call(function: Function, arguments: &[Value]) -> Result<Value, Fault> {
    let text = |at: usize| arguments.get(at).map(Value::text).unwrap_or_default();
    Ok(match function {
        Function::Contains => contains(&arguments[0], &arguments[1]).into(),
        Function::StartsWith => {
            (scalars(arguments) && folded(&text(0)).starts_with(&folded(&text(1)))).into()
        }
        Function::EndsWith => (scalars(arguments) && folded(&text(0)).ends_with(&folded(&text(1)))).into(),
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

/// Whether no list or map is among values. None of them begins or ends with anything.
fn scalars(values: &[Value]) -> bool {
    !values.iter().any(Value::is_collection)
}

fn contains(search: &Value, item: &Value) -> bool {
    match (search, item) {
        (Value::List(items), _) => items.iter().any(|candidate| candidate.equals(item)),
        (Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => false,
        (search, item) => folded(&search.text()).contains(&folded(&item.text())),
    }
}

fn join(items: &Value, separator: Option<&Value>) -> String {
    let separator = separator.filter(|separator| !separator.is_collection());
    let separator = separator.map_or_else(|| ",".to_owned(), Value::text);
    match items {
        Value::List(items) => items.iter().map(Value::text).collect::<Vec<_>>().join(&separator),
        Value::Map(_) => String::new(),
        scalar => scalar.text(),
    }
}

/// Returns a value as GitHub writes JSON: with two spaces, and numbers as texts of expressions have them.
fn to_json(value: &Value) -> String {
    let mut out = String::new();
    write_json(value, 0, &mut out);
    out
}

fn write_json(value: &Value, depth: usize, out: &mut String) {
    let line = |depth: usize| format!("\n{}", "  ".repeat(depth));
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(_) | Value::Number(_) => out.push_str(&value.text()),
        Value::Text(text) => write_json_text(text, out),
        Value::List(items) if items.is_empty() => out.push_str("[]"),
        Value::Map(entries) if entries.is_empty() => out.push_str("{}"),
        Value::List(items) => {
            for (at, item) in items.iter().enumerate() {
                out.push(if at == 0 { '[' } else { ',' });
                out.push_str(&line(depth + 1));
                write_json(item, depth + 1, out);
            }
            out.push_str(&line(depth));
            out.push(']');
        }
        Value::Map(entries) => {
            for (at, (key, value)) in entries.iter().enumerate() {
                out.push(if at == 0 { '{' } else { ',' });
                out.push_str(&line(depth + 1));
                write_json_text(key, out);
                out.push_str(": ");
                write_json(value, depth + 1, out);
            }
            out.push_str(&line(depth));
            out.push('}');
        }
    }
}

fn write_json_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // GitHub escapes these as well, since some readers take them for ends of lines.
            '\0'..='\u{1f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn from_json(text: &str) -> Result<Value, Fault> {
    if text.trim().is_empty() {
        return Err(Fault("fromJSON was given an empty text: JSON is expected".to_owned()));
    }
    // JSON is the usual case. What is not JSON may still be what GitHub takes.
    serde_json::from_str(text)
        .or_else(|_| lenient_json::read(text))
        .map_err(|wrong| Fault(format!("fromJSON was given `{}`: {wrong}", cut(text))))
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
