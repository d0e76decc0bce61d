//! Measures what the job uses of its container: from its cgroup, or else from ECS's statistics of the container.
//!
//! On one machine a job is measured if its task has a cgroup of its own, and without its disk, since jobs share a file
//! system. Whatever cannot be read is missing: a job never fails because of a measurement.

mod cgroup;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ecsrunner_aws::boot::{Http, container_stats};
use ecsrunner_core::wire::peaks::Peaks;
use nix::sys::statvfs::fstatvfs;

use crate::cgroups::CGROUPS;
use crate::config::Supervision;
use cgroup::Cgroup;

/// How often memory and disk are looked at while a job runs. A look reads two small files of the kernel's.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long ECS's statistics may take: the agent does nothing else meanwhile.
const STATS_LIMIT: Duration = Duration::from_millis(500);

/// Whether the container's own cgroup can be read, so that ECS need not be asked.
pub(crate) fn has_cgroup() -> bool {
    Cgroup::find(Path::new("/")).is_some()
}

/// How many processes of a task's cgroup the kernel has killed because the task had no memory left. `mount` is where the
/// kernel mounts its cgroups.
pub(crate) fn memory_kills(mount: &Path, name: &str) -> Option<u64> {
    Cgroup::of_task(mount, name)?.read_of_task().oom_kills
}

/// What was read at one moment. What could not be read is missing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Reading {
    /// CPU time since the container started, in microseconds.
    cpu_usec: Option<u64>,
    /// The kernel's periods of the CPU limit, and in how many of them it was reached.
    periods: Option<(u64, u64)>,
    /// Memory without the file cache that the kernel would drop first; `None` if only the container's statistics are known.
    working: Option<u64>,
    /// The most memory since the container started.
    peak: Option<u64>,
    oom_kills: Option<u64>,
}

/// Where a container's use is read.
enum Source {
    Cgroup(Cgroup),
    /// The cgroup of a task on one machine.
    Task(Cgroup),
    Stats {
        metadata: String,
        http: Http,
    },
}

impl Source {
    fn read(&self) -> Reading {
        match self {
            Self::Cgroup(cgroup) => cgroup.read(),
            Self::Task(cgroup) => cgroup.read_of_task(),
            Self::Stats { metadata, http } => {
                // ECS may have no statistics yet, or be gone.
                let stats = container_stats(metadata, http, STATS_LIMIT).unwrap_or_default();
                Reading {
                    cpu_usec: stats.cpu_nanos.map(|nanos| nanos / 1_000),
                    periods: stats.periods.zip(stats.throttled_periods),
                    // It is asked before and after the job, when the container is idle.
                    working: None,
                    peak: stats.memory_max,
                    oom_kills: None,
                }
            }
        }
    }
}

/// Returns how many bytes of a directory's file system are used; `None` if that cannot be read.
type Usage = fn(&File) -> Option<u64>;

/// Measures one job.
pub(crate) struct Gauge {
    source: Source,
    /// Where the job works, if no other job uses its file system.
    work_dir: Option<PathBuf>,
    usage: Usage,
    begun: Option<Begun>,
    next_at: Instant,
}

struct Begun {
    at: Instant,
    first: Reading,
    disk: Option<Disk>,
    /// The most memory so far, by [`Reading::working`].
    working: Option<u64>,
}

/// The use of the job's file system.
struct Disk {
    /// The directory where the job works. It is kept open, so that what a job mounts over it is not measured.
    dir: File,
    usage: Usage,
    /// The used bytes when the job started.
    first: u64,
    /// The most used bytes so far.
    most: u64,
}

impl Disk {
    fn at(dir: &Path, usage: Usage) -> Option<Self> {
        let dir = File::open(dir).ok()?;
        let first = usage(&dir)?;
        Some(Self { dir, usage, first, most: first })
    }

    fn most(&self) -> u64 {
        (self.usage)(&self.dir).map_or(self.most, |used| used.max(self.most))
    }
}

