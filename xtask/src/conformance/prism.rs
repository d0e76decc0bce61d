//! prism, the proxy that validates requests and replies.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::free_address;
use super::tools::Tools;

const START_LIMIT: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_millis(100);

/// A running prism; ends when dropped.
pub(super) struct Prism {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Prism {
    /// Starts prism in front of `upstream`, which may start later.
    pub(super) fn start(tools: &Tools, description: &Path, upstream: SocketAddr) -> anyhow::Result<Self> {
        let address = free_address()?;
        let log = tools.dir().join("prism.log");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let process = tools
            .node("prism.mjs")
            .args(["proxy", "--errors", "-h", "127.0.0.1", "-p"])
            .arg(address.port().to_string())
            .arg(description)
            .arg(format!("http://{upstream}"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start prism")?;
        let mut prism = Self { process, address, log };
        prism.wait_until_ready()?;
        Ok(prism)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The path of its log.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("prism ended with {status}; see {}", self.log.display());
            }
            let log = self.log.display();
            ensure!(started.elapsed() < START_LIMIT, "prism is not ready after {START_LIMIT:?}; see {log}");
            thread::sleep(PACE);
        }
        Ok(())
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        // If it has already ended, nothing is left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
