//! Reads a table of the file key by key. Each mistake names the key and its value.

use std::ops::RangeInclusive;

use toml::{Table, Value};

/// How much of a value is shown.
const SHOWN_CHARS: usize = 80;

/// A table that is being read. Keys that nothing has asked for are mistakes.
pub(super) struct Section<'a> {
    path: String,
    table: Table,
    known: Vec<&'static str>,
    mistakes: &'a mut Vec<String>,
}

impl<'a> Section<'a> {
    /// Opens a table; a value that is no table is a mistake.
    pub(super) fn open(path: &str, value: Value, mistakes: &'a mut Vec<String>) -> Option<Self> {
        match value {
            Value::Table(table) => Some(Self { path: path.to_owned(), table, known: Vec::new(), mistakes }),
            other => {
                mistakes.push(format!("{path} is {}: a table is expected", shown(&other)));
                None
            }
        }
    }

    pub(super) fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.table.get(key)
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    pub(super) fn mistake(&mut self, key: &str, value: &Value, expected: &str) {
        let path = self.path(key);
        self.mistakes.push(format!("{path} is {}: {expected}", shown(value)));
    }

    pub(super) fn missing(&mut self, key: &str, expected: &str) {
        let path = self.path(key);
        self.mistakes.push(format!("{path} is missing: {expected}"));
    }

    /// Opens a table below this one.
    pub(super) fn below(&mut self, key: &str, value: Value) -> Option<Section<'_>> {
        Section::open(&self.path(key), value, self.mistakes)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => {
                self.mistake(key, &other, "text is expected");
                None
            }
        }
    }

    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.take(key)?;
        let number = as_number(&value).filter(|number| range.contains(number));
        if number.is_none() {
            let (from, to) = (range.start(), range.end());
            self.mistake(key, &value, &format!("a number from {from} to {to} is expected"));
        }
        number
    }

    pub(super) fn whole(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.take(key)?;
        let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (from, to) = (range.start(), range.end());
            self.mistake(key, &value, &format!("a whole number from {from} to {to} is expected"));
        }
        number
    }

    /// Ends the table: what is left of it are unknown keys.
    pub(super) fn end(self) {
        let known = self.known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        for (key, value) in &self.table {
            let path = self.path(key);
            self.mistakes.push(format!("{path} is {}: unknown key, expected one of {known}", shown(value)));
        }
    }
}

/// Returns a number that may be written with or without a decimal point.
pub(super) fn as_number(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "numbers of a file are small")]
    let whole = value.as_integer().map(|number| number as f64);
    whole.or_else(|| value.as_float()).filter(|number| number.is_finite())
}

/// Formats a value on one line, cut if it is long.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(SHOWN_CHARS) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
