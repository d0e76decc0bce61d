//! Reads a table key by key.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use toml::{Table, Value};

/// What could be read of a table.
#[derive(Debug)]
pub struct Read<T> {
    /// The value without its mistaken keys: they have their defaults. `None` if it cannot be read even then.
    pub value: Option<T>,
    /// The table's own keys that are mistaken or missing.
    pub mistaken: Vec<String>,
}

impl<T> Read<T> {
    /// Returns the value if nothing in it was mistaken.
    #[must_use]
    pub fn valid(self) -> Option<T> {
        self.value.filter(|_| self.mistaken.is_empty())
    }

    pub(crate) fn is_right(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.mistaken.iter().all(|mistaken| mistaken != key))
    }
}

/// Reads a table into a type, and adds every mistake with its full key, such as `classes.small.warm.count`.
///
/// `least` has every key without a default, with a valid value: each key is read beside these alone. A mistake does not
/// show the value of a key that is not known, since it may be a secret.
pub fn read<T: DeserializeOwned>(
    path: &str,
    table: Table,
    least: &Table,
    mistakes: &mut Vec<String>,
) -> Read<T> {
    let mut right = Table::new();
    let mut mistaken = Vec::new();
    for (key, value) in table {
        let found = mistakes_of::<T>(&key, value.clone(), least);
        if found.is_empty() {
            right.insert(key, value);
            continue;
        }
        mistakes.extend(found.into_iter().map(|(at, text)| format!("{}: {text}", join(path, &at))));
        mistaken.push(key);
    }
    for (key, value) in least {
        if !right.contains_key(key) {
            if !mistaken.contains(key) {
                mistakes.push(format!("{}: this key is missing", join(path, key)));
                mistaken.push(key.clone());
            }
            right.insert(key.clone(), value.clone());
        }
    }
    let whole = Value::Table(right).try_into::<T>();
    let value = whole.map_err(|error| mistakes.push(format!("{path}: {}", one_line(error.message())))).ok();
    Read { value, mistaken }
}

/// Returns the mistakes in the value of one key, each with its place. After each one its place is left out, and the rest
/// is read again.
fn mistakes_of<T: DeserializeOwned>(key: &str, value: Value, least: &Table) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut alone = least.clone();
    alone.insert(key.to_owned(), value);
    let mut whole = Value::Table(alone);
    while let Err(error) = serde_path_to_error::deserialize::<_, T>(whole.clone()) {
        let (path, text) = (error.path(), one_line(error.inner().message()));
        let at = path.to_string();
        let was_left_out = |(before, _): &(String, String)| {
            let inner = before.strip_prefix(&at).and_then(|rest| rest.strip_prefix('.'));
            inner.is_some_and(|inner| text == format!("missing field `{inner}`"))
        };
        if found.iter().any(was_left_out) {
            break;
        }
        // An error of the whole table is one of this key, which is the only one that was given.
        let is_below = at == key || at.starts_with(&format!("{key}.")) || at.starts_with(&format!("{key}["));
        found.push((if is_below { at } else { key.to_owned() }, text));
        if !leave_out(&mut whole, path, key) {
            break;
        }
    }
    found
}

/// Removes what a path leads to. Returns whether it is there, and below `key`.
fn leave_out(whole: &mut Value, path: &Path, key: &str) -> bool {
    let segments: Vec<&Segment> = path.iter().collect();
    let [first, .., last] = &segments[..] else { return false };
    if first.to_string() != key {
        return false;
    }
    let mut at = whole;
    for segment in &segments[..segments.len() - 1] {
        let next = match segment {
            Segment::Map { key } => at.get_mut(key),
            Segment::Seq { index } => at.get_mut(*index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        match next {
            Some(next) => at = next,
            None => return false,
        }
    }
    match (last, at) {
        (Segment::Map { key }, Value::Table(table)) => table.remove(key).is_some(),
        (Segment::Seq { index }, Value::Array(items)) if *index < items.len() => {
            // The places of the others stay.
            let other =
                items.iter().enumerate().find(|(place, _)| place != index).map(|(_, item)| item.clone());
            other.is_some_and(|other| std::mem::replace(&mut items[*index], other.clone()) != other)
        }
        _ => false,
    }
}

/// Returns a JSON value in the form of TOML. A key with `null` is as if it were not there.
#[must_use]
pub fn of_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Table(Table::new()),
        serde_json::Value::Bool(value) => value.into(),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, real) => real.unwrap_or(f64::INFINITY).into(),
        },
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => Value::Array(items.into_iter().map(of_json).collect()),
        serde_json::Value::Object(object) => {
            let given = object.into_iter().filter(|(_, value)| !value.is_null());
            Value::Table(given.map(|(key, value)| (key, of_json(value))).collect())
        }
    }
}

/// Joins the keys of a table and of an entry. The file itself has no key.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// One line for each mistake, even if the parser's error has several.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the mistakes are looked at")]
    struct Entry {
        size: u32,
        #[serde(default)]
        names: Vec<String>,
        #[serde(default)]
        parts: BTreeMap<String, Part>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the mistakes are looked at")]
    struct Part {
        port: u16,
        #[serde(default)]
        open: bool,
    }

    fn mistakes(text: &str) -> Vec<String> {
        let mut mistakes = Vec::new();
        let least = Table::from_iter([("size".to_owned(), 1.into())]);
        let read = read::<Entry>("a.b", text.parse().unwrap(), &least, &mut mistakes);
        assert_eq!(read.mistaken.is_empty(), mistakes.is_empty());
        assert!(read.value.is_some());
        mistakes
    }

    #[test]
    fn every_mistake_is_told_with_its_whole_key() {
        let text = "size = 'big'\nnames = ['x', 3, 4]\nother = 'a secret'\n\
                    [parts.db]\nport = 70000\nopen = 1\nextra = 2\n[parts.web]\nopen = true\n";
        assert_eq!(
            mistakes(text),
            [
                "a.b.names[1]: invalid type: integer `3`, expected a string",
                "a.b.names[2]: invalid type: integer `4`, expected a string",
                "a.b.other: unknown field `other`, expected one of `size`, `names`, `parts`",
                "a.b.parts.db.extra: unknown field `extra`, expected `port` or `open`",
                "a.b.parts.db.open: invalid type: integer `1`, expected a boolean",
                "a.b.parts.db.port: invalid value: integer `70000`, expected u16",
                "a.b.size: invalid type: string \"big\", expected u32",
            ]
        );
    }

    #[test]
    fn a_missing_key_is_named_once() {
        assert_eq!(mistakes(""), ["a.b.size: this key is missing"]);
        assert_eq!(mistakes("size = 1\n[parts.web]\nopen = true"), ["a.b.parts.web: missing field `port`"]);
        assert!(mistakes("size = 1").is_empty());
    }

    #[test]
    fn json_is_read_like_toml_and_null_like_nothing() {
        let json = serde_json::json!({"size": 2, "names": null, "parts": {"db": {"port": 1, "open": true}}});
        let Value::Table(table) = of_json(json) else { panic!("a table is expected") };
        assert_eq!(table, "size = 2\n[parts.db]\nport = 1\nopen = true".parse::<Table>().unwrap());
    }
}
