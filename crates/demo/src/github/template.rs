//! The two encodings of values in a job message: context data and template tokens.

use ecsrunner_workflow::expression::Value as Context;
use ecsrunner_workflow::{Content, Token};
use serde_json::{Value, json};

/// Encodes a value of an expression's context. Scalars are encoded as themselves.
pub(super) fn context(value: &Context) -> Value {
    match value {
        Context::List(items) if items.is_empty() => json!({"t": 1}),
        Context::List(items) => json!({"t": 1, "a": items.iter().map(context).collect::<Vec<_>>()}),
        Context::Map(entries) if entries.is_empty() => json!({"t": 2}),
        Context::Map(entries) => {
            let pairs: Vec<Value> =
                entries.iter().map(|(key, value)| json!({"k": key, "v": context(value)})).collect();
            json!({"t": 2, "d": pairs})
        }
        scalar => json!(scalar),
    }
}

/// Encodes a token. The runner evaluates its expressions.
pub(super) fn token(token: &Token) -> Value {
    match &token.content {
        Content::Null => Value::Null,
        Content::Bool(value) => json!(value),
        Content::Number(number) => json!(Context::Number(*number)),
        Content::Text(text) => json!(text),
        Content::Expression(expression) => json!({"type": 3, "expr": expression}),
        Content::Insert => json!({"type": 4, "directive": "insert"}),
        Content::List(items) => json!({"type": 1, "seq": items.iter().map(self::token).collect::<Vec<_>>()}),
        Content::Map(entries) => {
            let pairs: Vec<Value> = entries
                .iter()
                .map(|(key, value)| json!({"Key": self::token(key), "Value": self::token(value)}))
                .collect();
            json!({"type": 2, "map": pairs})
        }
    }
}

/// Encodes a token that may be missing.
pub(super) fn optional(token: Option<&Token>) -> Value {
    token.map_or(Value::Null, self::token)
}

/// Encodes a mapping with these names.
pub(super) fn mapping<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let pairs: Vec<Value> =
        entries.into_iter().map(|(name, value)| json!({"Key": name, "Value": value})).collect();
    json!({"type": 2, "map": pairs})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_data_marks_arrays_and_dictionaries() {
        let value: Context =
            serde_json::from_str(r#"{"b": {}, "a": [1, "x", null, 2.5], "c": true, "d": []}"#).unwrap();
        assert_eq!(
            context(&value),
            json!({"t": 2, "d": [
                {"k": "b", "v": {"t": 2}},
                {"k": "a", "v": {"t": 1, "a": [1, "x", null, 2.5]}},
                {"k": "c", "v": true},
                {"k": "d", "v": {"t": 1}},
            ]})
        );
    }

    #[test]
    fn tokens_keep_their_types_and_expressions() {
        let text = "{on: push, env: {A: 'x ${{ github.sha }}', '${{ insert }}': '${{ vars.X }}', B: 1.50}, jobs: {a: {runs-on: x}}}";
        let env = ecsrunner_workflow::read("ci.yml", text).unwrap().env.unwrap();
        assert_eq!(
            token(&env),
            json!({"type": 2, "map": [
                {"Key": "A", "Value": {"type": 3, "expr": "format('x {0}', github.sha)"}},
                {"Key": {"type": 4, "directive": "insert"}, "Value": {"type": 3, "expr": "vars.X"}},
                {"Key": "B", "Value": "1.5"},
            ]})
        );
    }
}
