//! A stand-in for API Gateway: an HTTP server with the shipped template.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::Context;

use super::ministack::Ministack;
use super::process::Process;
use crate::pypi::Packages;

/// The driver creates this bus, of the deployment `chain`.
const BUS: &str = "ecsrunner-chain";
const SAYS: &str = "listening on ";

/// The running server; ends when dropped.
pub(super) struct Gateway {
    _process: Process,
    url: String,
}

impl Gateway {
    /// `template` has the packages of `xtask/template`.
    pub(super) fn start(template: &Packages, ministack: &Ministack, logs: &Path) -> anyhow::Result<Self> {
        let log = logs.join("gateway.log");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = template.run(&["server.py", "--bus", BUS, "--endpoint", &ministack.url()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(output);
        let mut process = Process::start("the template's server", &mut command)?;
        let mut line = String::new();
        if let Some(stdout) = process.child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let url = line.trim().strip_prefix(SAYS).with_context(|| {
            format!("the template's server did not print its address; see {}", log.display())
        })?;
        Ok(Self { url: url.to_owned(), _process: process })
    }

    pub(super) fn webhook_url(&self) -> String {
        format!("{}/webhook", self.url)
    }
}
