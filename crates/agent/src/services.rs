//! Services of the runner's class: on one machine the agent starts them as
//! processes. On ECS they are containers, which ECS starts.

pub(crate) mod offered;
pub(crate) mod output;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use ecsrunner_core::id::{RunnerName, ServiceName};
use ecsrunner_core::rules::service::Service;
use ecsrunner_core::rules::service::offer::Offer;
use ecsrunner_core::text::chain;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::agent_dir::{AgentDir, AgentDirError};
use crate::config::Supervision;
use crate::listener::{Account, NOT_STARTED};
use crate::log::Log;
use crate::processes::Status;
use offered::{At, Offered, Process};
use output::{Output, Tails};

/// The subcommand that becomes a service as another user. Its arguments are the
/// user's id, the program and the program's arguments.
pub(crate) const SERVICE_SUBCOMMAND: &str = "agent-service";

/// The lowest port that a process without privileges may listen on.
const UNPRIVILEGED_PORTS: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// How many free ports are tried.
const PORT_TRIES: u32 = 20;

/// How often the container hook is answered. It asks twice at most, and a job can ask more often.
const MAX_ANSWERS: u32 = 16;

/// The services of one listener.
#[derive(Default)]
pub(crate) struct Services {
    offered: Option<Offered>,
    running: BTreeMap<Pid, ServiceName>,
    outputs: BTreeMap<ServiceName, Output>,
    answers: u32,
    /// Keeps other agents of this machine from the ports.
    ports: Vec<ReservedPort>,
}

impl Services {
    /// Starts the processes, if the class has any here. A service that cannot be
    /// started fails only a job that asks for it.
    pub(crate) fn start(
        config: &Supervision,
        offer: Option<&Offer>,
        account: Option<&Account>,
        runner: Option<&RunnerName>,
        log: &mut Log<impl Write>,
    ) -> Self {
        let mut services = Self::default();
        let Some(offer) = offer else { return services };
        let at = match (&config.service_dir, &config.metadata) {
            (Some(_), _) | (None, None) => {
                At::Processes { processes: BTreeMap::new(), ended: BTreeMap::new() }
            }
            (None, Some(metadata)) => At::Containers { metadata: metadata.clone(), runner: runner.cloned() },
        };
        let mut offered = Offered { offer: offer.clone(), at };
        if let (At::Processes { processes, ended }, Some(service_dir)) =
            (&mut offered.at, &config.service_dir)
        {
            for (name, service) in &offered.offer.services {
                match start_one(config, account, service_dir, name, service) {
                    Ok(Started { process, pid, port, output }) => {
                        services.ports.push(port);
                        services.outputs.insert(name.clone(), output);
                        let (port, pid_number) = (process.port, pid.as_raw());
                        log.info(
                            "service started",
                            &[("service", name), ("pid", &pid_number), ("port", &port)],
                        );
                        processes.insert(name.clone(), process);
                        services.running.insert(pid, name.clone());
                    }
                    Err(error) => {
                        let why = format!("it cannot be started: {error}");
                        log.warn("service not started", &[("service", name), ("reason", &why)]);
                        ended.insert(name.clone(), why);
                    }
                }
            }
        }
        services.offered = Some(offered);
        services
    }

    /// Whether the container hook serves this class's jobs, also where there is Docker.
    pub(crate) fn are_declared(&self) -> bool {
        self.offered.as_ref().is_some_and(|offered| !offered.offer.services.is_empty())
    }

    /// Notes that a process has ended, if it was a service.
    pub(crate) fn ended(&mut self, pid: Pid, status: Status, dir: &AgentDir, log: &mut Log<impl Write>) {
        let Some(name) = self.running.remove(&pid) else { return };
        if let Some(output) = self.outputs.get_mut(&name) {
            // The hook asks for it as soon as it knows the end.
            output.drain();
        }
        let reason = match status {
            Status::Code(code) if code == i32::from(NOT_STARTED) => "it cannot be started".to_owned(),
            status => format!("it has ended with {status}"),
        };
        log.warn("service ended", &[("service", &name), ("reason", &reason)]);
        if let Some(Offered { at: At::Processes { ended, .. }, .. }) = &mut self.offered {
            ended.insert(name, reason);
        }
        if let Err(error) = self.write(dir) {
            // A job that waits for it hears that it is not ready in time.
            log.warn("services not written", &[("reason", &chain(&error))]);
        }
    }

    /// The pipes that have not ended, for `poll`.
    pub(crate) fn pipes(&self) -> impl Iterator<Item = &File> {
        self.outputs.values().filter_map(Output::pipe)
    }

    /// Reads what services have written, a piece of each.
    pub(crate) fn read(&mut self) {
        for output in self.outputs.values_mut() {
            output.read();
        }
    }

    /// Completes the logs once all processes are gone.
    pub(crate) fn finish(&mut self) {
        for output in self.outputs.values_mut() {
            output.finish();
        }
    }

    /// Answers the container hook with the last lines of each service.
    pub(crate) fn answer(&mut self, ask: String, dir: &AgentDir, log: &mut Log<impl Write>) {
        if self.outputs.is_empty() || self.answers == MAX_ANSWERS {
            return;
        }
        self.answers += 1;
        let tails = self.outputs.iter_mut().map(|(name, output)| {
            output.drain();
            (name.clone(), output.tail())
        });
        if let Err(error) = dir.write_outputs(&Tails { ask, of: tails.collect() }) {
            // The hook says in the job's log that it got no answer.
            log.warn("output of services not written", &[("reason", &error.to_string())]);
        }
    }

