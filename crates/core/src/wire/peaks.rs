//! What a job used of its container, as its agent measured it.
//!
//! A part of the exit record: it can be lost, and a job that is root can forge it. It is shown and counted in
//! statistics, and nothing is decided by it.

use serde::{Deserialize, Serialize};

use crate::rules::class::size::Size;

/// The use of a container from the job's start to its end. A value that could not be read is missing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Peaks {
    /// How long was measured, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_ms: Option<u64>,
    /// CPU time of all processes meanwhile, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// In how many of the kernel's periods of 100 ms the CPU limit was reached, in per cent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_percent: Option<u64>,
    /// The most memory that could not be given back at once: without the file cache that the kernel would drop first. It
    /// is read once a second, so that a shorter peak can be missed. Without a cgroup it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The most memory since the container started, with all of the file cache, as the kernel counted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_with_cache_bytes: Option<u64>,
    /// What the job's file system held more, at most, than at the job's start. It is read once a second, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// How many processes the kernel killed because there was no memory left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
}

impl Peaks {
    /// More processes than a task can have had.
    const MAX_KILLS: u64 = 1_000_000;

    /// The values in the order in which they are stored. New ones are appended.
    #[must_use]
    pub fn values(&self) -> [Option<u64>; 7] {
        [
            self.measured_ms,
            self.cpu_ms,
            self.throttled_percent,
            self.memory_bytes,
            self.memory_with_cache_bytes,
            self.disk_bytes,
            self.oom_kills,
        ]
    }

    /// The reverse of [`Self::values`].
    #[must_use]
    pub fn from_values(values: [Option<u64>; 7]) -> Self {
        let [
            measured_ms,
            cpu_ms,
            throttled_percent,
            memory_bytes,
            memory_with_cache_bytes,
            disk_bytes,
            oom_kills,
        ] = values;
        Self {
            measured_ms,
            cpu_ms,
            throttled_percent,
            memory_bytes,
            memory_with_cache_bytes,
            disk_bytes,
            oom_kills,
        }
    }

    /// Returns the values that can be true of a task of this size which was at most `life_ms` old; `None` if none can.
    ///
    /// The machine below a task can be larger than the task, so memory and CPU time may be up to twice the task's.
    #[must_use]
    pub fn within(self, size: Size, life_ms: u64) -> Option<Self> {
        let at_most = |value: Option<u64>, most: u64| value.filter(|value| *value <= most);
        let memory = u64::from(size.memory()) * 2 * 1024 * 1024;
        let measured_ms = at_most(self.measured_ms, life_ms);
        let cpu = measured_ms.unwrap_or(life_ms).saturating_mul(2 * u64::from(size.cpu())) / 1024;
        let bounded = Self {
            measured_ms,
            // One period more, which may have been counted late.
            cpu_ms: at_most(self.cpu_ms, cpu.saturating_add(1_000)),
            throttled_percent: at_most(self.throttled_percent, 100),
            memory_bytes: at_most(self.memory_bytes, memory),
            memory_with_cache_bytes: at_most(self.memory_with_cache_bytes, memory),
            disk_bytes: at_most(
                self.disk_bytes,
                u64::from(size.ephemeral_storage_gib()) * 2 * 1024 * 1024 * 1024,
            ),
            oom_kills: at_most(self.oom_kills, Self::MAX_KILLS),
        };
        (bounded != Self::default()).then_some(bounded)
    }

    /// Returns how many CPUs were busy on average; `None` if that was not measured.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a job has far fewer milliseconds than a mantissa holds")]
    pub fn cpus(&self) -> Option<f64> {
        let measured = self.measured_ms.filter(|measured| *measured > 0)?;
        Some(self.cpu_ms? as f64 / measured as f64)
    }

    /// Whether the kernel killed a process because there was no memory left.
    #[must_use]
    pub fn ran_out_of_memory(&self) -> bool {
        self.oom_kills.is_some_and(|kills| kills > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::class::size::Arch;

    const GIB: u64 = 1024 * 1024 * 1024;

    fn size() -> Size {
        Size::new(1024, 2048, None, Arch::X64).unwrap()
    }

    #[test]
    fn what_cannot_be_true_is_left_out_and_the_rest_is_kept() {
        let told = Peaks {
            measured_ms: Some(10_000),
            cpu_ms: Some(9_000),
            throttled_percent: Some(101),
            memory_bytes: Some(GIB),
            memory_with_cache_bytes: Some(5 * GIB),
            disk_bytes: Some(41 * GIB),
            oom_kills: Some(u64::MAX),
        };
        let kept = told.within(size(), 20_000).unwrap();
        let expected = Peaks {
            measured_ms: Some(10_000),
            cpu_ms: Some(9_000),
            memory_bytes: Some(GIB),
            ..Peaks::default()
        };
        assert_eq!(kept, expected);
        let cpu = |cpu_ms| Peaks { cpu_ms: Some(cpu_ms), ..told }.within(size(), 20_000).unwrap().cpu_ms;
        assert_eq!(cpu(21_000), Some(21_000), "twice the task's CPUs, and a second");
        assert_eq!(cpu(21_001), None);
        let late = Peaks { measured_ms: Some(20_001), ..Peaks::default() };
        assert_eq!(late.within(size(), 20_000), None, "longer than the runner lived");
    }

    #[test]
    fn values_are_stored_in_an_order_that_reads_back() {
        let values = [1, 2, 3, 4, 5, 6, 7].map(Some);
        assert_eq!(Peaks::from_values(values).values(), values);
    }

    #[test]
    fn busy_cpus_are_cpu_time_by_measured_time() {
        let peaks = Peaks { measured_ms: Some(4_000), cpu_ms: Some(6_000), ..Peaks::default() };
        assert_eq!(peaks.cpus(), Some(1.5));
        assert_eq!(Peaks { measured_ms: Some(0), ..peaks }.cpus(), None);
    }
}
