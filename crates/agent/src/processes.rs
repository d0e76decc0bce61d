//! The agent's descendants: orphans are reaped when they end, and all that are
//! left at the end are killed.
//!
//! The agent is PID 1 of its container, or a child subreaper, so each orphan
//! of the job becomes its child.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, Uid, geteuid};

use crate::signals::Signals;

/// How long the agent waits at its end for killed processes.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How much of a process's arguments is read. A path has at most 4096 bytes.
const ARGUMENTS_LIMIT_BYTES: u64 = 16 * 1024;

/// How the listener ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    Code(i32),
    Signal(Signal),
    /// It was killed, but had not ended when the agent gave up.
    Stuck,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Stuck => f.write_str("no end after KILL"),
        }
    }
}

/// Makes this process the parent of orphaned descendants. Also hides its memory
/// and environment from other processes of its user, which is the job's user
/// unless another one is configured.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    prctl::set_dumpable(false)?;
    if Pid::this().as_raw() != 1 {
        prctl::set_child_subreaper(true)?;
    }
    Ok(())
}

/// Reaps every child that has ended, and returns each with its status. Most are
/// orphans.
pub(crate) fn reap() -> Vec<(Pid, Status)> {
    let mut reaped = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => reaped.push((pid, Status::Code(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) => reaped.push((pid, Status::Signal(signal))),
            Ok(WaitStatus::StillAlive) | Err(_) => return reaped,
            Ok(_) => {}
        }
    }
}

/// Kills all descendants once, parents first: a worker that is still alive after
/// its step has ended would begin the next step. `spared` and what is below it is not killed.
pub(crate) fn kill_descendants(spared: Option<Pid>) {
    for process in descendants(spared).iter().filter(|process| !process.zombie) {
        // `kill_leftovers` counts those that cannot be killed.
        let _ = kill(process.pid, Signal::SIGKILL);
    }
}

/// The processes that the listener left behind.
pub(crate) struct Leftovers {
    /// How many were killed.
    pub(crate) killed: usize,
    /// How many are still there: of another user, or stuck in the kernel.
    pub(crate) remaining: usize,
}

/// Kills all descendants, repeatedly until none is left or the limit has passed. `spared` and
/// what is below it is not killed.
pub(crate) fn kill_leftovers(signals: &Signals, spared: Option<Pid>) -> Leftovers {
    let deadline = Instant::now() + KILL_LIMIT;
    let mut killed = BTreeSet::new();
    loop {
        reap();
        let remaining = descendants(spared);
        if remaining.is_empty() || Instant::now() >= deadline {
            return Leftovers { killed: killed.len(), remaining: remaining.len() };
        }
        for process in remaining.iter().filter(|process| !process.zombie) {
            if kill(process.pid, Signal::SIGKILL).is_ok() {
                killed.insert(process.pid);
            }
        }
        signals.wait_for_child(Duration::from_millis(20));
    }
}

/// A process, or a zombie that is not yet reaped. If another parent inherited a
/// zombie, it could stay for ever.
struct Process {
    pid: Pid,
    zombie: bool,
    /// Stopped by a signal or a tracer.
    stopped: bool,
}

/// Whether a process has a child that has not ended.
pub(crate) fn has_child(parent: Pid) -> bool {
    let children = children().remove(&parent.as_raw()).unwrap_or_default();
    children.iter().any(|child| !child.zombie)
}

/// Whether a listener runs and has a worker. A listener that cannot be found in the list of processes counts as one that
/// does: what is not known ends no job.
pub(crate) fn attends(listener: Pid) -> bool {
    let children = children();
    let is_stopped = children.values().flatten().find(|process| process.pid == listener).map(|it| it.stopped);
    let has_worker = children.get(&listener.as_raw()).is_some_and(|below| below.iter().any(|it| !it.zombie));
    is_stopped.is_none_or(|is_stopped| !is_stopped && has_worker)
}

/// Every process below this one, each after its parent, without `spared` and what is below it.
fn descendants(spared: Option<Pid>) -> Vec<Process> {
    let mut children = children();
    let mut found = Vec::new();
    let mut parents = vec![Pid::this().as_raw()];
    while let Some(parent) = parents.pop() {
        let mut below = children.remove(&parent).unwrap_or_default();
        below.retain(|process| Some(process.pid) != spared);
        parents.extend(below.iter().map(|process| process.pid.as_raw()));
        found.extend(below);
    }
    found
}

