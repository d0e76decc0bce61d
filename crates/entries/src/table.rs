//! Reads a table key by key.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
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
    read_hiding(path, table, least, |_| false, mistakes)
}

/// As [`read()`], and shows no value of the table's own keys for which `is_hidden` is true, nor of what is below them: a
/// person may put a secret where the name of its file belongs.
pub fn read_hiding<T: DeserializeOwned>(
    path: &str,
    table: Table,
    least: &Table,
    is_hidden: impl Fn(&str) -> bool,
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
        let is_hidden = is_hidden(&key);
        mistakes.extend(found.into_iter().map(|(at, text)| {
            let text = if is_hidden { without_value(&text) } else { text };
            format!("{}: {text}", join(path, &at))
        }));
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
    let mut left_out = Vec::new();
    while let Err(error) = serde_path_to_error::deserialize::<_, T>(whole.clone()) {
        let (path, mut text) = (error.path(), one_line(error.inner().message()));
        let mut segments: Vec<&Segment> = path.iter().collect();
        if is_null(&whole, &mut segments) {
            text = text.replacen("invalid type: map", "invalid type: null", 1);
            if text.starts_with("unknown field ") || text.starts_with("missing field ") {
                text = "invalid type: null, expected a table".to_owned();
            }
        }
        let at = place(&segments, &left_out);
        // A list may be too short without the items that were left out.
        if left_out.iter().any(|item| item.list == at) {
            break;
        }
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
        if !leave_out(&mut whole, &segments, key) {
            break;
        }
        if let Some((Segment::Seq { index }, list)) = segments.split_last() {
            let list = place(list, &left_out);
            let index = given_index(&list, *index, &left_out);
            left_out.push(Item { list, index });
        }
    }
    found
}

/// An item that was left out of a list, by the list's place and the item's number as given.
struct Item {
    list: String,
    index: usize,
}

/// Returns the number that an item had before others were left out of its list, in the order of their numbers.
fn given_index(list: &str, index: usize, left_out: &[Item]) -> usize {
    let left_out = left_out.iter().filter(|item| item.list == list);
    left_out.fold(index, |index, item| if item.index <= index { index + 1 } else { index })
}

/// Returns whether a path leads to a null, or to the key that stands for it, which is then removed from the path.
fn is_null(whole: &Value, segments: &mut Vec<&Segment>) -> bool {
    let mut at = Some(whole);
    for segment in segments.iter() {
        at = at.and_then(|at| match segment {
            Segment::Map { key } => at.get(key),
            Segment::Seq { index } => at.get(*index),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
    }
    if matches!(segments.last(), Some(Segment::Map { key }) if key == NULL) {
        segments.pop();
        return true;
    }
    at.is_some_and(|at| at.get(NULL).is_some())
}

/// Returns a path as a person gave it, such as `classes[1].cpu`.
fn place(segments: &[&Segment], left_out: &[Item]) -> String {
    segments.iter().fold(String::new(), |at, segment| match segment {
        Segment::Seq { index } => format!("{at}[{}]", given_index(&at, *index, left_out)),
        other if at.is_empty() => other.to_string(),
        other => format!("{at}.{other}"),
    })
}

/// Removes what a path leads to. Returns whether it is there, and below `key`. The items of a list have one type, so the
/// others can be read without it.
fn leave_out(whole: &mut Value, segments: &[&Segment], key: &str) -> bool {
    let [first, .., last] = segments else { return false };
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
            items.remove(*index);
            true
        }
        _ => false,
    }
}

/// Returns a mistake without the value that is mistaken, but with the type of it.
fn without_value(text: &str) -> String {
    if text.starts_with("unknown field ") || text.starts_with("missing field ") {
        return text.to_owned();
    }
    // The value may have these words too, and what is expected comes last.
    let (found, expected) = match text.rsplit_once(", expected ") {
        Some((found, expected)) => (found, format!(", expected {expected}")),
        None => (text, String::new()),
    };
    let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
    format!("{kind}{expected}")
}

/// Stands for a JSON null, as a table with this key alone: TOML has none.
const NULL: &str = "\0null";

/// Returns a JSON value in the form of TOML. A key with `null` is as if it were not there. A null in a list is a mistake for
/// [`read()`].
#[must_use]
pub fn of_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Table(Table::from_iter([(NULL.to_owned(), true.into())])),
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

