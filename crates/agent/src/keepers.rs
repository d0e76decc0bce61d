//! The processes that a task on one machine starts before it is confined.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use nix::unistd::Pid;

use crate::{engine, network};

/// They end when the agent does.
#[derive(Debug, Default)]
pub struct Keepers {
    /// That of the task's Docker engine.
    pub engine: Option<engine::Keeper>,
    /// That of the task's network namespace.
    pub network: Option<network::Keeper>,
}

/// The process of a keeper, and the pipes to it.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: Pid,
    pub(crate) input: ChildStdin,
    pub(crate) output: ChildStdout,
}

impl Started {
    /// Runs a subcommand of an executable as a keeper for this directory, with an empty environment and in a process group
    /// of its own.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(crate) fn run(executable: &Path, subcommand: &str, dir: &Path) -> io::Result<Self> {
        // The child's handle is dropped: the agent itself reaps all children.
        let mut child = Command::new(executable)
            .arg(subcommand)
            .arg(dir)
            .process_group(0)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let missing = || io::Error::other("no pipe to the keeper");
        Ok(Self {
            pid: Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?),
            input: child.stdin.take().ok_or_else(missing)?,
            output: child.stdout.take().ok_or_else(missing)?,
        })
    }
}
