//! The agent's second life, which knows nothing of AWS.
//!
//! A process keeps the environment and the memory that it began with, and
//! whoever is root in the container can read both. So, once it has what it came
//! for, the agent executes itself again with an empty environment. What the
//! second life needs travels in an anonymous file, which takes the place of the
//! standard input and is gone when it has been read. The process stays the
//! same, and with it its number, its children and its signals.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};

use ecsrunner_aws::boot::Taken;
use ecsrunner_core::id::RunnerName;
use ecsrunner_core::rules::policy::Policy;
use ecsrunner_core::wire::boot::{BootItem, Fail};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{dup2_stdin, execve};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::Supervision;

/// The first argument that asks an executable to be the agent's second life.
pub(crate) const SUPERVISE_SUBCOMMAND: &str = "agent-supervise";

/// What the second life is told.
#[derive(Serialize, Deserialize)]
struct Luggage {
    runner: String,
    policy: Policy,
    fail: Option<Fail>,
    jit: String,
    supervision: Supervision,
}

/// The second life did not begin, or was told nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrubError {
    #[error("`{executable}` cannot be executed again")]
    Exec { executable: String, source: io::Error },
    #[error("what was to be handed on could not be put into memory")]
    Pack(#[source] io::Error),
    /// Without what it held: that is a secret.
    #[error("standard input does not hold what the agent hands on to itself")]
    Unpack,
}

/// Begins the second life; returns only where that fails.
pub(crate) fn reexecute(taken: &Taken, supervision: &Supervision) -> Result<Infallible, ScrubError> {
    let luggage = Luggage {
        runner: taken.item.runner.to_string(),
        policy: taken.item.policy.clone(),
        fail: taken.item.fail.clone(),
        jit: taken.jit.expose_secret().to_owned(),
        supervision: supervision.clone(),
    };
    // Read by the next life through descriptor 0, and by nobody else: this one closes itself.
    let file = pack(&luggage).map_err(ScrubError::Pack)?;
    dup2_stdin(&file).map_err(|errno| ScrubError::Pack(errno.into()))?;
    let executable = &supervision.executable;
    let failed = |source: io::Error| ScrubError::Exec { executable: executable.clone(), source };
    let words = [executable.as_str(), SUPERVISE_SUBCOMMAND].map(CString::new);
    let words: Vec<CString> =
        words.into_iter().collect::<Result<_, _>>().map_err(|error| failed(io::Error::other(error)))?;
    let none: [CString; 0] = [];
    execve(&words[0], &words, &none).map_err(|errno| failed(errno.into()))
}

fn pack(luggage: &Luggage) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"ecsrunner", MFdFlags::MFD_CLOEXEC)?);
    serde_json::to_writer(&mut file, luggage)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

/// Takes what the first life has handed on; standard input holds nothing from then on.
pub(crate) fn unpack() -> Result<(Taken, Supervision), ScrubError> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    let emptied = File::open("/dev/null").and_then(|null| Ok(dup2_stdin(null)?));
    read.and(emptied.map(|()| 0)).map_err(ScrubError::Pack)?;
    let luggage: Luggage = serde_json::from_slice(&bytes).map_err(|_| ScrubError::Unpack)?;
    let runner = RunnerName::parse(&luggage.runner).map_err(|_| ScrubError::Unpack)?;
    let item = BootItem { runner, policy: luggage.policy, fail: luggage.fail };
    Ok((Taken { item, jit: SecretString::from(luggage.jit) }, luggage.supervision))
}
