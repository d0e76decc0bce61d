//! The processes of a testbed's tasks. They outlive the server.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ecsrunner_agent::cgroups::{TaskCgroup, TaskCgroupLimits};
use ecsrunner_skip::skip;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Kills every agent of a directory of tasks, and all processes below it.
pub(super) fn end_all(tasks: &Path) {
    for task in fs::read_dir(tasks).into_iter().flatten().flatten() {
        if let Some(agent) = agent(&task.path()) {
            end(agent);
        }
        // Else its networks would be left.
        let deadline = Instant::now() + Duration::from_secs(60);
        if ["docker", "docker-network"].iter().any(|name| task.path().join(name).exists()) {
            let _left = ecsrunner_agent::engine::clean_up(&task.path().join("docker"), deadline);
        }
        let _left = TaskCgroup::of(&task.path()).end(deadline);
        let network = task.path().join("network");
        if network.exists() {
            let _left = ecsrunner_agent::network::clean_up(&network, deadline);
        }
    }
    // The listener and the processes that it has started.
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(tasks)) {
            end(Pid::from_raw(pid));
        }
    }
}

/// Returns the process id of a task's agent, if it is running.
pub(super) fn agent(task: &Path) -> Option<Pid> {
    let pid = fs::read_to_string(task.join("claim")).ok()?.trim().parse().ok()?;
    // The id may now belong to another process.
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    String::from_utf8_lossy(&arguments).contains(task.to_str()?).then_some(Pid::from_raw(pid))
}

/// Returns the tasks of a directory that have a cgroup.
pub(super) fn with_cgroup(tasks: &Path) -> Vec<String> {
    let names = TaskCgroup::tasks_with_one().into_iter();
    names.filter(|task| tasks.join(task).exists()).collect()
}

/// Whether this machine lets this process give tasks cgroups of their own.
pub(crate) fn has_cgroups() -> bool {
    let cgroup = TaskCgroup::of(Path::new(&format!("test-{}", std::process::id())));
    let limits = TaskCgroupLimits { memory: Some(1 << 30), processes: 100, cpu: 1024 };
    let created = nix::unistd::geteuid().is_root().then(|| cgroup.create(limits));
    cgroup.end(Instant::now()).unwrap();
    matches!(created, Some(Ok(())))
}

/// Whether this machine lets this process give tasks cgroups of their own. If not, the test is skipped.
pub(crate) fn needs_cgroups() -> bool {
    let has_cgroups = has_cgroups();
    if !has_cgroups {
        skip("this machine gives tasks no cgroups of their own");
    }
    has_cgroups
}

/// Kills a process, if it is still running.
pub(super) fn end(process: Pid) {
    let _gone = kill(process, Signal::SIGKILL);
}

/// Returns the process ids of a directory's running agents.
pub(super) fn agents(tasks: &Path) -> Vec<Pid> {
    let mut agents: Vec<Pid> =
        fs::read_dir(tasks).unwrap().filter_map(|task| agent(&task.unwrap().path())).collect();
    agents.sort_unstable();
    agents
}

/// Returns the process ids of the listeners that a directory's agents started.
pub(super) fn listeners(tasks: &Path) -> Vec<Pid> {
    let agents = agents(tasks);
    let parent = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|process| process.unwrap().file_name().to_str()?.parse().ok())
        .filter(|pid| parent(*pid).is_some_and(|parent| agents.contains(&Pid::from_raw(parent))))
        .map(Pid::from_raw)
        .collect()
}
