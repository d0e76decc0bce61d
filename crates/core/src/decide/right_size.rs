//! Which classes would fit what jobs have used, by rules that leave room. What a person does with it is not decided here.

use jiff::Timestamp;

use crate::id::Repository;
use crate::rules::class::size::Size;
use crate::rules::class::{Capacity, Catalogue, Class};
use crate::rules::cost::{Market, fargate_usd};
use crate::wire::peaks::Peaks;

/// A class is recommended only from so many measured runs.
pub const LEAST_RUNS: usize = 20;
/// How much of its memory and of its disk the jobs of a class may use, at the 95th percentile.
pub const STORAGE_PERCENT: u64 = 80;
/// How many of its CPUs the jobs of a class may keep busy on average, at the 95th percentile.
pub const CPU_PERCENT: u64 = 70;
/// Jobs that are at the limit of their CPUs in more of the time, at the 95th percentile, get no fewer CPUs.
pub const THROTTLED_PERCENT: u64 = 10;

/// What a run used, and what it was billed for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Run {
    pub peaks: Peaks,
    /// How long its task ran, in seconds.
    pub task_seconds: f64,
    pub market: Market,
}

/// What jobs need: the 95th percentiles of what their runs used.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Needs {
    pub cpus: f64,
    pub memory_bytes: u64,
    /// `None` if it is not known.
    pub disk_bytes: Option<u64>,
    /// `None` if no limit was known.
    pub throttled_percent: Option<u64>,
    /// Whether any run ended because its memory was used up.
    pub out_of_memory: bool,
}

impl Needs {
    /// Whether a class of this size fits jobs that now run in one of `present`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a per cent is small")]
    pub fn fit(&self, size: Size, present: Size) -> bool {
        const MIB: u64 = 1024 * 1024;
        let room = |mib: u64| mib * MIB * STORAGE_PERCENT / 100;
        let has_memory = self.memory_bytes <= room(u64::from(size.memory()))
            && (!self.out_of_memory || size.memory() > present.memory());
        let has_disk =
            self.disk_bytes.is_none_or(|disk| disk <= room(u64::from(size.ephemeral_storage_gib()) * 1024));
        let at_limit = self.throttled_percent.is_some_and(|percent| percent > THROTTLED_PERCENT);
        let has_cpu = self.cpus <= f64::from(size.cpu()) / 1024.0 * CPU_PERCENT as f64 / 100.0
            && !(at_limit && size.cpu() < present.cpu());
        has_memory && has_disk && has_cpu
    }
}

/// Returns the 95th percentile of values that were measured, by nearest rank.
pub fn p95<T: Copy>(values: &mut [T], order: impl Fn(&T, &T) -> std::cmp::Ordering) -> Option<T> {
    percentile(values, 95, order)
}

/// Returns a percentile by nearest rank: a value that was measured.
pub fn percentile<T: Copy>(
    values: &mut [T],
    percent: usize,
    order: impl Fn(&T, &T) -> std::cmp::Ordering,
) -> Option<T> {
    values.sort_by(order);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

/// Returns how much longer a run may take with `size` in place of `present`, in seconds: as if all of its CPU time had been
/// spent on all CPUs at once.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a job has far fewer milliseconds than a mantissa holds")]
pub fn longer_seconds(run: &Run, size: Size, present: Size) -> f64 {
    let cpus = |size: Size| f64::from(size.cpu()) / 1024.0;
    let cpu_seconds = run.peaks.cpu_ms.unwrap_or(0) as f64 / 1000.0;
    (cpu_seconds / cpus(size) - cpu_seconds / cpus(present)).max(0.0)
}

/// Returns what a run would have cost at most with `size` in place of `present`, in US dollars at list prices.
#[must_use]
pub fn run_usd(run: &Run, class: &Class, present: Size) -> f64 {
    let seconds = run.task_seconds + longer_seconds(run, class.size, present);
    let market = match class.capacity {
        Capacity::OnDemand => Market::OnDemand,
        Capacity::Spot => Market::Spot,
        Capacity::SpotThenOnDemand => run.market,
    };
    let from = Timestamp::UNIX_EPOCH;
    let to = from + std::time::Duration::from_secs_f64(seconds.clamp(0.0, 1e9));
    fargate_usd(class.size, market, from, to)
}

/// Whether a job can move from one class to the other as it is: the same compute, architecture, image, engine and services, and
/// all of these repositories are allowed.
#[must_use]
pub fn can_replace<'a>(
    present: &Class,
    other: &Class,
    mut repositories: impl Iterator<Item = &'a Repository>,
) -> bool {
    other.size.arch() == present.size.arch()
        && (other.compute, other.docker) == (present.compute, present.docker)
        && other.image == present.image
        && (present.services.is_empty() || other.services == present.services)
        && repositories.all(|repository| other.allows(repository))
}

