//! Logs to stderr. A server logs text on a terminal and JSON otherwise; a
//! command prints notes.

#[cfg(target_os = "linux")]
mod server;

use std::fmt;
use std::io;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::arguments::TalkArguments;
use crate::output::clean_lines;
use crate::{environment, output};

#[cfg(target_os = "linux")]
pub(crate) use server::init;

/// Starts the notes of a command, for example about input that it has to leave out.
pub(crate) fn init_for_command() {
    let talk = output::talk();
    // The command's own error says in one sentence what AWS's search for credentials logs with all its internals.
    let levels = ["error,aws_config=off", "warn,aws_config=off", "info", "debug"];
    tracing_subscriber::fmt()
        .with_env_filter(filter(talk, levels))
        .with_writer(io::stderr)
        .event_format(Note)
        .init();
}

/// Starts the notes of a simulation. Those of the simulated deployment are shown only if they are wanted.
pub(crate) fn init_for_simulation() {
    let talk = output::talk();
    tracing_subscriber::fmt()
        .with_env_filter(filter(talk, ["off", "off", "warn", "info"]))
        .with_writer(io::stderr)
        .event_format(Note)
        .init();
}

/// `levels` are for `--quiet`, no flag, `--verbose`, and `--verbose` given twice.
fn filter(talk: TalkArguments, levels: [&'static str; 4]) -> EnvFilter {
    let [quiet, usual, verbose, detailed] = levels;
    let level = match talk.verbose {
        0 if talk.quiet => quiet,
        0 => usual,
        1 => verbose,
        _ => detailed,
    };
    EnvFilter::builder().parse_lossy(environment::log_filter().unwrap_or_else(|| level.to_owned()))
}

/// Formats an event as `note: ` and its text.
struct Note;

impl<S, N> FormatEvent<S, N> for Note
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // Text from others must not control the terminal.
        let mut text = String::new();
        context.field_format().format_fields(Writer::new(&mut text), event)?;
        writeln!(writer, "note: {}", clean_lines(&text))
    }
}
