//! The commands with which a step reports something, such as `::error file=app.js,line=1::text`, and the annotations that
//! they become.
//!
//! They follow the official runner: `ActionCommand.cs`, `ActionCommandManager.cs` and `IssueExtensions.cs`.

use std::path::Path;

use serde_json::{Value, json};

/// The most annotations of one level that a step reports.
const MAX_OF_LEVEL: usize = 10;
/// The longest message, in characters.
const MAX_MESSAGE: usize = 4096;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    Failure,
    Warning,
    Notice,
}

/// A line of a step's output that the runner reads as a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Report(Report),
    Group(String),
    EndGroup,
    /// Shown only where debug logging is on.
    Debug,
    /// Shows `***` in place of this value from here on.
    AddMask(String),
    /// Reads no commands until this token comes as one.
    Stop(String),
    /// Tells later scripts of the same action a value. The name is empty if the line has none.
    SaveState {
        name: String,
        value: String,
    },
}

/// The commands that are read.
const NAMES: [&str; 9] =
    ["error", "warning", "notice", "group", "endgroup", "debug", "add-mask", "stop-commands", "save-state"];

/// What a command, or a failure, reports.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Report {
    level: Option<Level>,
    message: String,
    title: Option<String>,
    file: Option<String>,
    line: Option<u64>,
    end_line: Option<u64>,
    column: Option<u64>,
    end_column: Option<u64>,
}

/// A report of a step.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Annotation {
    level: Level,
    value: Value,
}

impl Level {
    const fn posted(self) -> &'static str {
        match self {
            Self::Failure => "FAILURE",
            Self::Warning => "WARNING",
            Self::Notice => "NOTICE",
        }
    }

    const fn tag(self) -> &'static str {
        match self {
            Self::Failure => "##[error]",
            Self::Warning => "##[warning]",
            Self::Notice => "##[notice]",
        }
    }
}

impl Command {
    /// Reads a line. Returns `None` for ordinary output.
    pub(super) fn read(line: &str) -> Option<Self> {
        let (name, properties, data) = parts(line)?;
        let level = match name.to_ascii_lowercase().as_str() {
            "error" => Level::Failure,
            "warning" => Level::Warning,
            "notice" => Level::Notice,
            "group" => return Some(Self::Group(unescaped(data))),
            "endgroup" => return Some(Self::EndGroup),
            "debug" => return Some(Self::Debug),
            "add-mask" => return Some(Self::AddMask(unescaped(data))),
            "stop-commands" => return Some(Self::Stop(unescaped(data))),
            "save-state" => {
                let name = properties.trim().split(',').find_map(|property| property.strip_prefix("name="));
                let name = unescaped(&name.unwrap_or_default().replace("%3A", ":").replace("%2C", ","));
                return Some(Self::SaveState { name, value: unescaped(data) });
            }
            _ => return None,
        };
        let mut report = Report { level: Some(level), message: unescaped(data), ..Report::default() };
        for property in properties.trim().split(',') {
            let Some((key, value)) = property.split_once('=').filter(|(_, value)| !value.is_empty()) else {
                continue;
            };
            let value = unescaped(&value.replace("%3A", ":").replace("%2C", ","));
            match key.to_ascii_lowercase().as_str() {
                "title" => report.title = Some(value),
                "file" => report.file = Some(value),
                "line" => report.line = value.trim().parse().ok(),
                "endline" => report.end_line = value.trim().parse().ok(),
                "col" => report.column = value.trim().parse().ok(),
                "endcolumn" => report.end_column = value.trim().parse().ok(),
                _ => {}
            }
        }
        report.correct_places();
        Some(Self::Report(report))
    }
}

/// Returns the name, the properties and the data of a line that has the form of a command.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (info, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
    Some((name, properties, data))
}

/// Whether a line is the command that ends a stop.
pub(super) fn resumes(line: &str, token: &str) -> bool {
    parts(line).is_some_and(|(name, ..)| name.eq_ignore_ascii_case(token))
}

/// Whether a token can end a stop. The official runner refuses the same ones.
pub(super) fn is_stop_token(token: &str) -> bool {
    let is_reserved = |name: &str| name.eq_ignore_ascii_case(token);
    !token.is_empty() && !is_reserved("pause-logging") && !NAMES.into_iter().any(is_reserved)
}

/// Reads what GitHub's commands escape.
fn unescaped(text: &str) -> String {
    text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
}

impl Report {
    pub(super) fn failure(message: &str) -> Self {
        Self { level: Some(Level::Failure), message: message.to_owned(), ..Self::default() }
    }

    pub(super) fn warning(message: &str) -> Self {
        Self { level: Some(Level::Warning), message: message.to_owned(), ..Self::default() }
    }

    /// Changes its texts, so that no secret is in them.
    pub(super) fn mask(&mut self, masked: impl Fn(&str) -> String) {
        self.message = masked(&self.message);
        for text in [&mut self.title, &mut self.file].into_iter().flatten() {
            *text = masked(text);
        }
    }

    /// Leaves out places that make no sense.
    fn correct_places(&mut self) {
        self.line = self.line.or(self.end_line);
        self.column = self.column.or(self.end_column);
        let spans_lines = self.end_line.is_some() && self.line != self.end_line;
        if self.line.is_none() || spans_lines || self.end_column < self.column && self.end_column.is_some() {
            (self.column, self.end_column) = (None, None);
        }
        if self.end_line < self.line && self.end_line.is_some() {
            (self.line, self.end_line) = (None, None);
        }
    }

    fn level(&self) -> Level {
        self.level.unwrap_or(Level::Failure)
    }