/// Returns the class with the least memory that has more than `present`, for a job of this repository that ran out of it.
#[must_use]
pub fn with_more_memory<'a>(
    catalogue: &'a Catalogue,
    present: &Class,
    repository: &Repository,
) -> Option<&'a Class> {
    let larger = catalogue.iter().filter(|class| class.size.memory() > present.size.memory());
    let fitting = larger.filter(|class| can_replace(present, class, std::iter::once(repository)));
    fitting.min_by_key(|class| (class.size.memory(), class.size.cpu()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ClassName;
    use crate::rules::class::size::Arch;

    const MIB: u64 = 1024 * 1024;

    fn size(cpu: u32, memory: u32) -> Size {
        Size::new(cpu, memory, None, Arch::X64).unwrap()
    }

    fn needs() -> Needs {
        Needs {
            cpus: 0.7,
            memory_bytes: 2048 * MIB * 80 / 100,
            disk_bytes: Some(16 * 1024 * MIB),
            throttled_percent: Some(10),
            out_of_memory: false,
        }
    }

    #[test]
    fn a_class_fits_up_to_each_limit_and_not_beyond() {
        let (small, large) = (size(1024, 2048), size(4096, 8192));
        let fits = |change: fn(&mut Needs)| {
            let mut needs = needs();
            change(&mut needs);
            (needs.fit(small, large), needs.fit(large, large))
        };
        assert_eq!(fits(|_| {}), (true, true));
        assert_eq!(fits(|needs| needs.cpus = 0.71), (false, true));
        assert_eq!(fits(|needs| needs.memory_bytes += 1), (false, true));
        assert_eq!(fits(|needs| needs.disk_bytes = Some(16 * 1024 * MIB + 1)), (false, false));
        assert_eq!(fits(|needs| needs.disk_bytes = None), (true, true));
        assert_eq!(fits(|needs| needs.throttled_percent = Some(11)), (false, true));
        assert_eq!(fits(|needs| needs.throttled_percent = None), (true, true));
        assert_eq!(fits(|needs| needs.out_of_memory = true), (false, false), "only more memory fits");
        assert!(Needs { out_of_memory: true, ..needs() }.fit(size(4096, 9216), large));
    }

    #[test]
    fn a_run_on_fewer_cpus_is_counted_as_long_as_it_can_take() {
        let peaks = Peaks { cpu_ms: Some(60_000), ..Peaks::default() };
        let run = Run { peaks, task_seconds: 100.0, market: Market::OnDemand };
        let longer = |to: Size, from: Size| longer_seconds(&run, to, from);
        assert!((longer(size(1024, 2048), size(4096, 8192)) - 45.0).abs() < 1e-9);
        assert!(longer(size(4096, 8192), size(1024, 2048)).abs() < 1e-9, "never shorter");
        let (catalogue, _) = Catalogue::read(
            &serde_json::from_str(
                r#"{"small": {"cpu": 1024, "memory": 2048}, "spot": {"cpu": 1024, "memory": 2048, "capacity": "spot"}}"#,
            )
            .unwrap(),
        );
        let usd = |name: &str| {
            run_usd(&run, catalogue.get(&ClassName::parse(name).unwrap()).unwrap(), size(4096, 8192))
        };
        let from = Timestamp::UNIX_EPOCH;
        let to = from + jiff::SignedDuration::from_secs(145);
        assert!((usd("small") - fargate_usd(size(1024, 2048), Market::OnDemand, from, to)).abs() < 1e-12);
        assert!((usd("spot") - fargate_usd(size(1024, 2048), Market::Spot, from, to)).abs() < 1e-12);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let of =
            |count: u64, percent| percentile(&mut (1..=count).rev().collect::<Vec<_>>(), percent, Ord::cmp);
        assert_eq!((of(20, 95), of(100, 95), of(1, 95), of(20, 50)), (Some(19), Some(95), Some(1), Some(10)));
        assert_eq!(of(0, 95), None);
    }

    #[test]
    fn a_job_out_of_memory_is_led_to_the_next_class_that_can_take_it() {
        let (catalogue, errors) = Catalogue::read(
            &serde_json::from_str(
                r#"{"small": {"cpu": 512, "memory": 1024}, "more": {"cpu": 512, "memory": 2048, "repositories": ["acme/other"]},
                    "arm": {"cpu": 512, "memory": 2048, "arch": "arm64"}, "image": {"cpu": 512, "memory": 2048, "image": "x"},
                    "large": {"cpu": 1024, "memory": 4096}, "huge": {"cpu": 4096, "memory": 8192}}"#,
            )
            .unwrap(),
        );
        assert!(errors.is_empty(), "{errors:?}");
        let next = |class: &str, repository: &str| {
            let class = catalogue.get(&ClassName::parse(class).unwrap()).unwrap();
            let found = with_more_memory(&catalogue, class, &Repository::parse(repository).unwrap());
            found.map(|class| class.name.to_string())
        };
        assert_eq!(next("small", "acme/app").as_deref(), Some("large"));
        assert_eq!(next("small", "acme/other").as_deref(), Some("more"));
        assert_eq!(next("huge", "acme/app"), None);
    }
}