/// The processes of this system, by the id of their parent.
fn children() -> BTreeMap<i32, Vec<Process>> {
    let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return children };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that has ended since is skipped.
        let Ok(stat) = fs::read(entry.path().join("stat")) else { continue };
        if let Some((parent, state)) = parent_and_state(&String::from_utf8_lossy(&stat)) {
            let (zombie, stopped) = (matches!(state, 'Z' | 'X'), matches!(state, 'T' | 't'));
            children.entry(parent).or_default().push(Process { pid: Pid::from_raw(pid), zombie, stopped });
        }
    }
    children
}

/// Finds a process that was started with one of these subcommands and a directory that is meant, such as a keeper that has
/// outlived its agent. A process in another namespace of processes is in a job's container, and one that another user started
/// is a job's, which can give its processes any arguments.
pub(crate) fn started_as(subcommands: &[&str], is_meant: impl Fn(&Path) -> bool) -> io::Result<Option<Pid>> {
    let own = fs::read_link("/proc/self/ns/pid")?;
    for process in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let mut line = Vec::new();
        // It may have ended meanwhile. A longer line is not a keeper's.
        let read = File::open(process.path().join("cmdline"))
            .and_then(|file| file.take(ARGUMENTS_LIMIT_BYTES).read_to_end(&mut line));
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let [_, subcommand, of, ..] = words[..] else { continue };
        if read.is_ok()
            && subcommands.iter().any(|it| it.as_bytes() == subcommand)
            && is_meant(Path::new(OsStr::from_bytes(of)))
            && fs::read_to_string(process.path().join("status")).is_ok_and(|status| is_of(&status, geteuid()))
            && fs::read_link(process.path().join("ns/pid")).is_ok_and(|namespace| namespace == own)
        {
            return Ok(Some(Pid::from_raw(pid)));
        }
    }
    Ok(None)
}

/// Waits until `find` finds no process, and kills what it finds once `patience` is over. Returns whether all have ended by
/// the deadline.
pub(crate) fn end_by(
    deadline: Instant,
    patience: Duration,
    find: impl Fn() -> io::Result<Option<Pid>>,
) -> io::Result<bool> {
    const LOOK: Duration = Duration::from_millis(20);
    let patience = Instant::now() + patience;
    while let Some(process) = find()? {
        let now = Instant::now();
        if now >= deadline {
            return Ok(false);
        }
        if now >= patience {
            // It may have ended by itself.
            let _gone = kill(process, Signal::SIGKILL);
        }
        thread::sleep(LOOK);
    }
    Ok(true)
}

/// Whether all user ids of a process are this one, by its `/proc/<pid>/status`: also the real one, which a program that
/// changes its user for a job keeps.
fn is_of(status: &str, user: Uid) -> bool {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.is_some_and(|ids| ids.split_ascii_whitespace().all(|id| id.parse() == Ok(user.as_raw())))
}

/// A process's parent and state, from its `/proc/<pid>/stat`:
/// `<pid> (<name>) <state> <parent> …`, where the name may hold anything.
fn parent_and_state(stat: &str) -> Option<(i32, char)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_its_users_only_with_each_of_its_ids() {
        let root = Uid::from_raw(0);
        assert!(is_of("Name:\tx\nUid:\t0\t0\t0\t0\nGid:\t1\t1\t1\t1\n", root));
        for ids in ["1000\t0\t0\t0", "0\t0\t1000\t0", "1000\t1000\t1000\t1000"] {
            assert!(!is_of(&format!("Uid:\t{ids}\n"), root), "{ids}");
        }
        assert!(!is_of("Name:\tx\n", root));
    }

    #[test]
    fn a_process_of_a_job_is_not_taken_for_a_keeper_by_its_arguments() {
        if !geteuid().is_root() {
            return ecsrunner_skip::skip("only root can start a process of another user");
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        // The shell takes the subcommand for a script, and the input does not end.
        fs::write(dir.path().join("test-keeper"), "echo ready; read end").unwrap();
        for (user, is_found) in [(63_991, false), (0, true)] {
            let mut child = Command::new("sh")
                .args(["test-keeper", "/x/network"])
                .current_dir(dir.path())
                .uid(user)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
            let found = started_as(&["test-keeper"], |of| of == Path::new("/x/network")).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(found.is_some(), is_found, "user {user}");
        }
    }

    #[test]
    fn a_process_cannot_hide_behind_its_name() {
        assert_eq!(parent_and_state("12 (sleep) S 7 12 12"), Some((7, 'S')));
        assert_eq!(parent_and_state("12 (a) Z 1 (b) S 7 12 12"), Some((7, 'S')));
        assert_eq!(parent_and_state("12 (sleep) Z 7 12 12"), Some((7, 'Z')));
        assert_eq!(parent_and_state("nonsense"), None);
    }
}