    /// Kills what runs, with its process group. [`crate::processes::kill_leftovers`]
    /// kills what has left the group, and reaps all.
    pub(crate) fn kill(&mut self) {
        for (pid, _) in std::mem::take(&mut self.running) {
            // It may have ended by now.
            let _ = killpg(pid, Signal::SIGKILL);
        }
        // For the services of a listener that is started again.
        self.ports.clear();
    }

    /// Writes what the container hook needs. Without the file a job would hear that
    /// no class declares services, so no listener may be started if that fails.
    pub(crate) fn write(&self, dir: &AgentDir) -> Result<(), AgentDirError> {
        self.offered.as_ref().map_or(Ok(()), |offered| dir.write_services(offered))
    }
}

/// A service that was started as a process.
struct Started {
    process: Process,
    pid: Pid,
    port: ReservedPort,
    output: Output,
}

fn start_one(
    config: &Supervision,
    account: Option<&Account>,
    service_dir: &Path,
    name: &ServiceName,
    service: &Service,
) -> io::Result<Started> {
    let words = service.process.as_deref().unwrap_or_default();
    let lowest = if account.is_some() { lowest_unprivileged_port() } else { 0 };
    let port = ReservedPort::near(service.port, lowest)?;
    let process = Process { port: port.number, dir: service_dir.join(name.as_str()) };
    let words: Vec<OsString> = words.iter().map(|word| process.filled_in(word).into()).collect();
    let (program, arguments) = words.split_first().ok_or_else(|| io::Error::other("it has no process"))?;
    make_directory(service_dir, 0o711)?;
    // Of a listener that was started before.
    match fs::remove_dir_all(&process.dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => make_directory(&process.dir, 0o700)?,
    }
    let log = log_path(service_dir, name);
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
    let (output, writer) = Output::new(log)?;
    let mut command = match account {
        None => Command::new(program),
        Some(account) => {
            std::os::unix::fs::chown(&process.dir, Some(account.uid.as_raw()), Some(account.gid.as_raw()))?;
            let mut command = Command::new(&config.executable);
            command.arg(SERVICE_SUBCOMMAND).arg(account.uid.to_string()).arg(program);
            command
        }
    };
    let inherited = config.listener.environment.iter().filter(|(name, _)| name == "PATH" || name == "LANG");
    command
        .args(arguments)
        .current_dir(&process.dir)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .env_clear()
        .envs(inherited.map(|(name, value)| (name, value)))
        .env("HOME", &process.dir)
        .envs(&service.env.0);
    // The child's handle is dropped: the agent itself reaps all children.
    let pid = i32::try_from(command.spawn()?.id()).map_err(io::Error::other)?;
    Ok(Started { process, pid: Pid::from_raw(pid), port, output })
}

/// `service-<name>.log` beside the directory of the services, so that it can outlast them.
fn log_path(service_dir: &Path, name: &ServiceName) -> PathBuf {
    service_dir.with_file_name(format!("service-{name}.log"))
}

/// A port of this machine on which nothing listens, and which no other agent
/// gives to a service. Another program could still take it before the service
/// does. The service then ends, and the job hears that.
struct ReservedPort {
    number: u16,
    /// An abstract socket, whose name no two processes can have. It goes with the agent.
    _lock: UnixListener,
}

impl ReservedPort {
    /// Any port of this machine is as good as another, and a workflow that fixes the
    /// declared one passes if it is free. A port below `lowest` does not count as
    /// free, because the service has no privilege to listen on it.
    fn near(declared: u16, lowest: u16) -> io::Result<Self> {
        if declared >= lowest
            && let Some(port) = Self::reserve(declared)
        {
            return Ok(port);
        }
        for _ in 0..PORT_TRIES {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if let Some(port) = Self::reserve(free) {
                return Ok(port);
            }
        }
        Err(io::Error::other("this machine has no free port"))
    }

    fn reserve(number: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("ecsrunner-service-port-{number}")).ok()?;
        let lock = UnixListener::bind_addr(&name).ok()?;
        // A service may listen on all addresses.
        let is_free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).is_ok();
        is_free.then_some(Self { number, _lock: lock })
    }
}

fn lowest_unprivileged_port() -> u16 {
    const LINUX_DEFAULT: u16 = 1024;
    let text = fs::read_to_string(UNPRIVILEGED_PORTS).unwrap_or_default();
    text.trim().parse().unwrap_or(LINUX_DEFAULT)
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// Switches to the user and executes the service. Returns only on failure.
pub(crate) fn become_service(uid: &OsStr, program: &OsStr, arguments: &[OsString]) -> ExitCode {
    let error = match Account::assume_by_id(uid) {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error,
    };
    // Its own log.
    let _told = writeln!(io::stderr(), "error: `{}` cannot be started: {error}", program.display());
    ExitCode::from(NOT_STARTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_takes_a_privilege_does_not_count_as_free() {
        let declared = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port();
        let number = |lowest| ReservedPort::near(declared, lowest).unwrap().number;
        assert_eq!(number(declared), declared);
        assert_ne!(number(declared + 1), declared);
    }
}
