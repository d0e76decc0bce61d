//! Reads the container's own cgroup, version 1 or 2.
//!
//! Tasks on Fargate have had both: version 1 with platform version 1.4.0 of 2022, version 2 in 2026. The kernel has
//! `memory.peak` in version 2 since 5.19; before, only the looks once a second tell the most memory.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::Reading;

/// Where the kernel mounts its cgroups.
const MOUNT: &str = "sys/fs/cgroup";
/// The cgroups of this process.
const OWN: &str = "proc/self/cgroup";
/// What a cgroup may be below its limit while the kernel kills for it: two pages of the largest usual size.
const LARGEST_CHARGE_BYTES: u64 = 4 * 1024 * 1024;
/// More than any of the files has.
const MAX_BYTES: u64 = 64 * 1024;

/// The directories of the container's cgroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cgroup {
    V2(PathBuf),
    /// One for each controller. They may be one directory, as `cpu,cpuacct`.
    V1 {
        cpu: Option<PathBuf>,
        cpuacct: Option<PathBuf>,
        memory: PathBuf,
    },
}

impl Cgroup {
    /// Finds the container's cgroup below `root`, usually `/`. `None` if there is none with a memory controller.
    ///
    /// A container usually sees its own cgroup as the whole mount. With the host's namespace it sees all, and
    /// `/proc/self/cgroup` has the path of its own.
    pub(super) fn find(root: &Path) -> Option<Self> {
        let (mount, own) = (root.join(MOUNT), fs::read_to_string(root.join(OWN)).ok()?);
        let of_controller = |controller: &str, base: PathBuf, file: &str| {
            let path = own.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let (controllers, path) = (parts.next()?, parts.next()?);
                controllers.split(',').any(|one| one == controller).then(|| path.trim_start_matches('/'))
            });
            // A path that leads upwards is of a process outside of the namespace.
            let own =
                path.filter(|path| !path.split('/').any(|part| part == "..")).map(|path| base.join(path));
            [own, Some(base)].into_iter().flatten().find(|dir| dir.join(file).is_file())
        };
        if mount.join("cgroup.controllers").is_file() {
            // The root of all cgroups has no `memory.current`: it is of no container.
            return of_controller("", mount, "memory.current").map(Self::V2);
        }
        let v1 = |controller: &str, file: &str| {
            let names = [controller, "cpu,cpuacct", "cpuacct,cpu"];
            names.iter().find_map(|name| of_controller(controller, mount.join(name), file))
        };
        Some(Self::V1 {
            memory: of_controller("memory", mount.join("memory"), "memory.usage_in_bytes")?,
            cpu: v1("cpu", "cpu.stat"),
            cpuacct: v1("cpuacct", "cpuacct.usage"),
        })
    }

    /// Finds the cgroup of a task on one machine, by its name below `mount`; `None` if it does not exist.
    pub(super) fn of_task(mount: &Path, name: &str) -> Option<Self> {
        let with = |dir: PathBuf, file: &str| Some(dir).filter(|dir| dir.join(file).is_file());
        if mount.join("cgroup.controllers").is_file() {
            return with(mount.join(name), "memory.current").map(Self::V2);
        }
        let of_controller = |controller: &str, file: &str| with(mount.join(controller).join(name), file);
        Some(Self::V1 {
            memory: of_controller("memory", "memory.usage_in_bytes")?,
            cpu: of_controller("cpu", "cpu.stat"),
            cpuacct: of_controller("cpuacct", "cpuacct.usage"),
        })
    }

    pub(super) fn read(&self) -> Reading {
        match self {
            Self::V2(dir) => Reading {
                cpu_usec: field(dir, "cpu.stat", "usage_usec"),
                periods: periods(dir),
                working: self.working(),
                peak: number(dir, "memory.peak"),
                oom_kills: field(dir, "memory.events", "oom_kill"),
            },
            Self::V1 { cpu, cpuacct, memory } => Reading {
                cpu_usec: cpuacct
                    .as_deref()
                    .and_then(|dir| number(dir, "cpuacct.usage"))
                    .map(|nanos| nanos / 1_000),
                periods: cpu.as_deref().and_then(periods),
                working: self.working(),
                peak: number(memory, "memory.max_usage_in_bytes"),
                // The kernel has this counter since 4.13.
                oom_kills: field(memory, "memory.oom_control", "oom_kill"),
            },
        }
    }

    /// Reads the cgroup of a task on one machine. The kernel counts there too what it kills because the machine as a whole has
    /// no memory left: kills are the task's own only if its limit was reached. Without a limit, it never is.
    pub(super) fn read_of_task(&self) -> Reading {
        let is_below = match self {
            Self::V2(dir) => field(dir, "memory.events", "oom") == Some(0),
            // `memory.failcnt` stays 0 with some kernels (seen with 6.18).
            Self::V1 { memory, .. } => {
                let [most, limit] =
                    ["max_usage", "limit"].map(|of| number(memory, &format!("memory.{of}_in_bytes")));
                most.zip(limit).is_some_and(|(most, limit)| most.saturating_add(LARGEST_CHARGE_BYTES) < limit)
            }
        };
        let read = self.read();
        Reading { oom_kills: read.oom_kills.map(|kills| if is_below { 0 } else { kills }), ..read }
    }

    /// Memory without the file cache that the kernel would drop first.
    pub(super) fn working(&self) -> Option<u64> {
        let (dir, current, inactive) = match self {
            Self::V2(dir) => (dir, "memory.current", "inactive_file"),
            Self::V1 { memory, .. } => (memory, "memory.usage_in_bytes", "total_inactive_file"),
        };
        Some(number(dir, current)?.saturating_sub(field(dir, "memory.stat", inactive)?))
    }
}

