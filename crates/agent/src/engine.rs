//! The Docker engine of a task: in a Docker class the agent has the image's `dockerd`
//! started before the listener, and ended after it.
//!
//! An engine's processes run in a namespace of their own, so that all of them end at once,
//! whatever they are and however they end. `keeper` starts and ends that namespace, and
//! `first` is the first process in it.

mod api;
mod bridges;
pub(crate) mod first;
pub(crate) mod keeper;
mod network;
mod order;

use std::env::split_paths;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout};
use std::time::{Duration, Instant};

use ecsrunner_core::wire::exit::AgentExit;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::config::{DockerConfig, Supervision};
use crate::ending::Ending;
use crate::firewall::forwarding;
use crate::keepers::Started;
use crate::listener::Account;
use crate::log::Log;
use crate::mounts::DEFAULT_SOCKET;
use crate::processes::{self, Status};
use crate::signals::{Signals, wait};
use first::SPACE_SUBCOMMAND;
use keeper::{Answer, KEEPER_SUBCOMMAND, Told};
pub use network::Addresses;
use order::Order;
pub use order::View;

/// How much longer than the engine the keeper may take.
const MARGIN: Duration = Duration::from_secs(15);
/// How long an agent that has to stop waits for its keeper. What asked it to stop kills it 5 s after its listener.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// How long a keeper may take to end its engine: its own limits, and its margin.
const KEEPER_LIMIT: Duration = Duration::from_secs(40);
/// How often a keeper that ends is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A keeper without an engine. It is started before the task is confined, and waits.
#[derive(Debug)]
pub struct Keeper {
    pid: Pid,
    input: ChildStdin,
    output: ChildStdout,
    view: View,
}

impl Keeper {
    /// Starts it from an executable that handles the agent's subcommands. `dir` is the engine's directory.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn start(executable: &str, dir: &Path, view: View) -> io::Result<Self> {
        if let Some(above) = dir.parent() {
            fs::create_dir_all(above)?;
        }
        let Started { pid, input, output } = Started::run(Path::new(executable), KEEPER_SUBCOMMAND, dir)?;
        Ok(Self { pid, input, output, view })
    }
}

/// A running engine. It ends with [`Self::end`], and by itself once its agent is gone.
pub(crate) struct Engine {
    pid: Pid,
    /// Its end asks the keeper to end the engine.
    input: Option<ChildStdin>,
    /// The socket of the runner's user.
    socket: PathBuf,
    dir: PathBuf,
    /// Whether its network is taken from addresses of the machine.
    has_network: bool,
}

