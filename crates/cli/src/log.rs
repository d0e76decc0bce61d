//! Log lines go to standard error: for people on a terminal, as JSON otherwise.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::environment;

/// Begins to log what a server does.
pub(crate) fn init() {
    init_at("info");
}

/// Begins to log what a command cannot read or use, and has to leave out.
pub(crate) fn init_for_command() {
    init_at("warn");
}

fn init_at(level: &str) {
    let filter = environment::log_filter().unwrap_or_else(|| level.to_owned());
    let filter = EnvFilter::builder().parse_lossy(filter);
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    if io::stderr().is_terminal() {
        builder.compact().init();
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    }
}
