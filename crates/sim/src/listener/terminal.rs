//! Lines on stdout, as the real listener writes them.

use std::io::Write;

use jiff::Timestamp;

/// Doubles each line with the runner's own log of it, as the official image asks for.
const PRINT_LOG_VARIABLE: &str = "ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT";

pub(super) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed stdout does not keep the real listener from its job either.
    if std::env::var_os(PRINT_LOG_VARIABLE).is_some_and(|value| value == "1") {
        let _ = writeln!(out, "[RUNNER {} INFO Terminal] WRITE LINE: {text}", stamp());
    }
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

pub(super) fn timed_line(text: &str) {
    line(&format!("{}: {text}", stamp()));
}

fn stamp() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
