//! On a system that is not Linux: the demo and the server need Linux.

use anyhow::anyhow;

use crate::exit::Failure;

/// Explains that a command needs Linux.
pub(crate) fn needs_linux(command: &str) -> Failure {
    Failure::usage(anyhow!("`ecsrunner {command}` needs Linux, and this is {}", std::env::consts::OS)).hint(
        "the commands for deployments work here, and so does `--local URL` for a server on another machine",
    )
}
