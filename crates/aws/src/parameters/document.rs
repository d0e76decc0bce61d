//! Reads a parameter's JSON document key by key, so that all mistakes are reported at once.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Table;

/// The parameters' names, without the prefix.
pub(super) const NAMES: [&str; 3] = ["deployment", "settings", "classes"];
/// `true` while an operator has paused launches. The parameter may be missing.
pub(super) const PAUSED: &str = "paused";

pub(super) struct Document {
    pub(super) name: String,
    pub(super) value: Value,
}

impl Document {
    /// Returns its keys in the form in which settings and classes are read.
    pub(super) fn table(self, mistakes: &mut Vec<String>) -> Option<Table> {
        if self.value.is_object()
            && let toml::Value::Table(table) = ecsrunner_entries::of_json(self.value)
        {
            return Some(table);
        }
        mistakes.push("a JSON object is expected".to_owned());
        None
    }
}

pub(super) fn find(
    name: &str,
    texts: &BTreeMap<String, String>,
    mistakes: &mut Vec<String>,
) -> Option<Document> {
    let Some(text) = texts.get(name) else {
        mistakes.push(format!("parameter `{name}` does not exist"));
        return None;
    };
    match serde_json::from_str(text) {
        Ok(value) => Some(Document { name: name.to_owned(), value }),
        Err(error) => {
            mistakes.push(format!("parameter `{name}` is not JSON: {error}"));
            None
        }
    }
}

/// Reads the keys of an object. If there is a mistake, the values that were read are discarded.
pub(super) struct Keys<'a> {
    name: &'a str,
    object: &'a Map<String, Value>,
    mistakes: &'a mut Vec<String>,
}

impl<'a> Keys<'a> {
    pub(super) fn of(document: &'a Document, mistakes: &'a mut Vec<String>) -> Option<Self> {
        let Value::Object(object) = &document.value else {
            mistakes.push(format!("parameter `{}` is not a JSON object", document.name));
            return None;
        };
        Some(Self { name: &document.name, object, mistakes })
    }

    /// Records a mistake in the key's value.
    pub(super) fn mistake(&mut self, key: &str, fault: impl std::fmt::Display) {
        self.mistakes.push(format!("parameter `{}`: `{key}` {fault}", self.name));
    }

    pub(super) fn has_mistakes(&self) -> bool {
        !self.mistakes.is_empty()
    }

    fn get(&mut self, key: &str) -> Option<&'a Value> {
        let value = self.object.get(key).filter(|value| !value.is_null());
        if value.is_none() {
            self.mistake(key, "is missing");
        }
        value
    }

    /// Reads a text that is not empty.
    pub(super) fn text(&mut self, key: &str) -> String {
        match self.get(key) {
            Some(Value::String(text)) if !text.is_empty() => return text.clone(),
            Some(other) => self.mistake(key, format_args!("is {other}: a text is expected")),
            None => {}
        }
        String::new()
    }

    /// Reads a text that may be missing.
    pub(super) fn optional_text(&mut self, key: &str) -> Option<String> {
        self.object.get(key).filter(|value| !value.is_null())?;
        Some(self.text(key))
    }

    /// Reads an object that may be missing. `least` has its required keys with valid values.
    pub(super) fn parsed<T: DeserializeOwned>(
        &mut self,
        key: &str,
        least: &[(&str, toml::Value)],
    ) -> Option<T> {
        let value = self.object.get(key).filter(|value| !value.is_null())?;
        let toml::Value::Table(table) = ecsrunner_entries::of_json(value.clone()) else {
            self.mistake(key, format_args!("is {value}: an object is expected"));
            return None;
        };
        let least: Table = least.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let mut found = Vec::new();
        let read = ecsrunner_entries::read(key, table, &least, &mut found).valid();
        let name = self.name;
        self.mistakes.extend(found.iter().map(|mistake| format!("parameter `{name}`: {mistake}")));
        read
    }

    /// Reads a list of texts, each parsed by `parse`.
    pub(super) fn list<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let items = match self.get(key) {
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.mistake(key, format_args!("is {other}: a list of texts is expected"));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut read = Vec::new();
        for item in items {
            match item.as_str().ok_or_else(|| format!("{item} is not a text")).and_then(&parse) {
                Ok(item) => read.push(item),
                Err(fault) => self.mistake(key, format_args!("has an invalid value: {fault}")),
            }
        }
        read
    }

    pub(super) fn map(&mut self, key: &str) -> Vec<(&'a str, &'a str)> {
        let object = match self.get(key) {
            Some(Value::Object(object)) => object,
            Some(other) => {
                self.mistake(key, format_args!("is {other}: an object of texts is expected"));
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut read = Vec::new();
        for (name, value) in object {
            match value.as_str().filter(|text| !text.is_empty()) {
                Some(text) => read.push((name.as_str(), text)),
                None => self.mistake(key, format_args!("has `{name}` as {value}: a text is expected")),
            }
        }
        read
    }

    /// Reads true or false; `default` if it is missing.
    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.object.get(key) {
            None | Some(Value::Null) => default,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.mistake(key, format_args!("is {other}: true or false is expected"));
                default
            }
        }
    }
}
