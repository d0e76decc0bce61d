//! The agent's stdout: one JSON line for each transition, mixed with the
//! listener's unchanged output.

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

/// `Warn` means that a person may have to act.
#[derive(Clone, Copy)]
enum Level {
    Info,
    Warn,
}

/// Writes the agent's log.
///
/// Failed writes are ignored: a job does not end because its log cannot be
/// written.
pub(crate) struct Log<W> {
    out: W,
    at_line_start: bool,
}

impl<W: Write> Log<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, at_line_start: true }
    }

    pub(crate) fn info(&mut self, message: &'static str, fields: &[(&str, &dyn Field)]) {
        self.write(Level::Info, message, fields);
    }

    pub(crate) fn warn(&mut self, message: &'static str, fields: &[(&str, &dyn Field)]) {
        self.write(Level::Warn, message, fields);
    }

    /// Copies output of the listener.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.at_line_start = *last == b'\n';
            let _ = self.out.write_all(bytes).and_then(|()| self.out.flush());
        }
    }

    fn write(&mut self, level: Level, message: &'static str, fields: &[(&str, &dyn Field)]) {
        let level = match level {
            Level::Info => "info",
            Level::Warn => "warn",
        };
        let mut line = String::with_capacity(256);
        if !self.at_line_start {
            line.push('\n');
        }
        line.push_str(&format!(
            r#"{{"time":"{:.6}","level":"{level}","message":"{message}""#,
            Timestamp::now()
        ));
        for (name, value) in fields {
            line.push_str(&format!(r#","{name}":{}"#, value.json()));
        }
        line.push_str("}\n");
        self.at_line_start = true;
        let _ = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// A value of a log line.
pub(crate) trait Field {
    fn json(&self) -> String;
}

impl<T: Serialize> Field for T {
    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned())
    }
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_never_begins_in_the_middle_of_a_line_of_the_listener() {
        let mut out = Vec::new();
        let mut log = Log::new(&mut out);
        log.pass(b"no newline");
        log.info("listener ended", &[("code", &0), ("reason", &"a \"b\"")]);
        let text = String::from_utf8(out).unwrap();
        let (passed, line) = text.split_once('\n').unwrap();
        assert_eq!(passed, "no newline");
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["message"], "listener ended");
        assert_eq!(line["reason"], "a \"b\"");
    }
}
