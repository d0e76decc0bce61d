//! The network namespace of a task on one machine: there the services of a class have their declared ports, whatever else
//! the machine runs, and only the task's own job reaches them.
//!
//! `keeper` makes the namespace in a process outside of what confines a job, and stays: it carries connections to the few
//! addresses on the machine's loopback that the task needs (`relay`), and removes what the namespace has on the machine
//! (`link`) once the agent is gone, however it ended. The agent enters the namespace after it has taken its boot item, and
//! before it starts services and listener. So everything that it starts is there.

pub(crate) mod keeper;
mod link;
pub mod loopback;
mod order;
mod relay;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::thread;
use std::time::{Duration, Instant};

use ecsrunner_core::rules::service::offer::Offer;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::addresses::Range;
use crate::config::Supervision;
use crate::firewall::forwarding;
use crate::keepers::Started;
use crate::log::Log;
use crate::processes::{self, Status};
use crate::signals::{Signals, wait};
use keeper::KEEPER_SUBCOMMAND;
use order::{Order, Told};

/// The variable with a directory of the task's, by which its keeper is known. A task has a namespace only with it.
pub const DIR_VARIABLE: &str = "ECSRUNNER_NETWORK_DIR";
/// The variable with the [`Addresses`] of the machine's tasks.
pub const ADDRESSES_VARIABLE: &str = "ECSRUNNER_NETWORK_ADDRESSES";
/// The variable with addresses on the machine's loopback that the task reaches, separated by commas.
pub const LOOPBACK_VARIABLE: &str = "ECSRUNNER_NETWORK_LOOPBACK";

/// Addresses for the tasks of a machine, such as `10.202.0.0/16`. Each task takes four.
pub type Addresses = Range<30>;

/// How long a keeper may take to make a namespace. A rule of the firewall may wait 5 s for others.
const MAKE_LIMIT: Duration = Duration::from_secs(20);
/// How long an agent waits for the end of its keeper.
const END_LIMIT: Duration = Duration::from_secs(3);
/// How long a keeper may take to end once its agent is gone.
const KEEPER_LIMIT: Duration = Duration::from_secs(20);
/// How often a keeper that ends is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A keeper without a namespace. It is started before the task is confined, and waits.
#[derive(Debug)]
pub struct Keeper {
    pid: Pid,
    input: ChildStdin,
    output: ChildStdout,
}

/// What a keeper has made.
struct Made {
    /// The namespace's own address.
    address: String,
    /// The keeper's file of the namespace.
    file: File,
    switched_on: bool,
    /// Its end asks the keeper to end.
    input: ChildStdin,
}

impl Keeper {
    /// Starts it from an executable that handles the agent's subcommands. The name of the directory above `dir` says whose
    /// namespace it keeps.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn start(executable: &Path, dir: &Path) -> io::Result<Self> {
        let Started { pid, input, output } = Started::run(executable, KEEPER_SUBCOMMAND, dir)?;
        Ok(Self { pid, input, output })
    }

    /// Asks it for a namespace, and waits until it is ready.
    fn make(self, order: &Order) -> io::Result<Made> {
        let Self { pid, mut input, output } = self;
        writeln!(input, "{}", serde_json::to_string(order)?)?;
        let limit = MAKE_LIMIT.as_secs();
        if !wait(&[output.as_fd()], Instant::now() + MAKE_LIMIT) {
            return Err(io::Error::other(format!("its keeper did not answer within {limit} s")));
        }
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(Told::Ready { address, descriptor, switched_on }) => {
                let file = File::open(format!("/proc/{pid}/fd/{descriptor}"))?;
                Ok(Made { address, file, switched_on, input })
            }
            Ok(Told::Failed { reason }) => Err(io::Error::other(reason)),
            Err(_) => Err(io::Error::other("its keeper ended without an answer")),
        }
    }
}

/// The namespace of a task, if it has one.
#[derive(Default)]
pub(crate) struct Network {
    /// Makes it.
    keeper: Option<Keeper>,
    entered: Option<Entered>,
}

/// The namespace that this process has entered.
struct Entered {
    pid: Pid,
    /// Its end asks the keeper to end.
    input: Option<ChildStdin>,
}

impl Network {
    /// A namespace that this keeper makes, if there are services for it.
    pub(crate) fn of(keeper: Option<Keeper>, offer: Option<&Offer>) -> Self {
        let has_services = offer.is_some_and(|offer| !offer.services.is_empty());
        Self { keeper: keeper.filter(|_| has_services), entered: None }
    }