impl Engine {
    /// Starts the engine of the class, if it has one, and waits until it answers.
    pub(crate) fn start(
        config: &Supervision,
        keeper: Option<Keeper>,
        account: Option<&Account>,
        signals: &Signals,
        log: &mut Log<impl Write>,
    ) -> Result<Option<Self>, Ending> {
        let Some(docker) = &config.docker else { return Ok(None) };
        let failed = |reason: &str| {
            Ending::new(AgentExit::DockerFailed, format!("the Docker engine did not come up: {reason}"))
        };
        if !geteuid().is_root() {
            return Err(failed("only root can start one"));
        }
        let dockerd = program(config, "dockerd").ok_or_else(|| failed("no `dockerd` is in PATH"))?;
        let began = Instant::now();
        let order = |view| order(config, docker, account, dockerd, view);
        let asked = Self::ask(config, docker, keeper, order).map_err(|error| failed(&error.to_string()));
        let (engine, output) = asked?;
        let deadline = began + docker.limit + MARGIN;
        let answer = if Self::has_answer(&output, signals, deadline) {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).ok().and_then(|_| serde_json::from_str(&line).ok())
        } else {
            None
        };
        if let Some(Answer { switched_on: true, .. }) = &answer {
            forwarding::tell(log);
        }
        match answer.map(|answer| answer.told) {
            Some(Told::Ready { unlimited }) => {
                if let Some(reason) = unlimited {
                    log.warn("docker engine cannot limit its containers", &[("reason", &reason)]);
                }
                let elapsed_ms = began.elapsed().as_millis();
                log.info("docker engine started", &[("elapsed_ms", &elapsed_ms)]);
                engine.show_default_socket();
                Ok(Some(engine))
            }
            Some(Told::Failed { reason, words }) => {
                log.warn("docker engine failed", &[("reason", &reason), ("last_words", &words)]);
                engine.end(false, signals, log);
                Err(failed(&reason))
            }
            None => {
                let is_stop = signals.take_stops() > 0;
                engine.end(is_stop, signals, log);
                Err(if is_stop { Ending::interrupted() } else { failed("its keeper did not answer") })
            }
        }
    }

    fn ask(
        config: &Supervision,
        docker: &DockerConfig,
        keeper: Option<Keeper>,
        order: impl FnOnce(View) -> Order,
    ) -> io::Result<(Self, ChildStdout)> {
        let keeper = match keeper {
            Some(keeper) => keeper,
            None => Keeper::start(&config.executable, &docker.dir, View::default())?,
        };
        let Keeper { pid, mut input, output, view } = keeper;
        let order = order(view);
        writeln!(input, "{}", serde_json::to_string(&order)?)?;
        let has_network = order.addresses.is_some();
        Ok((Self { pid, input: Some(input), socket: order.socket, dir: order.dir, has_network }, output))
    }

    /// Waits for the keeper's line. A stop signal stays to be taken.
    fn has_answer(output: &ChildStdout, signals: &Signals, deadline: Instant) -> bool {
        loop {
            let [stop, child] = signals.fds();
            wait(&[output.as_fd(), stop, child], deadline);
            let is_there = |fd| wait(&[fd], Instant::now());
            if is_there(output.as_fd()) {
                return true;
            }
            if is_there(stop) || Instant::now() >= deadline {
                return false;
            }
            // An orphan has ended, and is reaped with the others.
            signals.take_child();
        }
    }

    /// The engine's address for clients.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The process below which everything of the engine is.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// In a container of its own, the agent lets the default socket lead to this engine. On a
    /// machine, the task's mounts do.
    fn show_default_socket(&self) {
        if std::process::id() == 1 {
            let path = Path::new("/var/run").join(DEFAULT_SOCKET);
            // An image may have one of its own, which leads nowhere here.
            let _absent = fs::remove_file(&path);
            // Without it, clients find the engine by their environment.
            let _best_effort = symlink(&self.socket, path);
        }
    }

    /// Notes that a process has ended, if it was the keeper. Jobs hear from their own
    /// clients that the engine is gone.
    pub(crate) fn ended(&mut self, pid: Pid, status: Status, log: &mut Log<impl Write>) {
        if pid == self.pid {
            log.warn("docker engine ended", &[("reason", &status.to_string())]);
            self.input = None;
        }
    }

    /// Ends the engine with everything in it, and removes what outlasts its processes. An agent that stops has little
    /// time left to say how it ended: its keeper then ends the engine alone, as after an agent that was killed. In a
    /// container, the kernel ends both.
    pub(crate) fn end(mut self, is_stopping: bool, signals: &Signals, log: &mut Log<impl Write>) {
        let began = Instant::now();
        let mut is_running = self.input.take().is_some();
        let limit = if is_stopping { STOP_LIMIT } else { KEEPER_LIMIT };
        while is_running && began.elapsed() < limit {
            signals.wait_for_child(LOOK);
            let is_reaped = processes::reap().iter().any(|(pid, _)| *pid == self.pid);
            // It may have been reaped with the listener's leftovers.
            is_running = !is_reaped && kill(self.pid, None).is_ok();
        }
        if is_running && is_stopping {
            log.info("docker engine is left to its keeper", &[("pid", &self.pid.as_raw())]);
            return;
        }
        if is_running {
            // The kernel then kills what is below it.
            let _gone = kill(self.pid, Signal::SIGKILL);
        }
        // Once its keeper is gone, what is left of an engine is below this process.
        processes::kill_leftovers(signals, None);
        let _gone = fs::remove_file(&self.socket);
        let network = if self.has_network { network::remove(&self.dir) } else { Ok(()) };
        if let Err(error) = keeper::remove_cgroup(&self.dir).and(network) {
            log.warn("docker engine not removed", &[("reason", &error.to_string())]);
        }
        let elapsed_ms = began.elapsed().as_millis();
        log.info("docker engine removed", &[("elapsed_ms", &elapsed_ms), ("killed", &is_running)]);
    }
}

fn order(
    config: &Supervision,
    docker: &DockerConfig,
    account: Option<&Account>,
    dockerd: PathBuf,
    view: View,
) -> Order {
    Order {
        dir: docker.dir.clone(),
        // Only the runner's user and root can enter this directory.
        socket: config.agent_dir.join(DEFAULT_SOCKET),
        owner: account.map(|account| (account.uid.as_raw(), account.gid.as_raw())),
        executable: config.executable.clone(),
        dockerd,
        arguments: docker.arguments.clone(),
        environment: config.listener.environment.clone(),
        addresses: docker.addresses,
        limit_secs: docker.limit.as_secs(),
        view,
    }
}

/// Finds a program in the `PATH` that the listener has.
fn program(config: &Supervision, name: &str) -> Option<PathBuf> {
    let path = config.listener.environment.iter().find(|(name, _)| name == "PATH")?;
    let found = split_paths(&path.1).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name));
    found.into_iter().find(|program| program.is_file())
}

/// Waits until the engine of a directory has ended, and removes what it has left outside of that directory: as [`end`] and
/// [`remove_network`] do.
///
/// # Errors
///
/// Something is left. Another call goes on.
pub fn clean_up(dir: &Path, deadline: Instant) -> io::Result<()> {
    end(dir, deadline)?;
    remove_network(dir)
}

/// Waits until the engine of a directory has ended, and removes its cgroup. Its agent must have ended. A job is root and can
/// change every file in the directory, so none of them is read.
///
/// # Errors
///
/// Something is left. Another call goes on.
pub fn end(dir: &Path, deadline: Instant) -> io::Result<()> {
    // A keeper whose agent is gone ends its engine by itself.
    if !processes::end_by(deadline, KEEPER_LIMIT, || keeper_of(dir))? {
        return Err(io::Error::other(format!("the Docker engine of {} has not ended", dir.display())));
    }
    keeper::remove_cgroup(dir)
}

/// Removes the bridges and rules of an engine that has ended. The name of the directory above `dir` says whose they are.
///
/// # Errors
///
/// Something is left. Another call goes on.
pub fn remove_network(dir: &Path) -> io::Result<()> {
    network::remove(dir)
}

/// Finds the keeper of an engine, or what it has started last, by its arguments.
fn keeper_of(dir: &Path) -> io::Result<Option<Pid>> {
    let name = Order::cgroup(dir);
    processes::started_as(&[KEEPER_SUBCOMMAND, SPACE_SUBCOMMAND], |of| Order::cgroup(of) == name)
}
