//! What a job used, for people.

use ecsrunner_core::wire::peaks::Peaks;

const MIB: u64 = 1024 * 1024;

/// Returns what is known of a job's use, as lines of a name and a value.
pub(super) fn lines(peaks: &Peaks) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(cpu) = cpu(peaks) {
        let throttled =
            peaks.throttled_percent.map(|percent| format!(", at the limit in {percent} % of the time"));
        lines.push(("CPU", format!("{cpu}{}", throttled.unwrap_or_default())));
    }
    if let Some(memory) = memory(peaks) {
        let all = peaks.memory_with_cache_bytes.map(|bytes| format!(", {} MiB with file cache", bytes / MIB));
        lines.push(("memory", format!("at most {memory}{}", all.unwrap_or_default())));
    }
    if let Some(kills) = peaks.oom_kills.filter(|kills| *kills > 0) {
        lines.push(("memory", format!("used up: the kernel killed {kills} of its processes")));
    }
    if let Some(disk) = disk(peaks) {
        lines.push(("disk", format!("at most {disk} more than at its start")));
    }
    lines
}

pub(super) fn cpu(peaks: &Peaks) -> Option<String> {
    let (cpu, cpus) = (peaks.cpu_ms?, peaks.cpus()?);
    Some(format!("{}.{} s, {cpus:.2} vCPU on average", cpu / 1000, cpu % 1000 / 100))
}

pub(super) fn mean_cpus(peaks: &Peaks) -> Option<String> {
    Some(format!("{:.2}", peaks.cpus()?))
}

pub(super) fn memory(peaks: &Peaks) -> Option<String> {
    Some(format!("{} MiB", peaks.memory_bytes? / MIB))
}

pub(super) fn disk(peaks: &Peaks) -> Option<String> {
    Some(format!("{} MiB", peaks.disk_bytes? / MIB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_told_and_nothing_else() {
        let told = |peaks: &Peaks| {
            lines(peaks).into_iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        let values = [4_000, 6_190, 12, 700 * MIB, 900 * MIB, 64 * MIB, 2].map(Some);
        assert_eq!(
            told(&Peaks::from_values(values)),
            [
                "CPU: 6.1 s, 1.55 vCPU on average, at the limit in 12 % of the time",
                "memory: at most 700 MiB, 900 MiB with file cache",
                "memory: used up: the kernel killed 2 of its processes",
                "disk: at most 64 MiB more than at its start",
            ]
        );
        assert_eq!(told(&Peaks { oom_kills: Some(0), ..Peaks::default() }), [""; 0]);
    }
}