    /// Has the namespace made, and enters it with this process, which has no other threads. If it cannot be had, the log
    /// says so, and services listen on ports of their own. `env_file` holds the variables of the runner's `.env`.
    pub(crate) fn enter(
        &mut self,
        config: &Supervision,
        env_file: &[(String, Vec<u8>)],
        log: &mut Log<impl Write>,
    ) {
        let (Some(network), Some(keeper)) = (&config.network, self.keeper.take()) else { return };
        let (began, pid) = (Instant::now(), keeper.pid);
        let loopback = needed(&network.loopback, &config.listener.environment, env_file);
        let told = loopback.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" ");
        let entered = keeper.make(&Order { addresses: network.addresses, loopback }).and_then(|made| {
            setns(&made.file, CloneFlags::CLONE_NEWNET)?;
            Ok(made)
        });
        match entered {
            Ok(Made { address, input, switched_on, .. }) => {
                if switched_on {
                    forwarding::tell(log);
                }
                let elapsed_ms = began.elapsed().as_millis();
                log.info(
                    "network namespace entered",
                    &[("address", &address), ("loopback", &told), ("elapsed_ms", &elapsed_ms)],
                );
                self.entered = Some(Entered { pid, input: Some(input) });
            }
            Err(error) => log.warn("no network namespace", &[("reason", &error.to_string())]),
        }
    }

    /// The keeper's process, once there is a namespace and as long as it runs: another process may have its id later.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.entered.as_ref().filter(|entered| entered.input.is_some()).map(|entered| entered.pid)
    }

    /// Notes that a process has ended, if it was the keeper. Without it, the machine's loopback is out of reach.
    pub(crate) fn ended(&mut self, pid: Pid, status: Status, log: &mut Log<impl Write>) {
        let of_keeper = self.entered.as_mut().filter(|entered| entered.pid == pid);
        if of_keeper.is_some_and(|entered| entered.input.take().is_some()) {
            log.warn("keeper of the network namespace ended", &[("reason", &status.to_string())]);
        }
    }

    /// Has the keeper remove what the namespace has on the machine. A keeper that needs longer than this waits ends alone.
    pub(crate) fn end(self, signals: &Signals, log: &mut Log<impl Write>) {
        let Some(Entered { pid, mut input }) = self.entered else { return };
        let began = Instant::now();
        let mut is_running = input.take().is_some();
        while is_running && began.elapsed() < END_LIMIT {
            signals.wait_for_child(LOOK);
            let is_reaped = processes::reap().iter().any(|(reaped, _)| *reaped == pid);
            is_running = !is_reaped && kill(pid, None).is_ok();
        }
        if is_running {
            log.info("network namespace is left to its keeper", &[("pid", &pid.as_raw())]);
        }
    }
}

/// What a task reaches on the machine's loopback: what the server says, and what variables name.
fn needed(
    told: &[SocketAddr],
    environment: &[(String, OsString)],
    env_file: &[(String, Vec<u8>)],
) -> Vec<SocketAddr> {
    let mut needed = told.to_vec();
    let given = environment.iter().map(|(name, value)| (name, value.to_string_lossy()));
    let of_file = env_file.iter().map(|(name, value)| (name, String::from_utf8_lossy(value)));
    for (name, value) in given.chain(of_file) {
        needed.extend(loopback::of_variable(name, &value));
    }
    needed.sort();
    needed.dedup();
    needed
}

/// Makes a namespace as for a task, and removes it. `dir` is in place of a task's directory, so its name must be unlike
/// every other's. Returns whether the machine had not forwarded packets of IPv4 before.
///
/// # Errors
///
/// No task can have a namespace here. The error says why.
pub fn try_out(
    executable: &Path,
    dir: &Path,
    addresses: Addresses,
    loopback: &[SocketAddr],
) -> io::Result<bool> {
    let keeper = Keeper::start(executable, dir)?;
    let pid = keeper.pid;
    let made = keeper.make(&Order { addresses, loopback: loopback.to_vec() });
    let switched_on = made.map(|made| made.switched_on);
    let deadline = Instant::now() + KEEPER_LIMIT;
    while keeper_of(dir)?.is_some() && Instant::now() < deadline {
        thread::sleep(LOOK);
    }
    // One that hangs, or has ended.
    let _gone = kill(pid, Signal::SIGKILL);
    match waitpid(pid, None) {
        Ok(_) | Err(Errno::ECHILD) => switched_on,
        Err(errno) => Err(errno.into()),
    }
}

/// Waits until the keeper of a task's namespace has ended, and removes what the namespace still has on the machine. Its
/// agent must have ended. `dir` is what the keeper was started with.
///
/// # Errors
///
/// Something is left. Another call goes on.
pub fn clean_up(dir: &Path, deadline: Instant) -> io::Result<()> {
    if !processes::end_by(deadline, KEEPER_LIMIT, || keeper_of(dir))? {
        return Err(io::Error::other(format!("the keeper of {} has not ended", dir.display())));
    }
    link::remove(dir)
}

/// Finds the keeper of a task's namespace by its arguments.
fn keeper_of(dir: &Path) -> io::Result<Option<Pid>> {
    let name = link::owner(dir);
    processes::started_as(&[KEEPER_SUBCOMMAND], |of| link::owner(of) == name)
}
