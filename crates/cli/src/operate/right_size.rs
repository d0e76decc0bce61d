//! `ecsrunner costs --right-size`: which class would fit what jobs have used.

use ecsrunner_api::right_size::{Advice, RightSizeRow, Spread, right_size};
use ecsrunner_core::decide::right_size::{CPU_PERCENT, LEAST_RUNS, STORAGE_PERCENT, THROTTLED_PERCENT};
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::cost::PRICES_AS_OF;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::arguments::CostsArguments;
use crate::deployment::{Deployment, Query};
use crate::exit::Failure;
use crate::output::{self, Rows, or_none, print, span, usd, width_for_people, wrapped};

#[derive(Serialize)]
struct Document {
    since: Timestamp,
    rows: Vec<RightSizeRow>,
    rules: Rules,
    prices_as_of: &'static str,
}

/// The rules by which a class fits and is recommended.
#[derive(Serialize)]
struct Rules {
    runs: usize,
    memory_percent: u64,
    disk_percent: u64,
    cpu_percent: u64,
    throttled_percent: u64,
}

const RULES: Rules = Rules {
    runs: LEAST_RUNS,
    memory_percent: STORAGE_PERCENT,
    disk_percent: STORAGE_PERCENT,
    cpu_percent: CPU_PERCENT,
    throttled_percent: THROTTLED_PERCENT,
};

pub(super) async fn right_sizes(arguments: &CostsArguments) -> Result<(), Failure> {
    let deployment = Deployment::connect(&arguments.target).await?;
    let since = arguments.since.time(Timestamp::now());
    let query = Query { since: Some(since), ..Query::default() };
    let (runners, jobs) = tokio::try_join!(deployment.runners(&query), deployment.jobs(&query))?;
    let rules = deployment.rules()?;
    let catalogue = rules.catalogue;
    let rows = right_size(&runners, &jobs, &catalogue, rules.settings.limits.max_job_minutes);
    if arguments.format.json {
        output::print_json(&Document { since, rows, rules: RULES, prices_as_of: PRICES_AS_OF })?;
    } else if arguments.csv {
        print(&table(&rows, &catalogue, false).csv())?;
    } else {
        print(&text(&rows, &catalogue, since, width_for_people()))?;
    }
    Ok(())
}

/// `width` is that of a terminal in columns, or `None` for programs.
fn text(rows: &[RightSizeRow], catalogue: &Catalogue, since: Timestamp, width: Option<usize>) -> String {
    let Some(width) = width else { return table(rows, catalogue, false).text(false) };
    if rows.is_empty() {
        let told = format!(
            "no job was measured since {since:.0}: agents measure jobs on AWS, and not on one machine"
        );
        return wrapped(&told, width);
    }
    let footer = format!(
        "\nsince {since:.0}, at list prices of us-east-1 of {PRICES_AS_OF}; CPU, memory and disk are the 50th and the \
         95th percentile of what jobs used\n\
         A class fits if the 95th percentile of CPU is at most {CPU_PERCENT} % of its vCPUs, and that of memory and \
         disk at most {STORAGE_PERCENT} % of what it has. Jobs that were at the limit of their CPUs in more than \
         {THROTTLED_PERCENT} % of the time get no fewer, and those that ran out of memory get more. Savings count each \
         job as long as it can take with fewer CPUs.\n"
    );
    table(rows, catalogue, true).text(true) + &wrapped(&footer, width)
}

fn table(rows: &[RightSizeRow], catalogue: &Catalogue, for_people: bool) -> Rows {
    let mut table = Rows::new([
        "CLASS",
        "REPOSITORY",
        "JOBS>",
        "OOM>",
        "CPU",
        "MEMORY",
        "DISK",
        "COST>",
        "FITS",
        "ADVICE",
    ]);
    for row in rows {
        let size = catalogue.iter().find(|class| class.name.as_str() == row.class).map(|class| class.size);
        let of = |spread: Option<Spread>, unit: &dyn Fn(f64) -> String, size: Option<String>| {
            let spread = spread.map(|Spread { p50, p95 }| format!("{} / {}", unit(p50), unit(p95)));
            match (spread, size) {
                (Some(spread), Some(size)) => format!("{spread} of {size}"),
                (spread, _) => or_none(spread.as_deref()),
            }
        };
        let fits: Vec<&str> = row.fits.iter().map(|fit| fit.class.as_str()).collect();
        table.add([
            row.class.clone(),
            row.repository.clone().unwrap_or_else(|| "(all)".to_owned()),
            row.runs.to_string(),
            row.out_of_memory.to_string(),
            of(
                row.cpus,
                &|cpus| format!("{cpus:.2}"),
                size.map(|size| (f64::from(size.cpu()) / 1024.0).to_string()),
            ),
            of(row.memory_bytes, &mib, size.map(|size| format!("{} MiB", size.memory()))),
            of(row.disk_bytes, &mib, size.map(|size| format!("{} MiB", size.ephemeral_storage_gib() * 1024))),
            if for_people { usd(row.cost_usd) } else { format!("{:.6}", row.cost_usd) },
            or_none((!fits.is_empty()).then(|| fits.join(" ")).as_deref()),
            words(row),
        ]);
    }
    table
}

fn mib(bytes: f64) -> String {
    format!("{:.0}", bytes / (1024.0 * 1024.0))
}

