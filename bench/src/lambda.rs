//! Compares our Lambda control plane with the peer's: both run as processes with
//! the same Runtime API, the same fakes of AWS and GitHub, and the same CPU share.

pub(crate) mod calls;
mod share;
mod process;
mod runtime_api;
mod function;
pub(crate) mod fakes;
mod job;
pub(crate) mod ours;
mod crowd;
mod peer;
mod measure;
mod prices;
mod report;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use tokio_rustls::TlsAcceptor;

use fakes::Fakes;
use measure::{Counts, Events, Row, Stand};
use peer::{Handler, Peer};
use share::{Cgroups, Share};

use crate::certificates;
use crate::testbed::say;

const MB: f64 = 1024.0 * 1024.0;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Our Lambda's executable
    #[arg(long, default_value = "target/lambda/bootstrap")]
    bootstrap: PathBuf,
    /// Cold starts of each function, under each share
    #[arg(long, default_value_t = 10)]
    cold: usize,
    /// Jobs through each warm function, under each share
    #[arg(long, default_value_t = 30)]
    warm: usize,
    /// Delay before each answer of a fake, in milliseconds
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// The peer's lock file and bootstrap
    #[arg(long, default_value = "bench/lambda/peer")]
    peer: PathBuf,
    /// Directory of the peer's installation and of logs
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(arguments.cold > 0 && arguments.warm > 0, "each function has to be run at least once");
    let bootstrap = std::path::absolute(&arguments.bootstrap)?;
    ensure!(bootstrap.is_file(), "{} is not there: build it first", bootstrap.display());
    let peer = Peer::install(&arguments.peer, &arguments.dir.join("peer"))?;
    let logs = std::path::absolute(arguments.dir.join("lambda"))?;
    std::fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
    let cgroups = Cgroups::find();
    tell_sizes(&bootstrap, &peer)?;
    match &cgroups {
        Ok(cgroups) => say(&format!("CPU shares: memory ÷ 1769 MB of a core, by {cgroups}")),
        Err(why) => {
            say(&format!("CPU shares: skipped, since processes cannot be limited on this machine: {why:#}"))
        }
    }
    let cgroups = cgroups.ok();

    let authority = logs.join("authority.pem");
    let tls = certificates::acceptor(&authority)?;
    let app_key = certificates::app_key()?;
    let comparison = Comparison {
        arguments,
        bootstrap: &bootstrap,
        peer: &peer,
        authority: &authority,
        app_key: &app_key,
        logs: &logs,
    };
    let stands = [
        comparison.stand(Some(&tls), cgroups.clone()).await?,
        comparison.stand(None, cgroups.clone()).await?,
    ];
    let mut rows = Vec::new();
    for share in Share::ALL.into_iter().filter(|share| cgroups.is_some() || !share.needs_cgroups()) {
        for stand in &stands {
            rows.push(stand.row(share).await.with_context(|| format!("{share} via {}", stand.fakes.scheme))?);
        }
    }
    let crowded = stands[1].crowded().await.context("with many jobs open")?;
    report(&rows, &crowded)
}

fn report(rows: &[Row], crowded: &[(&'static str, Events)]) -> anyhow::Result<()> {
    report::cold_starts(rows)?;
    report::warm(rows)?;
    // Both sides' default is 128 MB, and AWS speaks TLS.
    let typical = rows.iter().find(|row| row.share == Share::Memory(128)).or(rows.first());
    if let Some(row) = typical {
        report::events(row);
        report::calls(row);

        report::costs(row);
    }
    if let Some(row) = rows.iter().find(|row| row.share == Share::Full && row.scheme == "http") {
        report::crowd(&row.ours.warm, crowded);
    }
    report::targets(rows)
}

/// What the test stands share.
struct Comparison<'a> {
    arguments: &'a Arguments,
    bootstrap: &'a Path,
    peer: &'a Peer,
    authority: &'a Path,
    app_key: &'a str,
    logs: &'a Path,
}

impl Comparison<'_> {
    async fn stand(&self, tls: Option<&TlsAcceptor>, cgroups: Option<Cgroups>) -> anyhow::Result<Stand> {
        let fakes = Fakes::start(tls, Duration::from_millis(self.arguments.latency_ms)).await?;
        ours::furnish(&fakes, self.app_key)?;
        peer::furnish(&fakes, self.app_key)?;
        let mut programs = Vec::new();
        for handler in Handler::ALL {
            programs.push((handler, self.peer.program(handler, &fakes, self.authority)?));
        }
        Ok(Stand {
            ours: ours::program(self.bootstrap, &fakes, self.authority)?,
            peer: programs,
            fakes,
            cgroups,
            logs: self.logs.to_owned(),
            counts: Counts { cold: self.arguments.cold, warm: self.arguments.warm },
        })
    }
}

fn tell_sizes(bootstrap: &Path, peer: &Peer) -> anyhow::Result<()> {
    let (size, packed) = sizes(bootstrap)?;
    say(&format!("ours: {}, {size:.1} MB, {packed:.1} MB deflated", bootstrap.display()));
    report::tell("the zip", packed, "MB", packed <= 4.0, "≤ 4");
    for handler in [Handler::Webhook, Handler::Token] {
        let (size, packed) = sizes(&peer.bundle(handler))?;
        let name = handler.name();
        say(&format!(
            "{name}: {size:.1} MB, {packed:.1} MB deflated, without Node {} and the AWS SDK",
            peer.node_version
        ));
    }
    Ok(())
}

/// Returns a file's size and its deflated size, in MB. A zip archive is a few hundred bytes larger.
fn sizes(file: &Path) -> anyhow::Result<(f64, f64)> {
    let size = std::fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len();
    let gzip =
        Command::new("gzip").args(["-9", "-c"]).arg(file).output().context("gzip cannot be started")?;
    ensure!(gzip.status.success(), "gzip could not pack {}", file.display());
    Ok((size as f64 / MB, gzip.stdout.len() as f64 / MB))
}