/// One line for each mistake, even if the parser's error has several. Types have words in place of Rust's names.
pub(crate) fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // The value may have these words too, and what is expected comes last.
    let Some((found, expected)) = text.rsplit_once(", expected ") else { return text };
    let expected = match expected {
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "a text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    };
    format!("{found}, expected {expected}")
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
        groups: Vec<Vec<String>>,
        #[serde(default)]
        colour: Option<Colour>,
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

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the mistakes are looked at")]
    struct Items {
        items: Vec<Part>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Blue,
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
                "a.b.names[1]: invalid type: integer `3`, expected a text",
                "a.b.names[2]: invalid type: integer `4`, expected a text",
                "a.b.other: unknown field `other`, expected one of `size`, `names`, `groups`, `colour`, `parts`",
                "a.b.parts.db.extra: unknown field `extra`, expected `port` or `open`",
                "a.b.parts.db.open: invalid type: integer `1`, expected true or false",
                "a.b.parts.db.port: invalid value: integer `70000`, expected a whole number from 0 to 65535",
                "a.b.size: invalid type: string \"big\", expected a whole number from 0 to 4294967295",
            ]
        );
    }

    #[test]
    fn each_mistaken_item_of_a_list_is_told_at_its_own_place() {
        let at = |text: &str| -> Vec<String> {
            let cut = |mistake: String| mistake.split(", expected").next().unwrap().to_owned();
            mistakes(&format!("size = 1\n{text}")).into_iter().map(cut).collect()
        };
        let wrong = |place: &str, value: u32| format!("a.b.{place}: invalid type: integer `{value}`");
        assert_eq!(at("names = [3, 4]"), [wrong("names[0]", 3), wrong("names[1]", 4)]);
        assert_eq!(at("names = [3, 3]"), [wrong("names[0]", 3), wrong("names[1]", 3)]);
        assert_eq!(
            at("names = [1, 'x', 2, 'y', 3]"),
            [wrong("names[0]", 1), wrong("names[2]", 2), wrong("names[4]", 3)]
        );
        assert_eq!(at("names = [3]"), [wrong("names[0]", 3)]);
        assert_eq!(
            at("groups = [['x', 1], [2, 'y', 2], 3, [4]]"),
            [
                wrong("groups[0][1]", 1),
                wrong("groups[1][0]", 2),
                wrong("groups[1][2]", 2),
                wrong("groups[2]", 3),
                wrong("groups[3][0]", 4),
            ]
        );
    }

    #[test]
    fn hidden_keys_do_not_show_their_values() {
        let text = "size = 'hunter2, expected u8'\nnames = 'hunter2'\nother = 'hunter2'\ncolour = 'hunter2'\n\
                    [parts.db]\nport = 70000\nopen = 1\nhunted = 'hunter2'\n";
        let told = |is_hidden: fn(&str) -> bool| {
            let mut mistakes = Vec::new();
            let least = Table::from_iter([("size".to_owned(), 1.into())]);
            read_hiding::<Entry>("a", text.parse().unwrap(), &least, is_hidden, &mut mistakes);
            mistakes
        };
        assert_eq!(
            told(|_| true),
            [
                "a.colour: unknown variant, expected `red` or `blue`",
                "a.names: invalid type: string, expected a list",
                "a.other: unknown field `other`, expected one of `size`, `names`, `groups`, `colour`, `parts`",
                "a.parts.db.hunted: unknown field `hunted`, expected `port` or `open`",
                "a.parts.db.open: invalid type: integer, expected true or false",
                "a.parts.db.port: invalid value: integer, expected a whole number from 0 to 65535",
                "a.size: invalid type: string, expected a whole number from 0 to 4294967295",
            ]
        );
        let only_names = told(|key| key == "names");
        assert_eq!(only_names[1], "a.names: invalid type: string, expected a list");
        assert_eq!(only_names[0], "a.colour: unknown variant `hunter2`, expected `red` or `blue`");
    }

    #[test]
    fn a_missing_key_is_named_once() {
        assert_eq!(mistakes(""), ["a.b.size: this key is missing"]);
        assert_eq!(mistakes("size = 1\n[parts.web]\nopen = true"), ["a.b.parts.web: missing field `port`"]);
        assert!(mistakes("size = 1").is_empty());
    }

    #[test]
    fn a_null_in_a_list_is_named() {
        let json =
            serde_json::json!({"size": 2, "names": ["x", null], "groups": [null], "parts": {"db": null}});
        let Value::Table(table) = of_json(json) else { panic!("a table is expected") };
        let mut mistakes = Vec::new();
        read::<Entry>("a", table, &Table::from_iter([("size".to_owned(), 1.into())]), &mut mistakes);
        assert_eq!(
            mistakes,
            [
                "a.groups[0]: invalid type: null, expected a list",
                "a.names[1]: invalid type: null, expected a text"
            ]
        );
        let Value::Table(table) = of_json(serde_json::json!({"items": [null]})) else {
            panic!("a table is expected")
        };
        let mut mistakes = Vec::new();
        read::<Items>(
            "a",
            table,
            &Table::from_iter([("items".to_owned(), Value::Array(Vec::new()))]),
            &mut mistakes,
        );
        assert_eq!(mistakes, ["a.items[0]: invalid type: null, expected a table"]);
    }

    #[test]
    fn json_is_read_like_toml_and_null_like_nothing() {
        let json = serde_json::json!({"size": 2, "names": null, "parts": {"db": {"port": 1, "open": true}}});
        let Value::Table(table) = of_json(json) else { panic!("a table is expected") };
        assert_eq!(table, "size = 2\n[parts.db]\nport = 1\nopen = true".parse::<Table>().unwrap());
    }
}
