//! The two encodings of values in a job message: context data and template tokens.

use serde_json::{Value, json};

use crate::workflow::Environment;
use crate::workflow::expression::{Part, parts};

/// Encodes a value of an expression's context. Scalars are encoded as themselves.
pub(super) fn context(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.is_empty() => json!({"t": 1}),
        Value::Array(items) => json!({"t": 1, "a": items.iter().map(context).collect::<Vec<_>>()}),
        Value::Object(entries) if entries.is_empty() => json!({"t": 2}),
        Value::Object(entries) => {
            let pairs: Vec<Value> =
                entries.iter().map(|(key, value)| json!({"k": key, "v": context(value)})).collect();
            json!({"t": 2, "d": pairs})
        }
        scalar => scalar.clone(),
    }
}

/// Encodes a text whose expressions the runner evaluates.
pub(super) fn token(text: &str) -> Value {
    let Some(parts) = parts(text) else { return text.into() };
    if let [Part::Expression(expression)] = parts.as_slice() {
        return json!({"type": 3, "expr": expression});
    }
    if parts.iter().all(|part| matches!(part, Part::Text(_))) {
        return text.into();
    }
    let (mut format, mut arguments) = (String::new(), String::new());
    for part in parts {
        match part {
            Part::Text(text) => {
                format.push_str(&text.replace('{', "{{").replace('}', "}}").replace('\'', "''"));
            }
            Part::Expression(expression) => {
                format.push_str(&format!("{{{}}}", arguments.matches('\u{0}').count()));
                arguments.push('\u{0}');
                arguments.push_str(expression);
            }
        }
    }
    let arguments = arguments.replace('\u{0}', ", ");
    json!({"type": 3, "expr": format!("format('{format}'{arguments})")})
}

/// Encodes `true`, `false`, a number, or an expression.
pub(super) fn scalar(text: Option<&str>) -> Value {
    match text {
        None => Value::Null,
        Some(text) => match serde_json::from_str(text) {
            Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
            _ => token(text),
        },
    }
}

pub(super) fn mapping(entries: &Environment) -> Value {
    let pairs: Vec<Value> =
        entries.iter().map(|(name, value)| json!({"Key": name, "Value": token(value)})).collect();
    json!({"type": 2, "map": pairs})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_tokens_with_their_expressions() {
        assert_eq!(token("plain"), json!("plain"));
        assert_eq!(token("${{ github.ref }}"), json!({"type": 3, "expr": "github.ref"}));
        assert_eq!(
            token("it's {a} ${{ x }} and ${{ y }}"),
            json!({"type": 3, "expr": "format('it''s {{a}} {0} and {1}', x, y)"})
        );
        assert_eq!(scalar(Some("true")), json!(true));
        assert_eq!(scalar(Some("5")), json!(5));
    }

    #[test]
    fn context_data_marks_arrays_and_dictionaries() {
        assert_eq!(
            context(&json!({"a": [1, "x", null], "b": {}, "c": true, "d": []})),
            json!({"t": 2, "d": [
                {"k": "a", "v": {"t": 1, "a": [1, "x", null]}},
                {"k": "b", "v": {"t": 2}},
                {"k": "c", "v": true},
                {"k": "d", "v": {"t": 1}},
            ]})
        );
    }
}
