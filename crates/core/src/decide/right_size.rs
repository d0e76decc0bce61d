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
    /// The CPU units that its runner had. Its class may have others by now.
    pub cpu: u32,
    /// How long its task ran, in seconds.
    pub task_seconds: f64,
    pub market: Market,
}

/// What jobs need, by what their runs used.
#[derive(Clone, PartialEq, Debug)]
pub struct Needs {
    /// The 95th percentile.
    pub cpus: f64,
    /// The 95th percentile.
    pub memory_bytes: u64,
    /// The most memory of any run.
    pub most_memory_bytes: u64,
    /// The 95th percentile; `None` if it is not known.
    pub disk_bytes: Option<u64>,
    /// For each run with a limit that is known: its CPU units, and in how much of the time it was at their limit, in per cent.
    pub throttled: Vec<(u32, u64)>,
    /// The most memory with which a run ran out of it, in MiB; `None` if none did.
    pub out_of_memory: Option<u32>,
}

impl Needs {
    /// Returns what these runs need; `None` without a run whose CPU time and memory were measured.
    #[must_use]
    pub fn of(runs: &[Run], out_of_memory: Option<u32>) -> Option<Self> {
        let all = |value: fn(&Peaks) -> Option<u64>| runs.iter().filter_map(move |run| value(&run.peaks));
        let p95_of = |value| p95(&mut all(value).collect::<Vec<_>>(), Ord::cmp);
        let cpus =
            p95(&mut runs.iter().filter_map(|run| run.peaks.cpus()).collect::<Vec<_>>(), f64::total_cmp);
        let throttled = runs.iter().filter_map(|run| Some((run.cpu, run.peaks.throttled_percent?)));
        Some(Self {
            cpus: cpus?,
            memory_bytes: p95_of(|peaks| peaks.memory_bytes)?,
            most_memory_bytes: all(|peaks| peaks.memory_bytes).max()?,
            disk_bytes: p95_of(|peaks| peaks.disk_bytes),
            throttled: throttled.collect(),
            out_of_memory,
        })
    }

