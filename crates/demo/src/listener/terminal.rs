//! Writes lines to stdout and stderr as the official listener does.

use std::io::Write;

use jiff::Timestamp;

use super::root::Root;

/// The variable that also prints the runner's own log of each line, as the official
/// image does.
const PRINT_LOG_VARIABLE: &str = "ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT";

/// The output of the listener.
#[derive(Clone, Default, Debug)]
pub(super) struct Terminal {
    /// Whether the runner's log is printed too.
    pub(super) prints_log: bool,
}

impl Terminal {
    pub(super) fn of(root: &Root) -> Self {
        Self { prints_log: root.variable(PRINT_LOG_VARIABLE) == Some("1") }
    }

    pub(super) fn line(&self, text: &str) {
        self.log(&format!("WRITE LINE: {text}"));
        write(&mut std::io::stdout().lock(), text);
    }

    pub(super) fn timed_line(&self, text: &str) {
        self.line(&format!("{}: {text}", stamp()));
    }

    pub(super) fn error(&self, text: &str) {
        self.log(&format!("WRITE ERROR: {text}"));
        write(&mut std::io::stderr().lock(), text);
    }

    pub(super) fn timed_error(&self, text: &str) {
        self.error(&format!("{}: {text}", stamp()));
    }

    pub(super) fn success(&self, text: &str) {
        self.line(&format!("\u{221a} {text}"));
    }

    fn log(&self, text: &str) {
        if self.prints_log {
            write(&mut std::io::stdout().lock(), &format!("[RUNNER {} INFO Terminal] {text}", stamp()));
        }
    }
}

/// Writes a text. Like the official listener, ignores a closed stream.
fn write(out: &mut impl Write, text: &str) {
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn stamp() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