/// Returns the advice as a phrase.
fn words(row: &RightSizeRow) -> String {
    let fit = |class: &String| row.fits.iter().find(|fit| fit.class == *class);
    match &row.advice {
        Advice::TooFewRuns { runs, needed } => format!("too few jobs ({runs} of {needed})"),
        Advice::Keep => "keep".to_owned(),
        Advice::Save { class } => fit(class).map_or_else(String::new, |fit| {
            #[expect(clippy::cast_possible_truncation, reason = "a job takes days at most")]
            let longer = SignedDuration::from_millis((fit.longer_seconds * 1000.0) as i64);
            let longer = if longer.is_zero() {
                String::new()
            } else {
                format!("; jobs may take {} longer", span(longer))
            };
            let percent = fit.saved_usd / row.cost_usd * 100.0;
            format!("{class} saves {} ({percent:.0} %){longer}", usd(fit.saved_usd))
        }),
        Advice::Enlarge { class } => fit(class).map_or_else(String::new, |fit| {
            let cost = match fit.saved_usd {
                saved if saved < 0.0 => format!("costs {} more", usd(-saved)),
                saved => format!("saves {}", usd(saved)),
            };
            format!("too small: {class} fits and {cost}")
        }),
        Advice::NoClassFits => "too small: no class fits".to_owned(),
        Advice::ClassUnknown => "the class is no longer in the catalogue".to_owned(),
        Advice::ServicesNotMeasured => "not compared: its services were not measured".to_owned(),
        Advice::PriceUnknown => "not compared: prices on managed instances are unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_api::right_size::Fit;

    use super::*;

    fn catalogue() -> Catalogue {
        let text = r#"{"small": {"cpu": 1024, "memory": 2048}, "large": {"cpu": 4096, "memory": 8192}}"#;
        Catalogue::read(&serde_json::from_str(text).unwrap()).0
    }

    fn row(class: &str, repository: Option<&str>, advice: Advice) -> RightSizeRow {
        const MIB: f64 = 1024.0 * 1024.0;
        let fit = |class: &str, cost_usd, longer_seconds| Fit {
            class: class.to_owned(),
            cost_usd,
            saved_usd: 2.0 - cost_usd,
            longer_seconds,
        };
        RightSizeRow {
            class: class.to_owned(),
            repository: repository.map(str::to_owned),
            runs: 24,
            out_of_memory: 1,
            cpus: Some(Spread { p50: 0.41, p95: 0.666 }),
            memory_bytes: Some(Spread { p50: 700.0 * MIB, p95: 1500.4 * MIB }),
            disk_bytes: None,
            throttled_percent: None,
            cost_usd: 2.0,
            fits: vec![fit("small", 0.5, 12.3), fit("large", 2.5, 0.0)],
            advice,
        }
    }

    #[test]
    fn each_advice_is_told_with_what_it_costs() {
        let class = |name: &str| name.to_owned();
        let rows = [
            row("large", None, Advice::Save { class: class("small") }),
            row("large", Some("acme/app"), Advice::TooFewRuns { runs: 7, needed: 20 }),
            row("small", None, Advice::Enlarge { class: class("large") }),
            row("small", Some("acme/app"), Advice::NoClassFits),
            row("small", Some("acme/lib"), Advice::Keep),
            row("gone", None, Advice::ClassUnknown),
            row("large", None, Advice::ServicesNotMeasured),
            row("large", None, Advice::PriceUnknown),
        ];
        let of = |cpus: &str, memory: &str| {
            format!("24\t1\t0.41 / 0.67{cpus}\t700 / 1500{memory}\t—\t$2.0000\tsmall large")
        };
        let (small, large) = (of(" of 1", " of 2048 MiB"), of(" of 4", " of 8192 MiB"));
        let expected = [
            format!("large\t(all)\t{large}\tsmall saves $1.5000 (75 %); jobs may take 12s longer"),
            format!("large\tacme/app\t{large}\ttoo few jobs (7 of 20)"),
            format!("small\t(all)\t{small}\ttoo small: large fits and costs $0.5000 more"),
            format!("small\tacme/app\t{small}\ttoo small: no class fits"),
            format!("small\tacme/lib\t{small}\tkeep"),
            format!("gone\t(all)\t{}\tthe class is no longer in the catalogue", of("", "")),
            format!("large\t(all)\t{large}\tnot compared: its services were not measured"),
            format!("large\t(all)\t{large}\tnot compared: prices on managed instances are unknown"),
        ];
        assert_eq!(table(&rows, &catalogue(), true).text(false), expected.map(|line| line + "\n").concat());
    }

    #[test]
    fn without_a_measurement_people_are_told_where_there_are_some() {
        let at = Timestamp::from_second(1_764_000_000).unwrap();
        insta::assert_snapshot!(text(&[], &catalogue(), at, Some(80)), @r"
        no job was measured since 2025-11-24T16:00:00Z: agents measure jobs on AWS, and
        not on one machine
        ");
        assert_eq!(text(&[], &catalogue(), at, None), "");
    }

    #[test]
    fn the_footer_fits_into_80_columns() {
        let at = Timestamp::from_second(1_764_000_000).unwrap();
        let told = text(&[row("small", None, Advice::Keep)], &catalogue(), at, Some(80));
        insta::assert_snapshot!(told.split_once("\n\n").unwrap().1, @r"
        since 2025-11-24T16:00:00Z, at list prices of us-east-1 of 2026-09; CPU, memory
        and disk are the 50th and the 95th percentile of what jobs used
        A class fits if the 95th percentile of CPU is at most 70 % of its vCPUs, and
        that of memory and disk at most 80 % of what it has. Jobs that were at the limit
        of their CPUs in more than 10 % of the time get no fewer, and those that ran out
        of memory get more. Savings count each job as long as it can take with fewer
        CPUs.
        ");
    }
}
