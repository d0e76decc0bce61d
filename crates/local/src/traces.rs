//! Exports the traces of jobs that are over, beside everything else.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use ecsrunner_core::id::Deployment;
use ecsrunner_engine::metrics::Metric;
use ecsrunner_traces::{Endpoint, Exporter, Origin, TOTAL_LIMIT};
use secrecy::SecretString;
use tokio::time::Instant;
use tracing::warn;

use crate::server::App;

/// A file with the headers of the OTLP endpoint, instead of OpenTelemetry's variable.
pub const HEADERS_FILE: &str = "ECSRUNNER_OTLP_HEADERS_FILE";
const EVERY: Duration = Duration::from_secs(1);

/// Reads OpenTelemetry's variables; `None` if no endpoint is set.
///
/// # Errors
///
/// A variable or the file has a mistake.
pub fn exporter(
    lookup: impl Fn(&str) -> Option<String>,
    deployment: &Deployment,
    github_api: &str,
) -> anyhow::Result<Option<Exporter>> {
    let Some(mut endpoint) = Endpoint::read(&lookup)? else { return Ok(None) };
    let of_file = lookup(HEADERS_FILE).filter(|file| !file.is_empty()).map(|file| read(Path::new(&file)));
    if let Some(headers) = of_file.transpose()?.or_else(|| Endpoint::headers(&lookup)) {
        endpoint = endpoint.with_headers(&headers)?;
    }
    let exporter = Exporter::new(endpoint, Origin::new(deployment.clone(), github_api), None);
    Ok(Some(exporter.context("the client of the OTLP endpoint cannot be made")?))
}

fn read(file: &Path) -> anyhow::Result<SecretString> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("{HEADERS_FILE}: {}", file.display()))?;
    Ok(SecretString::from(text.trim().to_owned()))
}

/// Exports until the server ends.
pub(crate) async fn export(app: App, exporter: Exporter) -> anyhow::Result<()> {
    app.engine.follow_traces();
    loop {
        tokio::time::sleep(EVERY).await;
        flush(&app, &exporter).await;
    }
}

/// Exports the jobs that are over since the last time, within two seconds.
pub(crate) async fn flush(app: &App, exporter: &Exporter) {
    let finished = app.engine.take_finished().await;
    let mut taken = Taken { app, left: finished.len(), is_over: false };
    taken.left = exporter.export(&finished, Instant::now() + TOTAL_LIMIT).await.dropped;
    taken.is_over = true;
}

/// Counts the jobs that were not exported, also if the server ends in the meantime.
struct Taken<'a> {
    app: &'a App,
    left: usize,
    is_over: bool,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.left > 0 {
            warn!(dropped = self.left, "traces were dropped: the server ends");
        }
        for _ in 0..self.left {
            self.app.engine.metrics().count(Metric::TracesDropped);
        }
    }
}
