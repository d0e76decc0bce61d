//! The cgroup of one task.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{CGROUPS, MAX_DEPTH, delegate_below, directories, remove_from};
use crate::gauge;
use crate::mounts::make_new;

/// What the names of tasks' cgroups begin with.
const PREFIX: &str = "ecsrunner-";
/// The controllers that a task's cgroup has, where the machine has them. Only memory is needed.
const CONTROLLERS: [&str; 4] = [MEMORY, "pids", "cpu", "cpuacct"];
const MEMORY: &str = "memory";
/// With version 2, the cgroup of the task's own processes: beside cgroups of containers there may be no process.
const PROCESSES: &str = "processes";
/// How often a cgroup whose processes end is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What all processes of a task together may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskCgroupLimits {
    /// Bytes; without a limit, what the machine has.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: u64,
    /// CPU units; 1024 are one vCPU. They are a share if CPUs are busy, and no limit.
    pub cpu: u32,
}

/// The cgroup of a task: of its agent and everything that its job starts, containers of its Docker engine included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskCgroup {
    root: PathBuf,
    name: String,
}

impl TaskCgroup {
    /// Returns the cgroup of the task with this directory, whether it exists or not.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        let task = dir.file_name().unwrap_or_default();
        Self::named(&format!("{PREFIX}{}", task.to_string_lossy()))
    }

    /// Returns the cgroup with a name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { root: Path::new(CGROUPS).to_owned(), name: name.to_owned() }
    }

    /// Returns the tasks of this machine that have a cgroup.
    #[must_use]
    pub fn tasks_with_one() -> Vec<String> {
        let root = Path::new(CGROUPS);
        let dir = if root.join("cgroup.controllers").is_file() { root.to_owned() } else { root.join(MEMORY) };
        let names =
            directories(&dir).into_iter().filter_map(|dir| dir.file_name()?.to_str().map(str::to_owned));
        names.filter_map(|name| name.strip_prefix(PREFIX).map(str::to_owned)).collect()
    }

    /// Returns its name, which no other task of this machine has.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the cgroup, or sets the limits of the one that an earlier try has made.
    ///
    /// # Errors
    ///
    /// This machine has no memory controller, or does not let this process use it.
    pub fn create(&self, limits: TaskCgroupLimits) -> io::Result<()> {
        if self.is_version_2() {
            return self.create_unified(limits);
        }
        let hierarchies = self.hierarchies();
        if !hierarchies.iter().any(|(controller, _)| *controller == MEMORY) {
            return Err(self.without_memory());
        }
        for (controller, dir) in hierarchies {
            make(&dir)?;
            match controller {
                MEMORY => {
                    // Those of containers count too: newer kernels know nothing else.
                    let _always = fs::write(dir.join("memory.use_hierarchy"), "1");
                    if let Some(memory) = limits.memory {
                        set(&dir, "memory.limit_in_bytes", memory)?;
                        // Swap would be used in place of the memory.
                        set_if_there(&dir, "memory.memsw.limit_in_bytes", memory)?;
                    }
                }
                "pids" => set(&dir, "pids.max", limits.processes)?,
                "cpu" => set(&dir, "cpu.shares", u64::from(limits.cpu).max(2))?,
                _ => {}
            }
        }
        Ok(())
    }

    fn create_unified(&self, limits: TaskCgroupLimits) -> io::Result<()> {
        let has = |file: &str, controller: &str| {
            fs::read_to_string(self.root.join(file))
                .is_ok_and(|text| text.split_whitespace().any(|name| name == controller))
        };
        if !has("cgroup.controllers", MEMORY) {
            return Err(self.without_memory());
        }
        if !has("cgroup.subtree_control", MEMORY) {
            delegate_below(&self.root)?;
        }
        for controller in CONTROLLERS.into_iter().filter(|it| has("cgroup.controllers", it)) {
            if !has("cgroup.subtree_control", controller) {
                let enabled = fs::write(self.root.join("cgroup.subtree_control"), format!("+{controller}"));
                if controller == MEMORY {
                    enabled?;
                }
            }
        }
        let dir = self.root.join(&self.name);
        make(&dir)?;
        if let Some(memory) = limits.memory {
            set(&dir, "memory.max", memory)?;
            // Swap would be used in place of the memory.
            set_if_there(&dir, "memory.swap.max", 0)?;
        }
        set_if_there(&dir, "pids.max", limits.processes)?;
        // The kernel's default is 100, here the share of one vCPU.
        set_if_there(&dir, "cpu.weight", (u64::from(limits.cpu) * 100 / 1024).clamp(1, 10_000))?;
        // The memory controller is used below too. So the manager of the top, such as systemd, leaves it on.
        fs::write(dir.join("cgroup.subtree_control"), format!("+{MEMORY}"))?;
        make(&dir.join(PROCESSES))
    }

    /// Moves this process into the cgroup. What it starts from then on is in it too.
    ///
    /// # Errors
    ///
    /// The cgroup does not exist, or this process may not enter it.
    pub fn join(&self) -> io::Result<()> {
        let dirs = if self.is_version_2() {
            vec![self.root.join(&self.name).join(PROCESSES)]
        } else {
            self.hierarchies().into_iter().map(|(_, dir)| dir).collect()
        };
        // 0 is the process that writes it.
        dirs.iter().try_for_each(|dir| at(&dir.join("cgroup.procs"), |path| fs::write(path, "0")))
    }

    /// Kills what is left in the cgroup, and removes it with all below it. Without one there is nothing to do.
    ///
    /// # Errors
    ///
    /// Processes in it have not ended by the deadline.
    pub fn end(&self, deadline: Instant) -> io::Result<()> {
        while !remove_from(&self.root, &self.name) {
            if Instant::now() >= deadline {
                return Err(io::Error::other(format!("the cgroup {} still has processes", self.name)));
            }
            for (_, dir) in self.hierarchies() {
                kill_in(&dir, MAX_DEPTH);
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// How many of its processes the kernel has killed because its own limit was reached; `None` without a cgroup.
    #[must_use]
    pub fn memory_kills(&self) -> Option<u64> {
        gauge::memory_kills(&self.root, &self.name)
    }

    fn is_version_2(&self) -> bool {
        self.root.join("cgroup.controllers").is_file()
    }

    /// The directories of the cgroup: one with version 2, one for each controller with version 1.
    fn hierarchies(&self) -> Vec<(&'static str, PathBuf)> {
        if self.is_version_2() {
            return vec![(MEMORY, self.root.join(&self.name))];
        }
        let mounted = CONTROLLERS.into_iter().filter(|controller| self.root.join(controller).is_dir());
        mounted.map(|controller| (controller, self.root.join(controller).join(&self.name))).collect()
    }

    fn without_memory(&self) -> io::Error {
        io::Error::new(
            ErrorKind::Unsupported,
            format!("{} has no cgroups with a memory controller", self.root.display()),
        )
    }
}

fn make(dir: &Path) -> io::Result<()> {
    at(dir, |dir| make_new(dir, 0o755))
}

fn set(dir: &Path, file: &str, value: u64) -> io::Result<()> {
    at(&dir.join(file), |path| fs::write(path, value.to_string()))
}

/// Sets a limit if the machine has a controller for it.
fn set_if_there(dir: &Path, file: &str, value: u64) -> io::Result<()> {
    if dir.join(file).exists() { set(dir, file, value) } else { Ok(()) }
}

/// Names the path in an error.
fn at(path: &Path, change: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    change(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn kill_in(dir: &Path, depth: u32) {
    // Linux 5.14 has it, with version 2: no process can start another one meanwhile.
    if dir.join("cgroup.kill").exists() && fs::write(dir.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    if depth > 0 {
        directories(dir).iter().for_each(|below| kill_in(below, depth - 1));
    }
    let processes = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    // 0 is a process of another namespace. All of ours are in one, or in one below it.
    let pids = processes.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid > 1);
    for pid in pids {
        // It may have ended by itself.
        let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests;
