//! The functions of expressions that the service evaluates.

use super::Fault;
use super::lenient_json;
use super::tree::Function;
use super::value::{Value, folded};

/// Calls a function whose arguments are evaluated. Status functions, `case` and `format` are not among them.
pub(super) fn call(function: Function, arguments: &[Value]) -> Result<Value, Fault> {
    let text = |at: usize| arguments.get(at).map(Value::text).unwrap_or_default();
    Ok(match function {
        Function::Contains => contains(&arguments[0], &arguments[1]).into(),
        Function::StartsWith => {
            (scalars(arguments) && folded(&text(0)).starts_with(&folded(&text(1)))).into()
        }
        Function::EndsWith => (scalars(arguments) && folded(&text(0)).ends_with(&folded(&text(1)))).into(),
        Function::Join => join(&arguments[0], arguments.get(1)).into(),
        Function::ToJson => Value::Text(to_json(&arguments[0])),
        Function::FromJson => from_json(&text(0))?,
        Function::HashFiles
        | Function::Case
        | Function::Format
        | Function::Success
        | Function::Always
        | Function::Cancelled
        | Function::Failure => {
            return Err(Fault(format!("`{}` is not a function of values", function.name())));
        }
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

/// A part of the template of `format`.
enum Part<'a> {
    Text(&'a str),
    /// The number of an argument, and a specifier behind a colon.
    Argument(usize, String),
}

/// Replaces `{0}`, `{1}`, … by the arguments. There are `count` of them. `{{` and `}}` are braces. An argument that the
/// template does not name is not evaluated. (actions/runner, `src/Sdk/Expressions/Sdk/Functions/Format.cs`)
pub(super) fn format(
    template: &str,
    count: usize,
    argument: impl Fn(usize) -> Result<Value, Fault>,
) -> Result<String, Fault> {
    let mut known: Vec<Option<String>> = vec![None; count];
    let mut out = String::with_capacity(template.len());
    for part in parts(template, count)? {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Argument(_, specifier) if !specifier.is_empty() => {
                return Err(Fault(format!(
                    "format was given `{}`: GitHub knows no format `{specifier}`",
                    cut(template)
                )));
            }
            Part::Argument(number, _) => {
                let text = match known[number].take() {
                    Some(text) => text,
                    None => argument(number)?.text(),
                };
                out.push_str(&text);
                known[number] = Some(text);
            }
        }
    }
    Ok(out)
}

fn parts(template: &str, count: usize) -> Result<Vec<Part<'_>>, Fault> {
    let wrong = || {
        Fault(format!("format was given `{}`: `{{0}}`, or `{{{{` for a brace, is expected", cut(template)))
    };
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        parts.push(Part::Text(&rest[..at]));
        let tail = &rest[at..];
        if let Some(behind) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
            parts.push(Part::Text(&tail[..1]));
            rest = behind;
            continue;
        }
        let inside = tail.strip_prefix('{').ok_or_else(wrong)?;
        let digits = inside.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        // GitHub takes numbers of one byte.
        let number = inside[..digits].parse::<u8>().map(usize::from).map_err(|_| wrong())?;
        let (specifier, behind) = specifier(&inside[digits..]).ok_or_else(wrong)?;
        if number >= count {
            return Err(Fault(format!(
                "format was given `{}`, but no value for `{{{number}}}`",
                cut(template)
            )));
        }
        parts.push(Part::Argument(number, specifier));
        rest = behind;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// Reads what is between the number of an argument and its `}`: nothing, or a colon and a specifier.
fn specifier(text: &str) -> Option<(String, &str)> {
    if let Some(behind) = text.strip_prefix('}') {
        return Some((String::new(), behind));
    }
    let mut rest = text.strip_prefix(':')?;
    let mut found = String::new();
    loop {
        let (before, behind) = rest.split_once('}')?;
        found.push_str(before);
        match behind.strip_prefix('}') {
            Some(behind) => {
                found.push('}');
                rest = behind;
            }
            None => return Some((found, behind)),
        }
    }
}
