//! The result of a simulation as tables for people, or as lines for programs.

use jiff::SignedDuration;

use super::report::{OfJobs, Part, Percentiles, Report};
use crate::output::{NONE, Rows, clean, span, usd, wrapped};

/// Returns the tables. `width` is that of a terminal in columns, or `None` for programs.
pub(super) fn text(report: &Report, width: Option<usize>) -> String {
    let for_people = width.is_some();
    let starts = starts(report, for_people).text(for_people);
    let waits = waits(report, for_people).text(for_people);
    let waiting = waiting(report, for_people).text(for_people);
    let figures = figures(report, for_people).text(for_people);
    let Some(width) = width else { return starts + &waits + &waiting + &figures };
    let refused: Vec<String> =
        report.jobs.refusals.iter().map(|refusal| format!("{} {}", refusal.jobs, refusal.code)).collect();
    let refused =
        if refused.is_empty() { String::new() } else { format!("refused jobs: {}\n\n", refused.join(", ")) };
    let limited = match &report.limited_first {
        None => "no limit, pace or hold made a job wait\n".to_owned(),
        Some(limited) => {
            format!("limited first: {}, from {:.0}: {}\n", limited.code, limited.at, clean(&limited.text))
        }
    };
    let limited = wrapped(&format!("{limited}\n{refused}"), width);
    format!("{starts}\n{waits}\n{waiting}\n{limited}{figures}")
}

fn starts(report: &Report, for_people: bool) -> Rows {
    let mut rows = Rows::new(["TIME TO START", "JOBS>", "P50>", "P90>", "P99>", "MAX>", "COST>"]);
    let mut add = |name: String, jobs: u64, percentiles: Option<Percentiles>, cost: f64| {
        let secs = |of: fn(&Percentiles) -> f64| match &percentiles {
            Some(percentiles) => seconds(of(percentiles), for_people),
            None => NONE.to_owned(),
        };
        rows.add([
            name,
            jobs.to_string(),
            secs(|it| it.p50),
            secs(|it| it.p90),
            secs(|it| it.p99),
            secs(|it| it.max),
            dollars(cost, for_people),
        ]);
    };
    add("all jobs".to_owned(), report.jobs.queued, report.time_to_start_secs, report.cost.total_usd);
    let parts = [("class", &report.classes), ("repository", &report.repositories)];
    for (table, parts) in parts {
        for Part { name, jobs, time_to_start_secs, cost_usd } in parts {
            add(format!("{table} {name}"), *jobs, *time_to_start_secs, *cost_usd);
        }
    }
    rows
}

/// Where the time to start went, of the jobs for which a part is known.
fn waits(report: &Report, for_people: bool) -> Rows {
    let mut rows = Rows::new(["PART OF IT", "JOBS>", "P50>", "P90>", "P99>", "MAX>"]);
    let parts = report.wait.parts.iter().map(|(part, of_jobs)| (part.word(), *of_jobs));
    let unknown = report.wait.unknown.filter(|unknown| unknown.secs.max > 0.0);
    for (name, OfJobs { jobs, secs }) in parts.chain(unknown.map(|unknown| ("unknown", unknown))) {
        let time = |secs| seconds(secs, for_people);
        rows.add([
            name.to_owned(),
            jobs.to_string(),
            time(secs.p50),
            time(secs.p90),
            time(secs.p99),
            time(secs.max),
        ]);
    }
    rows
}

fn waiting(report: &Report, for_people: bool) -> Rows {
    let mut rows = Rows::new(["WAITED FOR", "LIMIT>", "SHARE>", "HOURS>", "WAITS>", "FIRST AT>"]);
    for waiting in &report.waiting {
        let share =
            if for_people { format!("{:.1}%", waiting.share * 100.0) } else { waiting.share.to_string() };
        rows.add([
            waiting.code.to_owned(),
            if waiting.is_limit { "yes" } else { "no" }.to_owned(),
            share,
            format!("{:.2}", waiting.hours),
            waiting.waits.to_string(),
            format!("{:.0}", waiting.first_at),
        ]);
    }
    rows
}

fn figures(report: &Report, for_people: bool) -> Rows {
    let mut rows = Rows::new(["FIGURE", "VALUE>"]);
    let mut add = |name: &str, value: String| rows.add([name.to_owned(), value]);
    let (jobs, runners, peaks, cost) = (&report.jobs, &report.runners, &report.peaks, &report.cost);
    add("jobs started", jobs.started.to_string());
    add("jobs failed by a limit or by Spot", jobs.failed.to_string());
    add("jobs refused", jobs.refused.to_string());
    add("jobs still queued", jobs.still_queued.to_string());
    add("runners launched", runners.launches.to_string());
    add("runners without a job", runners.launches_without_job.to_string());
    add("runners not launched", runners.not_launched.to_string());
    add("task hours", format!("{:.2}", runners.task_hours));
    add("task hours without a job", format!("{:.2}", runners.idle_task_hours));
    add("cost", dollars(cost.total_usd, for_people));
    add("cost without a job", dollars(cost.idle_usd, for_people));
    if runners.warm > 0 || cost.warm_usd > 0.0 {
        add("runners from warm tasks", runners.warm.to_string());
        add("cost of warm tasks", dollars(cost.warm_usd, for_people));
    }
    add("cost of a job", cost.per_job_usd.map_or_else(|| NONE.to_owned(), |usd| dollars(usd, for_people)));
    add("most queued jobs", peaks.queued.to_string());
    add("most runners", peaks.runners.to_string());
    add("most vCPUs", peaks.vcpus.to_string());
    rows
}

fn seconds(secs: f64, for_people: bool) -> String {
    if !for_people {
        return secs.to_string();
    }
    span(SignedDuration::try_from_secs_f64(secs).unwrap_or_default())
}

fn dollars(dollars: f64, for_people: bool) -> String {
    if for_people { usd(dollars) } else { format!("{dollars:.6}") }
}
