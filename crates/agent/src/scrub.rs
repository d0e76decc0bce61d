//! Executes the agent again, so that nothing from AWS is left in its process.
//!
//! A process keeps the environment and the memory that it began with, and root
//! in the container can read both. So the agent executes itself again with an
//! empty environment once it has taken the boot item. Its state is passed on in
//! an anonymous file, which replaces standard input and is gone once it has been
//! read. The process keeps its id, its children and its pending signals.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};

use ecsrunner_aws::boot::Taken;
use ecsrunner_core::id::RunnerName;
use ecsrunner_core::rules::policy::Policy;
use ecsrunner_core::rules::service::offer::Offer;
use ecsrunner_core::wire::boot::{About, Again, BootItem, Fail};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::{dup2_stdin, execve};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::Supervision;
use crate::gauge;
use crate::life::Life;

/// The subcommand that continues the agent after it has executed itself again.
pub(crate) const SUPERVISE_SUBCOMMAND: &str = "agent-supervise";

/// The state that is passed on.
#[derive(Serialize, Deserialize)]
struct Passed {
    runner: String,
    policy: Policy,
    fail: Option<Fail>,
    services: Option<Offer>,
    about: Option<About>,
    reruns: Vec<Again>,
    jit: String,
    supervision: Supervision,
    life: Life,
}

/// The agent could not be executed again, or did not get its state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrubError {
    #[error("`{executable}` cannot be executed again")]
    Exec { executable: String, source: io::Error },
    #[error("the agent's state cannot be passed on through memory")]
    Pack(#[source] io::Error),
    /// Does not show the content, which has a secret.
    #[error("standard input does not hold the agent's state")]
    Unpack,
}

/// Executes the agent again. Returns only on failure.
pub(crate) fn reexecute(
    taken: &Taken,
    supervision: &Supervision,
    life: &Life,
) -> Result<Infallible, ScrubError> {
    let mut supervision = supervision.clone();
    // The path of the metadata stays behind where neither a service nor a measurement needs it.
    let has_services = taken.item.services.as_ref().is_some_and(|offer| !offer.services.is_empty());
    if !has_services && gauge::has_cgroup() {
        supervision.metadata = None;
    }
    let executable = supervision.executable.clone();
    let passed = Passed {
        runner: taken.item.runner.to_string(),
        policy: taken.item.policy.clone(),
        fail: taken.item.fail.clone(),
        services: taken.item.services.clone(),
        about: taken.item.about.clone(),
        reruns: taken.item.reruns.clone(),
        jit: taken.jit.expose_secret().to_owned(),
        supervision,
        life: life.clone(),
    };
    // Only descriptor 0 survives `execve`: this one is close-on-exec.
    let file = pack(&passed).map_err(ScrubError::Pack)?;
    dup2_stdin(&file).map_err(|errno| ScrubError::Pack(errno.into()))?;
    let failed = |source: io::Error| ScrubError::Exec { executable: executable.clone(), source };
    let words = [executable.as_str(), SUPERVISE_SUBCOMMAND].map(CString::new);
    let words: Vec<CString> =
        words.into_iter().collect::<Result<_, _>>().map_err(|error| failed(io::Error::other(error)))?;
    let none: [CString; 0] = [];
    execve(&words[0], &words, &none).map_err(|errno| failed(errno.into()))
}

fn pack(passed: &Passed) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"ecsrunner", MFdFlags::MFD_CLOEXEC)?);
    serde_json::to_writer(&mut file, passed)?;
    file.flush()?;
    file.rewind()?;
    Ok(file)
}

/// Reads the state from standard input, which is empty from then on.
pub(crate) fn unpack() -> Result<(Taken, Supervision, Life), ScrubError> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    let emptied = File::open("/dev/null").and_then(|null| Ok(dup2_stdin(null)?));
    read.and(emptied.map(|()| 0)).map_err(ScrubError::Pack)?;
    let passed: Passed = serde_json::from_slice(&bytes).map_err(|_| ScrubError::Unpack)?;
    let runner = RunnerName::parse(&passed.runner).map_err(|_| ScrubError::Unpack)?;
    let item = BootItem {
        runner,
        policy: passed.policy,
        fail: passed.fail,
        services: passed.services,
        about: passed.about,
        reruns: passed.reruns,
    };
    Ok((Taken { item, jit: SecretString::from(passed.jit) }, passed.supervision, passed.life))
}