    /// Whether a class of this size fits the jobs.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a per cent is small")]
    pub fn fit(&self, size: Size) -> bool {
        const MIB: u64 = 1024 * 1024;
        let room = |mib: u64| mib * MIB * STORAGE_PERCENT / 100;
        let memory = u64::from(size.memory());
        let has_memory = self.memory_bytes <= room(memory)
            && self.most_memory_bytes <= memory * MIB
            && self.out_of_memory.is_none_or(|too_little| size.memory() > too_little);
        let has_disk =
            self.disk_bytes.is_none_or(|disk| disk <= room(u64::from(size.ephemeral_storage_gib()) * 1024));
        // A run says nothing about a limit that is not below its own.
        let throttled =
            self.throttled.iter().map(|(cpu, percent)| if size.cpu() < *cpu { *percent } else { 0 });
        let at_limit = p95(&mut throttled.collect::<Vec<_>>(), Ord::cmp);
        let has_cpu = self.cpus <= f64::from(size.cpu()) / 1024.0 * CPU_PERCENT as f64 / 100.0
            && at_limit.is_none_or(|percent| percent <= THROTTLED_PERCENT);
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

/// Returns how much longer a run may take with this size than it took, in seconds: as if all of its CPU time had been spent on
/// all CPUs at once.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a job has far fewer milliseconds than a mantissa holds")]
pub fn longer_seconds(run: &Run, size: Size) -> f64 {
    let cpus = |cpu: u32| f64::from(cpu) / 1024.0;
    let cpu_seconds = run.peaks.cpu_ms.unwrap_or(0) as f64 / 1000.0;
    (cpu_seconds / cpus(size.cpu()) - cpu_seconds / cpus(run.cpu)).max(0.0)
}

/// Returns what a run would have cost at most in this class, in US dollars at list prices.
#[must_use]
pub fn run_usd(run: &Run, class: &Class) -> f64 {
    let seconds = run.task_seconds + longer_seconds(run, class.size);
    let market = match class.capacity {
        Capacity::OnDemand => Market::OnDemand,
        Capacity::Spot => Market::Spot,
        Capacity::SpotThenOnDemand => run.market,
    };
    let from = Timestamp::UNIX_EPOCH;
    let to = from + std::time::Duration::from_secs_f64(seconds.clamp(0.0, 1e9));
    fargate_usd(class.size, market, from, to)
}

/// Whether a job can move from one class to the other as it is: the same compute, GPUs, architecture, image, engine and services,
/// no more interruptions, no less time, no ECS Exec that it does not have now, and all of these repositories are allowed.
///
/// `max_job_minutes` are the deployment's, which a class without its own has.
#[must_use]
pub fn can_replace<'a>(
    present: &Class,
    other: &Class,
    max_job_minutes: u32,
    mut repositories: impl Iterator<Item = &'a Repository>,
) -> bool {
    let minutes = |class: &Class| class.max_job_minutes.unwrap_or(max_job_minutes);
    other.size.arch() == present.size.arch()
        && (other.compute, other.docker) == (present.compute, present.docker)
        && other.gpu == present.gpu
        && other.image == present.image
        && other.services == present.services
        && (other.capacity == present.capacity || other.capacity == Capacity::OnDemand)
        && minutes(other) >= minutes(present)
        && (!other.exec || present.exec)
        && repositories.all(|repository| other.allows(repository))
}

/// Returns the class with the least memory that has more than `memory` MiB, for a job of this repository that ran out of them.
/// It can be the present one, if that was enlarged since.
#[must_use]
pub fn with_more_memory<'a>(
    catalogue: &'a Catalogue,
    present: &'a Class,
    memory: u32,
    max_job_minutes: u32,
    repository: &Repository,
) -> Option<&'a Class> {
    if present.size.memory() > memory {
        return Some(present);
    }
    let larger = catalogue.iter().filter(|class| class.size.memory() > memory);
    let fitting =
        larger.filter(|class| can_replace(present, class, max_job_minutes, std::iter::once(repository)));
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
            most_memory_bytes: 2048 * MIB,
            disk_bytes: Some(16 * 1024 * MIB),
            throttled: vec![(4096, 10)],
            out_of_memory: None,
        }
    }

    #[test]
    fn a_class_fits_up_to_each_limit_and_not_beyond() {
        let (small, large) = (size(1024, 2048), size(4096, 8192));
        let fits = |change: fn(&mut Needs)| {
            let mut needs = needs();
            change(&mut needs);
            (needs.fit(small), needs.fit(large))
        };
        assert_eq!(fits(|_| {}), (true, true));
        assert_eq!(fits(|needs| needs.cpus = 0.71), (false, true));
        assert_eq!(fits(|needs| needs.memory_bytes += 1), (false, true));
        assert_eq!(fits(|needs| needs.disk_bytes = Some(16 * 1024 * MIB + 1)), (false, false));
        assert_eq!(fits(|needs| needs.disk_bytes = None), (true, true));
        assert_eq!(fits(|needs| needs.most_memory_bytes += 1), (false, true), "one run needs all of it");
        assert_eq!(fits(|needs| needs.throttled = vec![(4096, 11)]), (false, true));
        assert_eq!(fits(|needs| needs.throttled = vec![(1024, 90)]), (true, true), "it had no more CPUs");
        assert_eq!(fits(|needs| needs.throttled.clear()), (true, true));
        assert_eq!(fits(|needs| needs.out_of_memory = Some(2048)), (false, true), "only more memory fits");
        assert_eq!(fits(|needs| needs.out_of_memory = Some(8192)), (false, false));
    }

    #[test]
    fn runs_need_what_most_of_them_used_and_the_memory_of_the_greediest() {
        let run = |percent: u64| {
            let peaks = Peaks {
                measured_ms: Some(100_000),
                cpu_ms: Some(percent * 1_000),
                memory_bytes: Some(percent * MIB),
                ..Peaks::default()
            };
            Run { peaks, cpu: 1024, task_seconds: 100.0, market: Market::OnDemand }
        };
        let needs = Needs::of(&(1..=20).map(run).collect::<Vec<_>>(), Some(7)).unwrap();
        assert_eq!((needs.memory_bytes, needs.most_memory_bytes), (19 * MIB, 20 * MIB));
        assert_eq!((needs.cpus, needs.disk_bytes, needs.out_of_memory), (0.19, None, Some(7)));
        assert_eq!(Needs::of(&[], None), None);
    }

    #[test]
    fn a_run_on_fewer_cpus_is_counted_as_long_as_it_can_take() {
        let peaks = Peaks { cpu_ms: Some(60_000), ..Peaks::default() };
        let on = |size: Size| Run { peaks, cpu: size.cpu(), task_seconds: 100.0, market: Market::OnDemand };
        let longer = |to: Size, from: Size| longer_seconds(&on(from), to);
        assert!((longer(size(1024, 2048), size(4096, 8192)) - 45.0).abs() < 1e-9);
        assert!(longer(size(4096, 8192), size(1024, 2048)).abs() < 1e-9, "never shorter");
        let (catalogue, _) = Catalogue::read(
            &serde_json::from_str(
                r#"{"small": {"cpu": 1024, "memory": 2048}, "spot": {"cpu": 1024, "memory": 2048, "capacity": "spot"}}"#,
            )
            .unwrap(),
        );
        let usd = |name: &str| {
            run_usd(&on(size(4096, 8192)), catalogue.get(&ClassName::parse(name).unwrap()).unwrap())
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
                    "large": {"cpu": 1024, "memory": 4096}, "huge": {"cpu": 4096, "memory": 8192},
                    "cuda": {"cpu": 4096, "memory": 8192, "compute": "managed-instances", "gpu": {"count": 1}},
                    "cuda-large": {"cpu": 8192, "memory": 65536, "compute": "managed-instances", "gpu": {"count": 1}},
                    "instance": {"cpu": 4096, "memory": 14336, "compute": "managed-instances"},
                    "instance-large": {"cpu": 8192, "memory": 28672, "compute": "managed-instances"}}"#,
            )
            .unwrap(),
        );
        assert!(errors.is_empty(), "{errors:?}");
        let next = |class: &str, memory: u32, repository: &str| {
            let class = catalogue.get(&ClassName::parse(class).unwrap()).unwrap();
            let repository = Repository::parse(repository).unwrap();
            let found = with_more_memory(&catalogue, class, memory, 360, &repository);
            found.map(|class| class.name.to_string())
        };
        assert_eq!(next("small", 1024, "acme/app").as_deref(), Some("large"));
        assert_eq!(next("small", 1024, "acme/other").as_deref(), Some("more"));
        assert_eq!(next("small", 512, "acme/app").as_deref(), Some("small"), "enlarged since");
        assert_eq!(next("small", 4096, "acme/app").as_deref(), Some("huge"), "made smaller since");
        assert_eq!(next("huge", 8192, "acme/app"), None);
        assert_eq!(next("cuda", 8192, "acme/app").as_deref(), Some("cuda-large"), "it needs its GPU");
        assert_eq!(next("instance", 14_336, "acme/app").as_deref(), Some("instance-large"));
        assert_eq!(next("instance-large", 28_672, "acme/app"), None, "GPUs cost more than memory");
    }

    #[test]
    fn a_job_moves_only_to_a_class_that_interrupts_limits_and_opens_it_no_more() {
        let (catalogue, errors) = Catalogue::read(
            &serde_json::from_str(
                r#"{"plain": {"cpu": 512, "memory": 1024}, "spot": {"cpu": 512, "memory": 1024, "capacity": "spot"},
                    "both": {"cpu": 512, "memory": 1024, "capacity": "spot-then-on-demand"},
                    "short": {"cpu": 512, "memory": 1024, "max_job_minutes": 359}, "long": {"cpu": 512, "memory": 1024, "max_job_minutes": 361},
                    "exec": {"cpu": 512, "memory": 1024, "exec": true},
                    "db": {"cpu": 512, "memory": 1024, "services": {"db": {"image": "postgres:17", "port": 5432, "cpu": 64, "memory": 256}}}}"#,
            )
            .unwrap(),
        );
        assert!(errors.is_empty(), "{errors:?}");
        let can = |present: &str, other: &str| {
            let class = |name: &str| catalogue.get(&ClassName::parse(name).unwrap()).unwrap();
            can_replace(class(present), class(other), 360, std::iter::empty())
        };
        for (present, other, expected) in [
            ("plain", "spot", false),
            ("plain", "both", false),
            ("spot", "both", false),
            ("spot", "plain", true),
            ("both", "plain", true),
            ("spot", "spot", true),
            ("plain", "short", false),
            ("short", "plain", true),
            ("plain", "long", true),
            ("long", "plain", false),
            ("plain", "exec", false),
            ("exec", "plain", true),
            ("plain", "db", false),
            ("db", "plain", false),
        ] {
            assert_eq!(can(present, other), expected, "{present} by {other}");
        }
    }
}
