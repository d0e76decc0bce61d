//! Log lines go to standard error: for people on a terminal, as JSON otherwise.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::environment;

/// Begins to log.
pub(crate) fn init() {
    let filter = environment::log_filter().unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::builder().parse_lossy(filter);
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    if io::stderr().is_terminal() {
        builder.compact().init();
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    }
}
