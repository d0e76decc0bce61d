//! The keeper: the process that starts an engine, waits until it answers, and ends it.
//!
//! It is not the agent, so that an engine ends also where the agent is killed: the keeper
//! then reads the end of its input. It runs as root, outside of what confines a job. Who
//! cleans up after an engine finds its keeper by the keeper's arguments.

use std::fs::{self, File};
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::wait::{WaitPidFlag, waitpid};
use serde::{Deserialize, Serialize};

use super::api;
use super::bridges::Bridges;
use super::first::{END_LIMIT, SPACE_SUBCOMMAND};
use super::network::{self, Network};
use super::order::Order;
use crate::cgroups;
use crate::firewall::forwarding;
use crate::mounts::make_new;
use crate::processes;
use crate::signals::wait;

/// The subcommand of the keeper, which reads its [`Order`] from standard input. Its argument is the engine's directory.
pub(crate) const KEEPER_SUBCOMMAND: &str = "agent-docker";

/// How often an engine that starts is asked whether it is ready.
const ASK: Duration = Duration::from_millis(20);
/// How often an engine that ends is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long the removal of containers may take.
const REMOVE_LIMIT: Duration = Duration::from_secs(10);
/// How long the kernel may take to end what was killed.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How much of the engine's log is told.
const WORDS_BYTES: u64 = 2048;

/// What the keeper tells its agent, in one line.
#[derive(Serialize, Deserialize)]
pub(super) enum Told {
    Ready {
        /// Why containers may have no limits, if so.
        unlimited: Option<String>,
    },
    /// Why there is no engine, and the last words of `dockerd`.
    Failed { reason: String, words: String },
}

/// The keeper's line.
#[derive(Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) told: Told,
    /// Whether the machine had not forwarded packets of IPv4 before.
    pub(super) switched_on: bool,
}