impl Gauge {
    /// Returns the gauge of a task; `None` if nothing of it can be read.
    pub(crate) fn of(config: &Supervision) -> Option<Self> {
        if !config.in_task {
            let cgroup = Cgroup::of_task(Path::new(CGROUPS), config.cgroup.as_deref()?)?;
            return Some(Self::new(Source::Task(cgroup), None));
        }
        let source = match (Cgroup::find(Path::new("/")), &config.metadata) {
            (Some(cgroup), _) => Source::Cgroup(cgroup),
            (None, Some(metadata)) => {
                Source::Stats { metadata: metadata.clone(), http: Http::new(None).ok()? }
            }
            (None, None) => return None,
        };
        Some(Self::new(source, Some(&config.listener.runner_dir)))
    }

    fn new(source: Source, work_dir: Option<&Path>) -> Self {
        let work_dir = work_dir.map(Path::to_owned);
        Self { source, work_dir, usage: used_bytes, begun: None, next_at: Instant::now() }
    }

    /// The job starts. A listener executes one job, so only the first call counts.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.begun.is_none() {
            let first = self.source.read();
            let disk = self.work_dir.as_deref().and_then(|dir| Disk::at(dir, self.usage));
            self.begun = Some(Begun { at: now, first, disk, working: first.working });
            self.next_at = now + INTERVAL;
        }
    }

    /// When to look next; `None` before the job.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.begun.as_ref().map(|_| self.next_at)
    }

    /// Looks at memory and disk, if it is time.
    pub(crate) fn look(&mut self, now: Instant) {
        if let Some(begun) = self.begun.as_mut().filter(|_| now >= self.next_at) {
            // ECS's answer would take too long.
            if let Source::Cgroup(cgroup) | Source::Task(cgroup) = &self.source {
                begun.working = begun.working.max(cgroup.working());
            }
            if let Some(disk) = &mut begun.disk {
                disk.most = disk.most();
            }
            self.next_at = now + INTERVAL;
        }
    }

    /// Returns what the job has used since it started; `None` if it has not, or nothing could be read.
    ///
    /// What is returned later is not less: the note in the job's summary and the exit record each have an answer.
    pub(crate) fn measure(&mut self, now: Instant) -> Option<Peaks> {
        let begun = self.begun.as_mut()?;
        let last = self.source.read();
        begun.working = begun.working.max(last.working);
        if let Some(disk) = &mut begun.disk {
            disk.most = disk.most();
        }
        let since = |first: Option<u64>, last: Option<u64>| Some(last?.saturating_sub(first?));
        let peaks = Peaks {
            measured_ms: u64::try_from(now.duration_since(begun.at).as_millis()).ok(),
            cpu_ms: since(begun.first.cpu_usec, last.cpu_usec).map(|usec| usec / 1_000),
            throttled_percent: throttled(begun.first.periods, last.periods),
            memory_bytes: begun.working,
            memory_with_cache_bytes: last.peak,
            disk_bytes: begun.disk.as_ref().map(|disk| disk.most - disk.first),
            oom_kills: since(begun.first.oom_kills, last.oom_kills),
        };
        let nothing =
            Peaks { measured_ms: peaks.measured_ms, disk_bytes: peaks.disk_bytes, ..Peaks::default() };
        (peaks != nothing).then_some(peaks)
    }
}

/// Returns in how many of the periods between two readings the CPU limit was reached, in per cent. Without a period there
/// is no limit that this cgroup knows of.
fn throttled(first: Option<(u64, u64)>, last: Option<(u64, u64)>) -> Option<u64> {
    let ((periods, throttled), (all, all_throttled)) = (first?, last?);
    let periods = all.checked_sub(periods).filter(|periods| *periods > 0)?;
    Some(all_throttled.saturating_sub(throttled) * 100 / periods)
}

