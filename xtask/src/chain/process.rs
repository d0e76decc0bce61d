//! A server that starts and ends with the chain.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::tools::is_there;

const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(50);

/// A running server; ends when dropped.
pub(super) struct Process {
    name: &'static str,
    pub(super) child: Child,
}

impl Process {
    pub(super) fn start(name: &'static str, command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child })
    }

    /// Polls until the server is ready.
    pub(super) fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
        let name = self.name;
        let started = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{name} ended with {status}");
            }
            ensure!(started.elapsed() < START_LIMIT, "{name} is not ready after {START_LIMIT:?}");
            thread::sleep(PACE);
        }
        Ok(())
    }
}

impl Drop for Process {
    /// Asks the server to end first, so that it ends its own child processes.
    fn drop(&mut self) {
        let asked = is_there(Command::new("kill").arg(self.child.id().to_string()));
        let begun = Instant::now();
        while asked && begun.elapsed() < END_LIMIT {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(PACE),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        // If it has already ended, nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
