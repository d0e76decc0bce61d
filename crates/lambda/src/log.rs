//! Log lines: JSON on standard output, where Lambda collects it.

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged: `error`, `warn`, `info` or `debug`.
pub(crate) const LEVEL: &str = "ECSRUNNER_LOG";

/// Begins to log, `info` where nothing else is said.
pub(crate) fn init() {
    let level = std::env::var(LEVEL).ok().and_then(|level| level.parse::<Level>().ok());
    // Below debug, libraries would log whole requests, and with them what is secret.
    let level = level.unwrap_or(Level::INFO).min(Level::DEBUG);
    // A refused invocation is logged here; the runtime would say the same again.
    let targets = Targets::new()
        .with_default(level.min(Level::WARN))
        .with_target("bootstrap", level)
        .with_target("ecsrunner", level)
        .with_target("lambda_runtime", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false);
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
}