/// The periods of the CPU limit, and in how many of them it was reached. The names are the same in both versions.
fn periods(dir: &Path) -> Option<(u64, u64)> {
    Some((field(dir, "cpu.stat", "nr_periods")?, field(dir, "cpu.stat", "nr_throttled")?))
}

fn number(dir: &Path, file: &str) -> Option<u64> {
    text(dir, file)?.trim().parse().ok()
}

/// The value of a line `name value`.
fn field(dir: &Path, file: &str, name: &str) -> Option<u64> {
    let text = text(dir, file)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

/// Returns a file's text. A job that may mount can put anything in its place: nothing that could block or is no file is read,
/// and no more than the kernel's files have.
fn text(dir: &Path, file: &str) -> Option<String> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(dir.join(file)).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text).ok()?;
    (u64::try_from(read).ok()? <= MAX_BYTES).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of files; each path is below the root.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    const V1_OWN: &str = "9:name=systemd:/x\n4:memory:/ecs/t/c\n2:cpu,cpuacct:/ecs/t/c\n0::/\n";

    #[test]
    fn version_2_is_read_and_a_kernel_without_a_peak_has_none() {
        let dir = tree(&[
            (OWN, "0::/\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory"),
            ("sys/fs/cgroup/memory.current", "500\n"),
            ("sys/fs/cgroup/memory.stat", "anon 7\ninactive_file 100\n"),
            ("sys/fs/cgroup/memory.events", "low 0\noom 1\noom_kill 2\n"),
            ("sys/fs/cgroup/cpu.stat", "usage_usec 42\nuser_usec 1\n"),
        ]);
        let cgroup = Cgroup::find(dir.path()).unwrap();
        let expected =
            Reading { cpu_usec: Some(42), working: Some(400), oom_kills: Some(2), ..Reading::default() };
        assert_eq!(cgroup.read(), expected);
    }

    #[test]
    fn version_1_is_read_where_a_container_sees_its_own_cgroup_as_the_whole() {
        let dir = tree(&[
            (OWN, V1_OWN),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "500\n"),
            ("sys/fs/cgroup/memory/memory.max_usage_in_bytes", "900\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 100\n"),
            ("sys/fs/cgroup/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "42000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.stat", "nr_periods 8\nnr_throttled 2\nthrottled_time 9\n"),
        ]);
        let expected = Reading {
            cpu_usec: Some(42),
            periods: Some((8, 2)),
            working: Some(400),
            peak: Some(900),
            oom_kills: Some(3),
        };
        assert_eq!(Cgroup::find(dir.path()).unwrap().read(), expected);
    }

    #[test]
    fn with_the_hosts_namespace_the_own_path_counts_and_not_the_whole_machine() {
        let v1 = tree(&[
            (OWN, V1_OWN),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "9\n"),
            ("sys/fs/cgroup/memory/ecs/t/c/memory.usage_in_bytes", "500\n"),
        ]);
        let Cgroup::V1 { memory, cpu, .. } = Cgroup::find(v1.path()).unwrap() else { panic!("version 1") };
        assert!(memory.ends_with("memory/ecs/t/c") && cpu.is_none(), "{memory:?}");
        let v2 = tree(&[
            (OWN, "0::/ecs/t/c\n"),
            ("sys/fs/cgroup/cgroup.controllers", ""),
            ("sys/fs/cgroup/ecs/t/c/memory.current", "1\n"),
        ]);
        assert_eq!(Cgroup::find(v2.path()), Some(Cgroup::V2(v2.path().join("sys/fs/cgroup/ecs/t/c"))));
    }

    #[test]
    fn a_task_of_one_machine_is_measured_by_its_own_cgroup_and_never_by_the_machines() {
        let v1 = tree(&[
            ("memory/memory.usage_in_bytes", "9\n"),
            ("cpuacct/cpuacct.usage", "9\n"),
            ("memory/ecsrunner-1/memory.usage_in_bytes", "500\n"),
        ]);
        let memory = v1.path().join("memory/ecsrunner-1");
        let expected = Cgroup::V1 { memory, cpu: None, cpuacct: None };
        assert_eq!(Cgroup::of_task(v1.path(), "ecsrunner-1"), Some(expected));
        assert_eq!(Cgroup::of_task(v1.path(), "ecsrunner-2"), None);
        let v2 = tree(&[("cgroup.controllers", ""), ("ecsrunner-1/memory.current", "1\n")]);
        assert_eq!(
            Cgroup::of_task(v2.path(), "ecsrunner-1"),
            Some(Cgroup::V2(v2.path().join("ecsrunner-1")))
        );
        assert_eq!(Cgroup::of_task(v2.path(), "ecsrunner-2"), None);
    }

    #[test]
    fn what_the_kernel_kills_for_the_machine_is_not_killed_for_a_task_below_its_limit() {
        for (most, reached, kills) in [(60 << 20, "0", 0), (63 << 20, "3", 2)] {
            let v1 = tree(&[
                ("memory/t/memory.usage_in_bytes", "500\n"),
                ("memory/t/memory.limit_in_bytes", "67108865\n"),
                ("memory/t/memory.max_usage_in_bytes", &format!("{most}\n")),
                ("memory/t/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
            ]);
            let v2 = tree(&[
                ("cgroup.controllers", ""),
                ("t/memory.current", "1\n"),
                ("t/memory.events", &format!("low 0\nhigh 0\nmax 9\noom {reached}\noom_kill 2\n")),
            ]);
            for root in [v1, v2] {
                let cgroup = Cgroup::of_task(root.path(), "t").unwrap();
                assert_eq!(cgroup.read_of_task().oom_kills, Some(kills), "{cgroup:?}");
                assert_eq!(
                    cgroup.read().oom_kills,
                    Some(2),
                    "a container's, whose limit may be of the cgroup above"
                );
            }
        }
    }

    #[test]
    fn a_machine_without_a_cgroup_of_ones_own_has_none() {
        assert_eq!(Cgroup::find(tree(&[]).path()), None);
        let root = tree(&[
            (OWN, "0::/\n"),
            ("sys/fs/cgroup/cgroup.controllers", ""),
            ("sys/fs/cgroup/cpu.stat", ""),
        ]);
        assert_eq!(Cgroup::find(root.path()), None, "the root of all cgroups is of no container");
    }

    #[test]
    fn files_that_are_no_numbers_are_missing() {
        let dir = tree(&[
            (OWN, "0::/../other\n"),
            ("sys/fs/cgroup/cgroup.controllers", ""),
            ("sys/fs/cgroup/memory.current", "max\n"),
            ("sys/fs/cgroup/cpu.stat", "usage_usec -1\nnr_periods x\n"),
        ]);
        assert_eq!(Cgroup::find(dir.path()).unwrap().read(), Reading::default());
    }

    #[test]
    fn what_is_no_small_file_is_not_read_and_blocks_nothing() {
        let dir = tree(&[("fits", &"1".repeat(64 * 1024)), ("too-long", &"1".repeat(64 * 1024 + 1))]);
        let at = |name: &str| dir.path().join(name);
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("fits", at("link")).unwrap();
        let (sender, read) = std::sync::mpsc::channel();
        let path = dir.path().to_owned();
        // If it reads the FIFO or `/dev/zero`, it never ends.
        std::thread::spawn(move || {
            let of = |name: &str| text(&path, name).map(|text| text.len());
            let names = ["fits", "too-long", "fifo", "link", "none"];
            let _ = sender.send((names.map(of), text(Path::new("/dev"), "zero")));
        });
        let read = read.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
        assert_eq!(read, ([Some(64 * 1024), None, None, None, None], None));
    }

    #[test]
    fn this_machines_own_cgroup_is_read_where_it_has_one() {
        match Cgroup::find(Path::new("/")) {
            Some(cgroup) => {
                let reading = cgroup.read();
                assert!(reading.working.is_some_and(|bytes| bytes > 0), "{reading:?}");
                assert!(reading.peak.is_none_or(|peak| Some(peak) >= reading.working), "{reading:?}");
            }
            None => ecsrunner_skip::skip("this machine gives the test no cgroup with a memory controller"),
        }
    }
}