    /// Returns its line of the log.
    pub(super) fn shown(&self) -> String {
        format!("{}{}", self.level().tag(), self.message)
    }

    /// Returns the annotation of a step, unless the step has enough of them. `log_line` is its line in the step's log.
    pub(super) fn annotation(
        mut self,
        known: &[Annotation],
        workspace: &Path,
        step: usize,
        log_line: u64,
    ) -> Option<Annotation> {
        let level = self.level();
        let count = known.iter().filter(|annotation| annotation.level == level).count();
        if count >= MAX_OF_LEVEL || self.message.trim().is_empty() {
            return None;
        }
        let path = self.file.take().map(|file| match Path::new(&file).strip_prefix(workspace) {
            Ok(inside) => inside.display().to_string(),
            Err(_) => file,
        });
        if path.is_none() && self.line.is_none() {
            (self.line, self.end_line) = (Some(log_line), Some(log_line));
        }
        let line = self.line.unwrap_or_default();
        let column = self.column.unwrap_or_default();
        let mut value = json!({
            "level": level.posted(),
            "message": self.message.chars().take(MAX_MESSAGE).collect::<String>(),
            "stepNumber": step,
        });
        // The official runner leaves out what is 0.
        for (key, number) in [
            ("startLine", line),
            ("endLine", self.end_line.unwrap_or(line)),
            ("startColumn", column),
            ("endColumn", self.end_column.unwrap_or(column)),
        ] {
            if number > 0 {
                value[key] = number.into();
            }
        }
        for (key, text) in [("title", self.title), ("path", path)] {
            if let Some(text) = text {
                value[key] = text.into();
            }
        }
        Some(Annotation { level, value })
    }
}

impl Annotation {
    pub(super) fn posted(&self) -> &Value {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(line: &str) -> Value {
        match Command::read(line) {
            Some(Command::Report(report)) => {
                report.annotation(&[], Path::new("/work/app"), 3, 7).map_or(Value::Null, |made| made.value)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands_become_annotations_as_in_the_official_runner() {
        assert_eq!(
            annotated(
                "::error file=app.js,line=10,col=15,endColumn=20,title=A%3A b%2C c::Missing%0Asemicolon: 5%25"
            ),
            json!({"level": "FAILURE", "message": "Missing\nsemicolon: 5%", "title": "A: b, c", "path": "app.js",
                "startLine": 10, "endLine": 10, "startColumn": 15, "endColumn": 20, "stepNumber": 3})
        );
        assert_eq!(
            annotated("  ::warning file=/work/app/src/a.rs,endLine=4::w"),
            json!({"level": "WARNING", "message": "w", "path": "src/a.rs", "startLine": 4, "endLine": 4, "stepNumber": 3})
        );
        // Without a file and a line, it is at the line of the log.
        assert_eq!(
            annotated("::notice::n"),
            json!({"level": "NOTICE", "message": "n", "startLine": 7, "endLine": 7, "stepNumber": 3})
        );
        for (places, kept) in [
            ("line=1,endLine=2,col=3", json!([1, 2, null, null])),
            ("col=3,endColumn=4", json!([null, null, null, null])),
            ("line=5,endLine=2", json!([null, null, null, null])),
            ("line=5,col=9,endColumn=2", json!([5, 5, null, null])),
            ("line=5,endColumn=2", json!([5, 5, 2, 2])),
            ("line=x", json!([null, null, null, null])),
        ] {
            let made = annotated(&format!("::error file=a,{places}::x"));
            let found = ["startLine", "endLine", "startColumn", "endColumn"].map(|key| made[key].clone());
            assert_eq!(json!(found), kept, "{places}");
        }
        assert_eq!(annotated("::error::  "), Value::Null);
    }

    #[test]
    fn only_commands_that_are_known_and_stand_first_are_read() {
        for line in ["text ::error::x", "::error x", "::nothing::x", ":: error::x", "a::b::c", "::"] {
            assert_eq!(Command::read(line), None, "{line}");
        }
        assert_eq!(Command::read("::group::A%0Ab"), Some(Command::Group("A\nb".to_owned())));
        assert_eq!(Command::read("::EndGroup::"), Some(Command::EndGroup));
        assert_eq!(Command::read("::debug::x"), Some(Command::Debug));
        assert_eq!(Command::read("::add-mask::a%25b"), Some(Command::AddMask("a%b".to_owned())));
        assert_eq!(Command::read("::stop-commands::t"), Some(Command::Stop("t".to_owned())));
        for (token, is_taken) in [("t", true), ("", false), ("Add-Mask", false), ("pause-logging", false)] {
            assert_eq!(is_stop_token(token), is_taken, "{token}");
        }
        for (line, ends) in [(" ::T::", true), ("::t a=b::x", true), ("::t", false), ("::tt::", false)] {
            assert_eq!(resumes(line, "t"), ends, "{line}");
        }
    }

    #[test]
    fn a_step_reports_at_most_ten_of_a_level_and_a_bounded_message() {
        let mut known = Vec::new();
        for _ in 0..12 {
            known.extend(Report::failure("no").annotation(&known, Path::new("/"), 1, 1));
        }
        assert_eq!(known.len(), MAX_OF_LEVEL);
        let Some(Command::Report(warning)) = Command::read("::warning::w") else { panic!() };
        assert!(warning.annotation(&known, Path::new("/"), 1, 1).is_some());
        let long = Report::failure(&"ä".repeat(5000)).annotation(&[], Path::new("/"), 1, 1).unwrap();
        assert_eq!(long.posted()["message"].as_str().unwrap().chars().count(), MAX_MESSAGE);
    }
}
