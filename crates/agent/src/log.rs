//! The agent's stdout: one JSON line for each transition, mixed with the
//! listener's output, and the exit record as its last line.
//!
//! The listener's output is not changed, with two exceptions. The agent alone
//! begins an exit record: where the listener or a job writes the bytes with which
//! one begins, a blank is put into them, so that no line of theirs is one. And
//! only the first 64 MiB are copied: lines of the agent go on after that.

use std::borrow::Cow;
use std::io::Write;

use ecsrunner_core::wire::exit_record::{ExitRecord, PREFIX};
use jiff::Timestamp;
use serde::Serialize;

/// How much of the listener's output is copied. Its job can write to it without end.
const PASSED_LIMIT_BYTES: usize = 64 * 1024 * 1024;

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
    /// Whether output of the listener was copied.
    has_passed: bool,
    /// How many more bytes of the listener are copied.
    room_bytes: usize,
    guard: Guard,
}

impl<W: Write> Log<W> {
    pub(crate) fn new(out: W) -> Self {
        let room_bytes = PASSED_LIMIT_BYTES;
        Self { out, at_line_start: true, has_passed: false, room_bytes, guard: Guard::default() }
    }

    pub(crate) fn info(&mut self, message: &'static str, fields: &[(&str, &dyn Field)]) {
        self.write(Level::Info, message, fields);
    }

    pub(crate) fn warn(&mut self, message: &'static str, fields: &[(&str, &dyn Field)]) {
        self.write(Level::Warn, message, fields);
    }

    /// Copies output of the listener, up to the limit for all of it.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        let copied = &bytes[..bytes.len().min(self.room_bytes)];
        if let Some(last) = copied.last() {
            self.at_line_start = *last == b'\n';
            self.has_passed = true;
            let guarded = self.guard.guard(copied);
            let _ = self.out.write_all(&guarded).and_then(|()| self.out.flush());
            self.room_bytes = self.room_bytes.saturating_sub(copied.len());
            if self.room_bytes == 0 {
                let limit_bytes = PASSED_LIMIT_BYTES;
                self.warn("further output of the listener is left out", &[("limit_bytes", &limit_bytes)]);
            }
        }
    }

    /// Writes the exit record, the last line.
    pub(crate) fn end(&mut self, record: &ExitRecord) {
        let Ok(record) = record.to_line() else { return };
        // A job that is root can write to this output directly, so the line may not be at its start.
        let line = if self.has_passed { format!("\n{record}\n") } else { format!("{record}\n") };
        let _ = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
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
        self.guard = Guard::default();
        let _ = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// Breaks the bytes with which an exit record begins, wherever they stand: what collects the log may begin a line anywhere
/// in a long one.
#[derive(Default)]
struct Guard {
    /// How many bytes of [`PREFIX`] the output ends with.
    matched: usize,
}

impl Guard {
    fn guard<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let prefix = PREFIX.as_bytes();
        let (mut broken, mut copied) = (Vec::new(), 0);
        for (place, byte) in bytes.iter().enumerate() {
            // The first byte of the prefix occurs in it only once, so a new match can begin only at that byte.
            self.matched = match prefix.get(self.matched) {
                Some(next) if next == byte => self.matched + 1,
                _ => usize::from(*byte == prefix[0]),
            };
            if self.matched == prefix.len() {
                broken.extend_from_slice(&bytes[copied..place]);
                broken.push(b' ');
                copied = place;
                self.matched = 0;
            }
        }
        if copied == 0 && broken.is_empty() {
            return Cow::Borrowed(bytes);
        }
        broken.extend_from_slice(&bytes[copied..]);
        Cow::Owned(broken)
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

    fn passed(pieces: &[&str]) -> String {
        let mut out = Vec::new();
        let mut log = Log::new(&mut out);
        pieces.iter().for_each(|piece| log.pass(piece.as_bytes()));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_beginning_of_an_exit_record_is_broken_wherever_it_stands_in_foreign_output() {
        let broken = r#"{"exit_record" :1}"#;
        let whole = broken.replace(' ', "");
        assert!(whole.starts_with(PREFIX));
        assert_eq!(passed(&[&whole]), broken);
        assert_eq!(
            passed(&[&format!("a{whole}{whole}\n{{{whole}")]),
            format!("a{broken}{broken}\n{{{broken}")
        );
        for cut in 1..PREFIX.len() {
            assert_eq!(passed(&[&whole[..cut], &whole[cut..]]), broken, "cut at {cut}");
        }
        for unchanged in [r#"{"exit_recorder":1}"#, r#"{"exit_record" :1}"#, "{{{", ""] {
            assert_eq!(passed(&[unchanged]), unchanged);
        }
    }

    #[test]
    fn the_listeners_output_is_bounded_and_the_agents_own_lines_are_not() {
        let record = crate::life::Life::begin().record(&crate::ending::Ending::no_boot_item());
        let mut out = Vec::new();
        let mut log = Log::new(&mut out);
        let piece = [b'x'; 64 * 1024];
        for _ in 0..2 * PASSED_LIMIT_BYTES / piece.len() {
            log.pass(&piece);
        }
        log.info("listener ended", &[]);
        log.end(&record);
        let text = String::from_utf8(out).unwrap();
        let (copied, lines) = text.split_once('\n').unwrap();
        assert_eq!(copied.len(), PASSED_LIMIT_BYTES);
        assert_eq!(lines.matches("further output of the listener is left out").count(), 1, "{lines}");
        assert!(lines.contains("listener ended"), "{lines}");
        assert_eq!(ExitRecord::read(lines.lines().last().unwrap()).unwrap(), Some(record));
    }

    #[test]
    fn no_exit_record_is_made_by_a_line_of_the_agent_between_two_halves() {
        let mut out = Vec::new();
        let mut log = Log::new(&mut out);
        log.pass(&PREFIX.as_bytes()[..7]);
        log.info("hook checked in", &[]);
        log.pass(&PREFIX.as_bytes()[7..]);
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains(PREFIX) && text.ends_with(&PREFIX[7..]), "{text}");
    }

    #[test]
    fn the_exit_record_begins_a_line_even_if_something_else_wrote_to_the_output() {
        let ending = crate::ending::Ending::no_boot_item();
        let record = crate::life::Life::begin().record(&ending);
        let mut out = Vec::new();
        let mut log = Log::new(&mut out);
        log.pass(b"a line\n");
        log.out.extend_from_slice(b"a job's own");
        log.end(&record);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(ExitRecord::read(text.lines().last().unwrap()).unwrap(), Some(record));
    }
}
