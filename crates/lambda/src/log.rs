//! Logs JSON lines to stdout, which Lambda collects.

use ecsrunner_log::JsonLines;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The log level: `error`, `warn`, `info` or `debug`.
pub(crate) const LEVEL: &str = "ECSRUNNER_LOG";

/// Starts logging, at `info` by default.
pub(crate) fn init() {
    let level = std::env::var(LEVEL).ok().and_then(|level| level.parse::<Level>().ok());
    // Below debug, libraries would log whole requests with their secrets.
    let level = level.unwrap_or(Level::INFO).min(Level::DEBUG);
    // The runtime would log each refused invocation a second time.
    let targets = Targets::new()
        .with_default(level.min(Level::WARN))
        .with_target("bootstrap", level)
        .with_target("ecsrunner", level)
        .with_target("lambda_runtime", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().event_format(JsonLines);
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
}