/// Returns how much of a directory's file system is used.
fn used_bytes(dir: &File) -> Option<u64> {
    let stat = fstatvfs(dir).ok()?;
    Some(stat.blocks().saturating_sub(stat.blocks_free()).saturating_mul(stat.fragment_size()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;

    use super::*;

    fn v2(dir: &Path, files: &[(&str, &str)]) {
        let group = dir.join("sys/fs/cgroup");
        fs::create_dir_all(&group).unwrap();
        fs::create_dir_all(dir.join("proc/self")).unwrap();
        fs::write(dir.join("proc/self/cgroup"), "0::/\n").unwrap();
        fs::write(group.join("cgroup.controllers"), "cpu memory\n").unwrap();
        for (name, text) in files {
            fs::write(group.join(name), text).unwrap();
        }
    }

    #[test]
    fn a_job_is_measured_from_its_start_and_its_memory_is_the_most_that_was_seen() {
        let dir = tempfile::tempdir().unwrap();
        let cpu = |usec, periods, throttled| {
            format!("usage_usec {usec}\nnr_periods {periods}\nnr_throttled {throttled}\n")
        };
        let stat = "anon 1\ninactive_file 1000\n";
        v2(
            dir.path(),
            &[
                ("cpu.stat", &cpu(5_000_000, 10, 1)),
                ("memory.current", "3000\n"),
                ("memory.stat", stat),
                ("memory.peak", "4000\n"),
                ("memory.events", "oom 2\noom_kill 2\n"),
            ],
        );
        let cgroup = Cgroup::find(dir.path()).unwrap();
        let mut gauge = Gauge::new(Source::Cgroup(cgroup), Some(dir.path()));
        let start = Instant::now();
        assert_eq!((gauge.measure(start), gauge.next_at()), (None, None), "before the job");
        gauge.begin(start);
        v2(dir.path(), &[("memory.current", "9000\n")]);
        gauge.look(start + Duration::from_millis(999));
        v2(dir.path(), &[("memory.current", "7000\n")]);
        gauge.look(start + INTERVAL);
        v2(
            dir.path(),
            &[
                ("cpu.stat", &cpu(6_500_000, 30, 6)),
                ("memory.current", "2000\n"),
                ("memory.peak", "9500\n"),
                ("memory.events", "oom 3\noom_kill 3\n"),
            ],
        );
        let peaks = gauge.measure(start + Duration::from_secs(3)).unwrap();
        let expected = Peaks {
            measured_ms: Some(3_000),
            cpu_ms: Some(1_500),
            throttled_percent: Some(25),
            memory_bytes: Some(6_000),
            memory_with_cache_bytes: Some(9_500),
            disk_bytes: peaks.disk_bytes,
            oom_kills: Some(1),
        };
        assert_eq!(peaks, expected);
        assert!(peaks.disk_bytes.is_some());
    }

    #[test]
    fn the_most_disk_counts_and_not_what_is_left_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        v2(dir.path(), &[("memory.current", "1\n")]);
        let cgroup = Cgroup::find(dir.path()).unwrap();
        // Other processes use the machine's file system, so the test has a file in place of it.
        let usage: Usage = |dir| {
            let dir = fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).unwrap();
            fs::read_to_string(dir.join("used")).ok()?.parse().ok()
        };
        let uses = |bytes: &str| fs::write(dir.path().join("used"), bytes).unwrap();
        let mut gauge = Gauge { usage, ..Gauge::new(Source::Cgroup(cgroup), Some(dir.path())) };
        let start = Instant::now();
        uses("5000");
        gauge.begin(start);
        uses("9000");
        gauge.look(start + INTERVAL);
        uses("6000");
        v2(dir.path(), &[("memory.peak", "1\n")]);
        assert_eq!(gauge.measure(start + INTERVAL).unwrap().disk_bytes, Some(4000));
        uses("9500");
        assert_eq!(
            gauge.measure(start + 2 * INTERVAL).unwrap().disk_bytes,
            Some(4500),
            "it is measured at the end too"
        );
    }

    #[test]
    fn a_file_counts_as_used() {
        const LEN: u64 = 64 << 20;
        let dir = tempfile::tempdir().unwrap();
        let at = File::open(dir.path()).unwrap();
        let grows = |_| {
            let first = used_bytes(&at).unwrap();
            let file = tempfile::tempfile_in(dir.path()).unwrap();
            nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, LEN.cast_signed()).unwrap();
            used_bytes(&at).unwrap() > first + LEN / 2
        };
        // Other processes may free space in the meantime, so one try of several is enough.
        assert!((0..20).any(grows));
    }

    #[test]
    fn without_periods_nothing_is_known_of_a_limit() {
        assert_eq!(throttled(Some((0, 0)), Some((0, 0))), None);
        assert_eq!(throttled(Some((5, 0)), Some((4, 0))), None, "a counter that goes back");
        assert_eq!(throttled(Some((4, 1)), Some((8, 4))), Some(75));
    }
}
