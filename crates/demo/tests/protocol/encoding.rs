//! The two encodings of values in a job message.

use serde_json::{Map, Value, json};

#[track_caller]
pub(crate) fn context(value: &Value) -> Value {
    let Value::Object(typed) = value else {
        assert!(!value.is_array(), "a bare array is not context data: {value}");
        return value.clone();
    };
    let allow = |allowed: &[&str]| {
        assert!(typed.keys().all(|key| allowed.contains(&key.as_str())), "{value}");
    };
    match typed.get("t").map_or(Some(0), Value::as_u64) {
        Some(0) => {
            allow(&["t", "s"]);
            assert!(value["s"].is_string(), "{value}");
            value["s"].clone()
        }
        Some(1) => {
            allow(&["t", "a"]);
            items(typed, "a").iter().map(context).collect()
        }
        Some(kind @ (2 | 5)) => {
            allow(&["t", "d"]);
            let mut dictionary = Map::new();
            for entry in items(typed, "d") {
                assert!(keys_are(entry, &["k", "v"]), "{entry}");
                let key = entry["k"].as_str().unwrap();
                let same = |known: &String| known == key || (kind == 2 && known.eq_ignore_ascii_case(key));
                assert!(!dictionary.keys().any(same), "{key} exists twice");
                dictionary.insert(key.to_owned(), context(&entry["v"]));
            }
            dictionary.into()
        }
        Some(3) => {
            allow(&["t", "b"]);
            value["b"].as_bool().unwrap().into()
        }
        Some(4) => {
            allow(&["t", "n"]);
            assert!(value["n"].is_number(), "{value}");
            value["n"].clone()
        }
        _ => panic!("not context data: {value}"),
    }
}

/// Returns the items of a list. An empty list is omitted.
#[track_caller]
fn items<'a>(typed: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    match typed.get(key) {
        None => &[],
        Some(Value::Array(items)) if !items.is_empty() => items,
        Some(other) => panic!("an empty `{key}` must be omitted: {other}"),
    }
}

fn keys_are(value: &Value, keys: &[&str]) -> bool {
    value
        .as_object()
        .is_some_and(|object| object.len() == keys.len() && keys.iter().all(|key| object.contains_key(*key)))
}

/// Decodes a template token. An expression becomes `{"expression": text}`, which no literal is, and a directive
/// `{"directive": text}`. A mapping becomes a list of pairs, because its order matters and its keys may be expressions.
#[track_caller]
pub(crate) fn token(value: &Value) -> Value {
    let Value::Object(typed) = value else {
        assert!(!value.is_array(), "a bare array is not a template token: {value}");
        return value.clone();
    };
    let allow = |own: &str| {
        let allowed = ["type", "file", "line", "col", own];
        assert!(typed.keys().all(|key| allowed.contains(&key.as_str())), "{value}");
        for member in ["file", "line", "col"] {
            assert!(typed.get(member).is_none_or(Value::is_u64), "{value}");
        }
    };
    match value["type"].as_u64() {
        Some(0) => {
            allow("lit");
            value["lit"].as_str().unwrap().into()
        }
        Some(1) => {
            allow("seq");
            items(typed, "seq").iter().map(token).collect()
        }
        Some(2) => {
            allow("map");
            let pair = |entry: &Value| {
                assert!(keys_are(entry, &["Key", "Value"]), "{entry}");
                json!([token(&entry["Key"]), token(&entry["Value"])])
            };
            items(typed, "map").iter().map(pair).collect()
        }
        Some(3) => {
            allow("expr");
            let expression = value["expr"].as_str().unwrap();
            assert!(!expression.trim().is_empty() && !expression.contains("${{"), "{value}");
            json!({"expression": expression})
        }
        Some(4) => {
            allow("directive");
            json!({"directive": value["directive"].as_str().unwrap()})
        }
        Some(5) => {
            allow("bool");
            value["bool"].as_bool().unwrap().into()
        }
        Some(6) => {
            allow("num");
            assert!(value["num"].is_number(), "{value}");
            value["num"].clone()
        }
        Some(7) => Value::Null,
        _ => panic!("not a template token: {value}"),
    }
}

/// Returns the value of a key in a decoded mapping.
#[track_caller]
pub(crate) fn entry<'a>(pairs: &'a Value, key: &str) -> Option<&'a Value> {
    pairs.as_array().unwrap().iter().find(|pair| pair[0] == key).map(|pair| &pair[1])
}

#[test]
fn decoders_read_every_form_of_the_specification() {
    let data = json!({"t": 2, "d": [
        {"k": "text", "v": {"t": 0, "s": "a"}}, {"k": "short", "v": {"s": "b"}}, {"k": "plain", "v": "c"},
        {"k": "list", "v": {"t": 1, "a": [{"t": 3, "b": true}, {"t": 4, "n": 2}, null]}}, {"k": "none", "v": {"t": 2}},
    ]});
    let expected = json!({"text": "a", "short": "b", "plain": "c", "list": [true, 2, null], "none": {}});
    assert_eq!(context(&data), expected);
    let tokens = json!({"type": 2, "map": [
        {"Key": "a", "Value": {"type": 3, "expr": "github.sha", "file": 1, "line": 2, "col": 3}},
        {"Key": {"type": 0, "lit": "b"}, "Value": {"type": 1, "seq": [{"type": 5, "bool": true}, {"type": 6, "num": 5}]}},
        {"Key": {"type": 4, "directive": "insert"}, "Value": {"type": 7}},
    ]});
    let expected =
        json!([["a", {"expression": "github.sha"}], ["b", [true, 5]], [{"directive": "insert"}, null]]);
    assert_eq!(token(&tokens), expected);
}
