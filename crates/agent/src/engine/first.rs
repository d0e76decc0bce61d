//! The engine's processes: a namespace in which everything of the engine runs, and the
//! first process in it. When that process ends, the kernel kills all others there and
//! removes their mounts.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::network::Network;
use super::order::Order;
use crate::mounts::{self, Held, failed, mount_at};
use crate::signals::wait;

/// The subcommand that makes the namespace and waits for its first process.
pub(crate) const SPACE_SUBCOMMAND: &str = "agent-docker-space";
/// The subcommand of the first process. The argument of both is the engine's directory.
pub(crate) const FIRST_SUBCOMMAND: &str = "agent-docker-first";

/// How long `dockerd` may take to end once it is asked to.
pub(super) const END_LIMIT: Duration = Duration::from_secs(15);

/// Makes the namespace and starts its first process. A process of its own: once the first
/// process has ended, the process that made the namespace can start no other.
pub(crate) fn space(dir: &Path) -> ExitCode {
    told(try_space(dir))
}

fn try_space(dir: &Path) -> io::Result<ExitCode> {
    end_with_parent()?;
    unshare(CloneFlags::CLONE_NEWPID).map_err(|errno| failed("unshare", dir, errno))?;
    let status = Command::new(Order::read(dir)?.executable).arg(FIRST_SUBCOMMAND).arg(dir).status()?;
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Starts `dockerd`, and ends when it has ended. Any input, or its end, asks `dockerd` to end.
pub(crate) fn first(dir: &Path) -> ExitCode {
    told(try_first(dir))
}

fn try_first(dir: &Path) -> io::Result<ExitCode> {
    end_with_parent()?;
    let order = Order::read(dir)?;
    see(&order)?;
    // The child's handle is dropped: every child is reaped below, most of them orphans.
    let id = dockerd(&order)?.spawn()?.id();
    let dockerd = Pid::from_raw(i32::try_from(id).map_err(io::Error::other)?);
    thread::spawn(move || {
        let _any = io::stdin().read(&mut [0]);
        // It may have ended by itself.
        let _gone = kill(dockerd, Signal::SIGTERM);
    });
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == dockerd => {
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == dockerd => {
                return Ok(ExitCode::from(u8::try_from(128 + signal as i32).unwrap_or(1)));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The kernel kills this process once its parent has ended. A parent that had ended before is not noticed; but if the
/// keeper had, the input is at its end, and a keeper that lives kills all that is below it.
fn end_with_parent() -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if wait(&[io::stdin().as_fd()], Instant::now()) {
        return Err(io::Error::other("the keeper has ended"));
    }
    Ok(())
}

fn told(result: io::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        // The engine's log.
        let _told = writeln!(io::stderr(), "error: the engine's processes cannot be started: {error}");
        ExitCode::FAILURE
    })
}

fn dockerd(order: &Order) -> io::Result<Command> {
    let host = |socket: &Path| format!("--host=unix://{}", socket.display());
    let mut command = Command::new(&order.dockerd);
    command
        .arg(format!("--data-root={}", order.data().display()))
        // In the namespace's own `/run`, so that they go with it. Their paths are short, as those of sockets must be.
        .args(["--exec-root=/run/docker", "--pidfile=/run/docker.pid"])
        .arg(host(&order.socket))
        // Job containers mount the default socket, which is looked up where the engine runs.
        .arg(host(&Path::new("/run").join(mounts::DEFAULT_SOCKET)))
        // Another driver asks the machine's systemd, which knows the processes of this namespace by other ids.
        .arg("--exec-opt=native.cgroupdriver=cgroupfs")
        .arg(format!("--cgroup-parent=/{}", Order::containers(&order.dir)));
    // The machine's own `daemon.json` is for the machine's own engine.
    let file = order.dir.join("daemon.json");
    fs::write(&file, "{}")?;
    command.arg(format!("--config-file={}", file.display()));
    if let Some(network) = Network::of(&order.dir) {
        command.args(network.arguments());
    }
    command
        .args(&order.arguments)
        .current_dir(&order.dir)
        .stdin(Stdio::null())
        .env_clear()
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        .env("HOME", &order.dir);
    Ok(command)
}

/// Gives the engine mounts of its own: the task's view of files, the namespace's processes,
/// and a `/run` without other engines.
fn see(order: &Order) -> io::Result<()> {
    let root = Path::new("/");
    unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| failed("unshare", root, errno))?;
    mount_at(None, root, MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    // Opened before other mounts hide them.
    let hold = |path: &PathBuf| Held::open(path);
    let binds = order.view.binds.iter().map(|(source, target)| Ok((hold(source)?, target)));
    let binds: Vec<_> = binds.collect::<io::Result<_>>()?;
    let is_hidden = |path: &&PathBuf| {
        order.view.binds.iter().any(|(_, target)| path.starts_with(target) && *path != target)
    };
    let kept: Vec<Held> =
        order.view.kept.iter().chain([&order.dir]).filter(is_hidden).map(hold).collect::<io::Result<_>>()?;
    for (held, target) in &binds {
        held.show_at(target, MsFlags::empty())?;
    }
    for held in &kept {
        held.show_at(&held.path, MsFlags::empty())?;
    }
    let (proc, flags) = (Path::new("/proc"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC);
    mount(Some("proc"), proc, Some("proc"), flags, None::<&str>)
        .map_err(|errno| failed("mount", proc, errno))?;
    show_own_ports(order)?;
    mounts::private_run(None)
}

/// `dockerd` reads there from which ports it chooses those that a job leaves open, from the first one on, and gives up
/// after a few that another engine has. So each engine sees others.
fn show_own_ports(order: &Order) -> io::Result<()> {
    let (Some(addresses), Some(network)) = (order.addresses, Network::of(&order.dir)) else { return Ok(()) };
    let range = Path::new("/proc/sys/net/ipv4/ip_local_port_range");
    let text = fs::read_to_string(range)?;
    let mut ports = text.split_whitespace().filter_map(|port| port.parse().ok());
    let (Some(first), Some(last)) = (ports.next(), ports.next()) else { return Ok(()) };
    let (first, last) = network.ports(addresses, (first, last));
    let file = order.dir.join("ports");
    fs::write(&file, format!("{first}\t{last}\n"))?;
    mount_at(Some(&file), range, MsFlags::MS_BIND)
}
