//! The log of a server.

use std::io::{self, IsTerminal};

use ecsrunner_log::{JsonLines, text_fields};

use super::filter;
use crate::output;

/// Starts the logging of a server.
pub(crate) fn init() {
    let talk = output::talk();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(talk, ["error", "info", "debug", "trace"]))
        .with_writer(io::stderr)
        .with_target(false);
    if io::stderr().is_terminal() {
        builder.fmt_fields(text_fields()).compact().with_ansi(!talk.no_color).init();
    } else {
        builder.event_format(JsonLines).init();
    }
}
