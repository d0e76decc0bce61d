//! What a job's minutes would cost on a runner that GitHub hosts.

use jiff::SignedDuration;

use crate::rules::class::size::{Arch, Size};

/// When the prices below were read, from GitHub's page "Actions runner pricing"
/// (docs.github.com/en/billing/reference/actions-runner-pricing). They are in force since 2026-01-01.
pub const HOSTED_PRICES_AS_OF: &str = "2026-11";

/// A machine that GitHub hosts, in a private repository.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HostedMachine {
    /// GitHub's name in its list of prices.
    pub name: &'static str,
    cpus: u32,
    memory_gib: u32,
    usd_per_minute: f64,
}

const fn machine(name: &'static str, cpus: u32, memory_gib: u32, usd_per_minute: f64) -> HostedMachine {
    HostedMachine { name, cpus, memory_gib, usd_per_minute }
}

/// Linux, the smallest first. CPUs and memory are those of GitHub's page "Larger runners reference", which has the same
/// for two CPUs as the standard runners. The single-CPU runner is left out: it is a container on a shared machine, and
/// its jobs end after 15 minutes.
const X64: [HostedMachine; 7] = [
    machine("Linux 2-core", 2, 8, 0.006),
    machine("Linux 4-core", 4, 16, 0.012),
    machine("Linux 8-core", 8, 32, 0.022),
    machine("Linux 16-core", 16, 64, 0.042),
    machine("Linux 32-core", 32, 128, 0.082),
    machine("Linux 64-core", 64, 256, 0.162),
    machine("Linux 96-core", 96, 384, 0.252),
];
const ARM64: [HostedMachine; 6] = [
    machine("Linux 2-core arm64", 2, 8, 0.005),
    machine("Linux 4-core arm64", 4, 16, 0.008),
    machine("Linux 8-core arm64", 8, 32, 0.014),
    machine("Linux 16-core arm64", 16, 64, 0.026),
    machine("Linux 32-core arm64", 32, 128, 0.050),
    machine("Linux 64-core arm64", 64, 208, 0.098),
];

/// Returns the smallest machine of the same architecture that has at least as many CPUs and as much memory; `None` if
/// GitHub hosts none.
#[must_use]
pub fn hosted_machine(size: Size) -> Option<HostedMachine> {
    let machines: &[HostedMachine] = match size.arch() {
        Arch::X64 => &X64,
        Arch::Arm64 => &ARM64,
    };
    let has_room = |machine: &&HostedMachine| {
        machine.cpus * 1024 >= size.cpu() && machine.memory_gib * 1024 >= size.memory()
    };
    machines.iter().find(has_room).copied()
}

/// Returns the minutes that GitHub bills for a job: it rounds each job up to a full minute.
#[must_use]
pub fn billed_minutes(ran: SignedDuration) -> u64 {
    u64::try_from(ran.as_millis().max(0)).unwrap_or(u64::MAX).div_ceil(60_000)
}

impl HostedMachine {
    /// Returns the price of a minute in US dollars.
    #[must_use]
    pub const fn minute_usd(self) -> f64 {
        self.usd_per_minute
    }

    /// Returns the price of a job in US dollars.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a job has few minutes")]
    pub fn usd(self, ran: SignedDuration) -> f64 {
        billed_minutes(ran) as f64 * self.usd_per_minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(cpu: u32, memory: u32, arch: Arch) -> Option<&'static str> {
        hosted_machine(Size::new(cpu, memory, None, arch).unwrap()).map(|machine| machine.name)
    }

    #[test]
    fn a_size_compares_with_the_smallest_machine_that_has_as_much() {
        assert_eq!(name(512, 1024, Arch::X64), Some("Linux 2-core"));
        assert_eq!(name(2048, 8192, Arch::X64), Some("Linux 2-core"));
        assert_eq!(name(2048, 9216, Arch::X64), Some("Linux 4-core"), "its memory decides");
        assert_eq!(name(4096, 8192, Arch::Arm64), Some("Linux 4-core arm64"));
        assert_eq!(name(32_768, 249_856, Arch::X64), Some("Linux 64-core"));
        assert_eq!(name(32_768, 249_856, Arch::Arm64), None, "none has 244 GiB");
    }

    #[test]
    fn each_job_is_rounded_up_to_a_full_minute() {
        let minutes = |millis| billed_minutes(SignedDuration::from_millis(millis));
        assert_eq!([0, 1, 60_000, 60_001, 119_999].map(minutes), [0, 1, 1, 2, 2]);
        let machine = hosted_machine(Size::new(1024, 2048, None, Arch::X64).unwrap()).unwrap();
        assert!((machine.usd(SignedDuration::from_secs(61)) - 0.012).abs() < 1e-12);
    }
}
