//! The share of a core that Lambda gives for a memory size, set by a control group's CPU quota.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, bail};

/// Memory size at which a function has one whole core.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const CORE_MB: u64 = 1769;

/// The quota's period. Linux refuses quotas below 1 ms, and 128 MB have 1.45 ms
/// of 20 ms. With a longer period a short start would not be throttled.
const PERIOD_US: u64 = 20_000;

/// How much CPU a function has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Share {
    /// All of the machine's CPU.
    Full,
    /// The share of this memory size, from the process's start.
    Memory(u64),
    /// The same, once the function has asked for its first event.
    /// Lambda gives more while a function initialises, which it does not document.
    MemoryAfterInit(u64),
}

impl Share {
    pub(crate) const ALL: [Self; 4] =
        [Self::Full, Self::Memory(256), Self::Memory(128), Self::MemoryAfterInit(128)];

    /// The function's memory setting, which is also billed, in MB.
    pub(crate) const fn memory_mb(self) -> u64 {
        match self {
            Self::Full => 128,
            Self::Memory(mb) | Self::MemoryAfterInit(mb) => mb,
        }
    }

    pub(crate) const fn needs_cgroups(self) -> bool {
        !matches!(self, Self::Full)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => write!(f, "full CPU"),
            Self::Memory(mb) => write!(f, "{mb} MB"),
            Self::MemoryAfterInit(mb) => write!(f, "{mb} MB, init at full CPU"),
        }
    }
}

const fn quota_us(memory_mb: u64) -> u64 {
    PERIOD_US * memory_mb / CORE_MB
}

/// A hierarchy of control groups in which groups can be created.
#[derive(Clone, Debug)]
pub(crate) struct Cgroups {
    parent: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    V1,
    V2,
}

impl fmt::Display for Cgroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (version, file) = match self.version {
            Version::V1 => (1, "cpu.cfs_quota_us"),
            Version::V2 => (2, "cpu.max"),
        };
        let parent = self.parent.display();
        write!(f, "cgroup v{version}, {file} below {parent}, period {} ms", PERIOD_US / 1000)
    }
}

impl Cgroups {
    /// Finds a hierarchy in which a group can be limited. The error says why there is none.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let mut why = Vec::new();
        for candidate in candidates(&mounts, &groups) {
            match candidate.group().and_then(|group| group.limit(CORE_MB)) {
                Ok(()) => return Ok(candidate),
                Err(error) => why.push(format!("{error:#}")),
            }
        }
        if why.is_empty() {
            bail!("no control group with a CPU controller is mounted");
        }
        bail!("{}", why.join("; "))
    }

    /// Creates a group without a limit.
    pub(crate) fn group(&self) -> anyhow::Result<Group> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if self.version == Version::V2 {
            let controllers = self.parent.join("cgroup.subtree_control");
            if !fs::read_to_string(&controllers)?.split_whitespace().any(|controller| controller == "cpu") {
                write(&controllers, "+cpu")?;
            }
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = self.parent.join(format!("ecsrunner-bench-{}-{number}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Group { dir, version: self.version })
    }
}

/// Version 1's CPU hierarchy comes first: if both are mounted, it has the controller.
fn candidates(mounts: &str, groups: &str) -> Vec<Cgroups> {
    let own = |of: &dyn Fn(&str) -> bool| {
        let line = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            of(controllers).then(|| path.trim_start_matches('/').to_owned())
        });
        line.unwrap_or_default()
    };
    let mut found = Vec::new();
    for line in mounts.lines() {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let &[_, mount, kind, options, ..] = parts.as_slice() else { continue };
        let is_cpu = |controllers: &str| controllers.split(',').any(|controller| controller == "cpu");
        match kind {
            "cgroup" if is_cpu(options) => {
                found.push(Cgroups { parent: Path::new(mount).join(own(&is_cpu)), version: Version::V1 });
            }
            "cgroup2" => {
                // A group with processes cannot have children with a controller: ours is a sibling.
                let own = Path::new(mount).join(own(&str::is_empty));
                let parent = own.parent().filter(|parent| parent.starts_with(mount)).unwrap_or(&own);
                found.push(Cgroups { parent: parent.to_owned(), version: Version::V2 });
            }
            _ => {}
        }
    }
    found.sort_by_key(|candidate| candidate.version == Version::V2);
    found
}

/// A created group, removed when dropped if it is empty.
#[derive(Debug)]
pub(crate) struct Group {
    dir: PathBuf,
    version: Version,
}

impl Group {
    /// Sets the CPU share of this memory size.
    pub(crate) fn limit(&self, memory_mb: u64) -> anyhow::Result<()> {
        let quota = quota_us(memory_mb);
        match self.version {
            Version::V1 => {
                write(&self.dir.join("cpu.cfs_period_us"), &PERIOD_US.to_string())?;
                write(&self.dir.join("cpu.cfs_quota_us"), &quota.to_string())
            }
            Version::V2 => write(&self.dir.join("cpu.max"), &format!("{quota} {PERIOD_US}")),
        }
    }

    pub(crate) fn add(&self, pid: u32) -> anyhow::Result<()> {
        write(&self.dir.join("cgroup.procs"), &pid.to_string())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group that is not empty is kept: its process still runs, which is reported elsewhere.
        drop(fs::remove_dir(&self.dir));
    }
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write `{text}` to {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_memory_by_1769_of_a_core() {
        assert_eq!([128, 256, 1769].map(quota_us), [1447, 2894, 20_000]);
    }

    #[test]
    fn the_first_version_comes_first_where_both_are_mounted() {
        let mounts = "cgroup2 /c/unified cgroup2 rw 0 0\ncgroup /c/cpuset cgroup rw,cpuset 0 0\ncgroup /c/cpu cgroup rw,cpu,cpuacct 0 0\n";
        let groups = "3:cpuset:/x\n2:cpu,cpuacct:/a/b\n0::/d\n";
        let parents: Vec<_> = candidates(mounts, groups).into_iter().map(|found| found.parent).collect();
        assert_eq!(parents, [Path::new("/c/cpu/a/b"), Path::new("/c/unified")]);
    }
}