/// Runs an engine until the input ends.
pub(crate) fn main(dir: &Path) -> ExitCode {
    let (input, mut output) = (io::stdin(), io::stdout());
    let mut line = String::new();
    // Without an order, as for a task whose boot item never comes, there is nothing to do.
    if !matches!(input.lock().read_line(&mut line), Ok(1..)) {
        return ExitCode::SUCCESS;
    }
    let order: Order = match serde_json::from_str(&line) {
        Ok(order) => order,
        Err(error) => return failed(&mut output, format!("the order cannot be read: {error}")),
    };
    // The engine's first process becomes this one's child once what made its namespace is killed.
    if let Err(errno) = prctl::set_child_subreaper(true) {
        return failed(&mut output, format!("its processes cannot be waited for: {errno}"));
    }
    // An agent that has ended since needs no engine.
    if wait(&[input.as_fd()], Instant::now()) {
        return ExitCode::SUCCESS;
    }
    if let Err(error) = make_new(dir, 0o700) {
        return failed(&mut output, format!("{}: {error}", dir.display()));
    }
    // Before the engine has a namespace of its own, which hides the processes that are to be moved. Without the right
    // to it the engine may still run containers without limits.
    let unlimited = cgroups::delegate().err().map(|error| error.to_string());
    let mut switched_on = false;
    let code = match Engine::start(&order, &input, &mut switched_on) {
        Ok(Some(engine)) => {
            tell(&mut output, &Answer { told: Told::Ready { unlimited }, switched_on });
            engine.keep(&order, &input)
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(reason) => {
            let told = Told::Failed { reason, words: last_words(dir) };
            tell(&mut output, &Answer { told, switched_on });
            ExitCode::FAILURE
        }
    };
    // What is left is removed by the next keeper or the server.
    let _left = remove_cgroup(dir);
    if order.addresses.is_some()
        && let Err(error) = network::remove(dir)
    {
        // The task's log.
        let _told =
            writeln!(io::stderr(), "warning: the network of the Docker engine is not removed: {error}");
    }
    let _gone = fs::remove_file(&order.socket);
    code
}

fn tell(output: &mut impl Write, answer: &Answer) {
    // An agent that is gone has closed the input too.
    let _gone = serde_json::to_string(answer)
        .map_err(io::Error::other)
        .and_then(|line| writeln!(output, "{line}").and_then(|()| output.flush()));
}

fn failed(output: &mut impl Write, reason: String) -> ExitCode {
    tell(output, &Answer { told: Told::Failed { reason, words: String::new() }, switched_on: false });
    ExitCode::FAILURE
}

struct Engine {
    space: Child,
    /// The networks of its job, if its own is taken from addresses of the machine.
    bridges: Option<Bridges>,
}

impl Engine {
    /// Returns nothing if the input ended meanwhile, or why there is no engine. `switched_on` is set if the machine had not
    /// forwarded packets before, also where there is no engine: that stays.
    fn start(order: &Order, input: &io::Stdin, switched_on: &mut bool) -> Result<Option<Self>, String> {
        order.write().map_err(|error| format!("its order cannot be written: {error}"))?;
        let network =
            take_network(order, switched_on).map_err(|error| format!("it has no network: {error}"))?;
        let mut engine =
            Self::spawn(order, network).map_err(|error| format!("it cannot be started: {error}"))?;
        let deadline = Instant::now() + Duration::from_secs(order.limit_secs);
        loop {
            if api::is_ready(&order.socket) {
                return match give(order) {
                    Ok(()) => Ok(Some(engine)),
                    Err(error) => Err(engine.killed(&format!("its socket cannot be given away: {error}"))),
                };
            }
            if let Ok(Some(status)) = engine.space.try_wait() {
                return Err(format!("`{}` ended with {status}", order.dockerd.display()));
            }
            if Instant::now() >= deadline {
                let limit = order.limit_secs;
                let reason = format!("`{}` did not answer within {limit} s", order.dockerd.display());
                return Err(engine.killed(&reason));
            }
            if wait(&[input.as_fd()], Instant::now() + ASK) {
                engine.end(order);
                return Ok(None);
            }
        }
    }

    fn spawn(order: &Order, network: Option<Network>) -> io::Result<Self> {
        let log = File::create(Order::log(&order.dir))?;
        let space = Command::new(&order.executable)
            .arg(SPACE_SUBCOMMAND)
            .arg(&order.dir)
            .current_dir(&order.dir)
            .process_group(0)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { space, bridges: network.map(|network| Bridges::of(order, network)) })
    }

    /// Waits for the end of the input, and ends the engine then.
    fn keep(mut self, order: &Order, input: &io::Stdin) -> ExitCode {
        while !wait(&[input.as_fd()], Instant::now() + Duration::from_millis(250)) {
            if let Ok(Some(_)) = self.space.try_wait() {
                return ExitCode::FAILURE;
            }
            if let Some(bridges) = &mut self.bridges {
                bridges.see(&order.socket);
            }
        }
        self.end(order);
        ExitCode::SUCCESS
    }

    /// Ends containers first, then `dockerd`, then everything.
    fn end(&mut self, order: &Order) {
        // What is left ends with the engine.
        let _left = api::remove_all(&order.socket, Instant::now() + REMOVE_LIMIT);
        drop(self.space.stdin.take());
        let deadline = Instant::now() + END_LIMIT;
        while Instant::now() < deadline {
            if !matches!(self.space.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(LOOK);
        }
        self.killed("");
    }

    /// Kills the engine, and returns the reason.
    fn killed(&mut self, reason: &str) -> String {
        // It may have ended by itself.
        let _gone = self.space.kill();
        let _gone = self.space.wait();
        // The first process is gone only after all others of its namespace.
        let deadline = Instant::now() + KILL_LIMIT;
        while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok() && Instant::now() < deadline {
            // It may not yet have asked to end with what has just been killed.
            processes::kill_descendants(None);
            thread::sleep(LOOK);
        }
        reason.to_owned()
    }
}

fn take_network(order: &Order, switched_on: &mut bool) -> io::Result<Option<Network>> {
    let Some(addresses) = order.addresses else { return Ok(None) };
    *switched_on = forwarding::forward()?;
    Network::take(addresses, &order.dir, order.runner()).map(Some)
}

/// Lets the runner's user alone use the socket.
fn give(order: &Order) -> io::Result<()> {
    use std::os::unix::fs::{PermissionsExt, chown};
    if let Some((uid, gid)) = order.owner {
        chown(&order.socket, Some(uid), Some(gid))?;
    }
    fs::set_permissions(&order.socket, fs::Permissions::from_mode(0o600))
}

/// Removes the cgroup of a directory's engine, once its processes have ended. Reads nothing that a job could have changed.
pub(super) fn remove_cgroup(dir: &Path) -> io::Result<()> {
    let (cgroup, deadline) = (Order::containers(dir), Instant::now() + KILL_LIMIT);
    // Processes that were killed leave it only when the kernel has ended them.
    while !cgroups::remove(&cgroup) {
        if Instant::now() >= deadline {
            return Err(io::Error::other(format!("the cgroup {cgroup} still has processes")));
        }
        thread::sleep(LOOK);
    }
    // Where the task itself is in the cgroup above, its agent still is, and the server removes it.
    cgroups::remove(&Order::cgroup(dir));
    Ok(())
}

/// The end of the engine's log, on one line.
fn last_words(dir: &Path) -> String {
    let read = || {
        let mut log = File::open(Order::log(dir))?;
        let len = log.metadata()?.len();
        log.seek(SeekFrom::Start(len.saturating_sub(WORDS_BYTES)))?;
        let mut words = Vec::new();
        log.take(WORDS_BYTES).read_to_end(&mut words)?;
        io::Result::Ok(words)
    };
    let words = read().unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_end_of_the_log_without_control_characters() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_words(dir.path()), "");
        fs::write(Order::log(dir.path()), format!("{}\n\x1b[31mfailed\r\nto start\n", "x".repeat(5000)))
            .unwrap();
        let words = last_words(dir.path());
        assert!(words.ends_with("x  [31mfailed  to start"), "{words}");
        assert!(words.len() <= 2048);
    }
}
