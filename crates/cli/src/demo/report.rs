//! The result of the demo: a table, or JSON.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::wire::job::Conclusion;
use ecsrunner_demo::testbed::Testbed;
use ecsrunner_local::left::Left as LeftOnMachine;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::follow::{Seen, SimJob};
use super::progress::LEFT_QUEUED;
use super::{logs, summary};
use crate::exit::Failure;
use crate::output::{
    Rows, between, clean, clean_lines, or_none, print, print_json, short, span, span_or_none, usd,
    usd_or_none,
};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// How the run ended. A job that may fail does not fail it.
    conclusion: Option<Conclusion>,
    jobs: Vec<ReportedJob>,
    #[serde(skip)]
    shows_summaries: bool,
    /// What is said below the table.
    #[serde(skip)]
    notes: Vec<String>,
    left: Left,
    webhook_to_agent_ms: Percentiles,
}

#[derive(Debug, Serialize)]
struct ReportedJob {
    id: u64,
    name: String,
    class: Option<String>,
    runner: Option<String>,
    queued_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    conclusion: Option<Conclusion>,
    cost_usd: Option<f64>,
    /// Why no runner served it.
    left_queued: Option<String>,
    steps: Vec<ReportedStep>,
    outputs: BTreeMap<String, String>,
    annotations: Vec<String>,
    /// What its steps and its runner wrote into its summary.
    summaries: Vec<ReportedSummary>,
    log: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct ReportedSummary {
    step: Option<String>,
    text: String,
}

#[derive(Debug, Serialize)]
struct ReportedStep {
    name: String,
    conclusion: Option<Conclusion>,
}

#[derive(Debug, Serialize)]
struct Left {
    processes: usize,
    registrations: usize,
    boot_items: u64,
    open_records: usize,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: Option<f64>,
    p99: Option<f64>,
}

impl Report {
    pub(super) fn new(
        seen: &Seen,
        testbed: &Testbed,
        left: LeftOnMachine,
        registrations: usize,
        logs: &BTreeMap<u64, PathBuf>,
        shows_summaries: bool,
    ) -> anyhow::Result<Self> {
        let jobs = seen.run.iter().map(|job| reported(job, seen, logs.get(&job.id).cloned())).collect();
        let waits = seen.runners.values().filter_map(|runner| webhook_to_agent(runner, seen, testbed));
        let LeftOnMachine { processes, boot_items, open_records } = left;
        Ok(Self {
            conclusion: seen.conclusion.clone(),
            jobs,
            shows_summaries,
            notes: summary::lines(seen),
            left: Left { processes, registrations, boot_items, open_records },
            webhook_to_agent_ms: percentiles(waits.collect()),
        })
    }

    /// Returns what failed.
    pub(super) fn fault(&self) -> Option<Failure> {
        let unserved = self.jobs.iter().filter(|job| job.left_queued.is_some()).count();
        if unserved > 0 {
            let were = if unserved == 1 { "job was" } else { "jobs were" };
            let failure = Failure::from(anyhow!("{unserved} {were} {LEFT_QUEUED}"));
            return Some(
                failure
                    .hint("the result says why; `--label LABEL=CLASS` has a class serve jobs with a label"),
            );
        }
        self.failed().map(|fault| anyhow!(fault).into())
    }

    /// Returns what failed of the jobs that were served, and of the demo itself.
    fn failed(&self) -> Option<String> {
        let failed: Vec<&str> = self
            .jobs
            .iter()
            .filter(|job| !job.conclusion.as_ref().is_some_and(is_harmless))
            .map(|job| job.name.as_str())
            .collect();
        let is_harmless_run = self.conclusion.as_ref().is_some_and(is_harmless);
        if !is_harmless_run && failed.is_empty() {
            let conclusion = self.conclusion.as_ref().map_or("without a conclusion", Conclusion::as_str);
            return Some(format!("the run ended: {conclusion}"));
        }
        if !is_harmless_run {
            return Some(format!("not successful: {}", failed.join(", ")));
        }
        let Left { processes, registrations, boot_items, open_records } = self.left;
        if (processes, registrations, boot_items, open_records) != (0, 0, 0, 0) {
            return Some(format!(
                "left behind: {processes} processes, {registrations} registrations, \
                 {boot_items} boot items, {open_records} open records"
            ));
        }
        None
    }

    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            return print_json(self);
        }
        print(&format!("{}\n", self.table().text(true)))?;
        if let Some(directory) = self.jobs.iter().find_map(|job| job.log.as_deref()?.parent()) {
            print(&format!("logs in {}, named after their jobs\n\n", directory.display()))?;
        }
        if !self.notes.is_empty() {
            print(&format!("{}\n\n", self.notes.join("\n")))?;
        }
        for job in self.jobs.iter().filter(|_| self.shows_summaries) {
            for ReportedSummary { step, text } in &job.summaries {
                let step = step.as_deref().unwrap_or("a step");
                print(&format!(
                    "summary of {}, {}:\n\n{}\n",
                    clean(&job.name),
                    clean(step),
                    clean_lines(text)
                ))?;
            }
        }
        let total: f64 = self.jobs.iter().filter_map(|job| job.cost_usd).sum();
        let median = self.webhook_to_agent_ms.p50.map_or("—".to_owned(), |ms| format!("{ms:.0} ms"));
        print(&format!(
            "{} {}; {} at Fargate list prices; webhook to agent {median} (median); \
             left: {} processes, {} registrations, {} boot items, {} open records\n",
            self.jobs.len(),
            if self.jobs.len() == 1 { "job" } else { "jobs" },
            usd(total),
            self.left.processes,
            self.left.registrations,
            self.left.boot_items,
            self.left.open_records,
        ))?;
        Ok(())
    }

    fn table(&self) -> Rows {
        let has_logs = self.jobs.iter().any(|job| job.log.is_some() && !job.has_log_of_its_name());
        let header = ["JOB", "CLASS", "RUNNER", "QUEUED AT>", "WAITED>", "RAN>", "RESULT", "COST>"];
        let mut table = Rows::new(header.into_iter().chain(has_logs.then_some("LOG")).collect::<Vec<_>>());
        let began = self.jobs.iter().filter_map(|job| job.queued_at).min();
        for job in &self.jobs {
            let result = match (&job.left_queued, &job.conclusion) {
                (Some(_), _) => LEFT_QUEUED.to_owned(),
                (None, conclusion) => or_none(conclusion.as_ref().map(Conclusion::as_str)),
            };
            let log = job.log.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
            let queued_at = between(began, job.queued_at).map(|after| format!("+{}", span(after)));
            let row = [
                job.name.clone(),
                or_none(job.class.as_deref()),
                or_none(job.runner.as_deref().map(|name| short(name, true)).as_deref()),
                or_none(queued_at.as_deref()),
                span_or_none(between(job.queued_at, job.started_at)),
                span_or_none(between(job.started_at, job.completed_at)),
                result,
                usd_or_none(job.cost_usd),
            ];
            table.add(row.into_iter().chain(has_logs.then(|| or_none(log.as_deref()))).collect::<Vec<_>>());
        }
        table
    }
}

impl ReportedJob {
    /// Whether the name of its log says nothing more than its own.
    fn has_log_of_its_name(&self) -> bool {
        let log = self.log.as_deref().and_then(Path::file_stem);
        log.is_some_and(|log| log == logs::file_name(&self.name).as_str())
    }
}

/// Returns whether the conclusion does not make the demo fail.
fn is_harmless(conclusion: &Conclusion) -> bool {
    match conclusion {
        Conclusion::Success | Conclusion::Skipped => true,
        Conclusion::Other(word) => word.as_ref() == "neutral",
        Conclusion::Failure | Conclusion::Cancelled => false,
    }
}

fn reported(job: &SimJob, seen: &Seen, log: Option<PathBuf>) -> ReportedJob {
    // The server knows no job that was skipped.
    let view = seen.jobs.get(&job.id);
    let runner = view.and_then(|view| view.runner.as_ref()).and_then(|name| seen.runners.get(name));
    let reached = |stage| view.and_then(|view| view.first_reached(stage));
    let steps = job.steps.iter();
    ReportedJob {
        id: job.id,
        name: job.name.clone(),
        class: view.and_then(|view| view.class.clone()),
        runner: view.and_then(|view| view.runner.clone()),
        queued_at: reached(JobStage::Queued),
        started_at: reached(JobStage::InProgress),
        completed_at: reached(JobStage::Completed),
        conclusion: job.conclusion.clone(),
        cost_usd: runner.and_then(|runner| runner.cost_usd),
        left_queued: seen.unserved.get(&job.id).cloned(),
        steps: steps
            .map(|step| ReportedStep { name: step.name.clone(), conclusion: step.conclusion.clone() })
            .collect(),
        outputs: job.outputs.clone(),
        annotations: job.annotations.iter().filter_map(|annotation| annotation.message.clone()).collect(),
        summaries: job
            .summaries
            .iter()
            .map(|summary| ReportedSummary { step: summary.step.clone(), text: summary.text.clone() })
            .collect(),
        log,
    }
}

/// The time in the first line of an agent's log.
#[derive(Deserialize)]
struct FirstLine {
    time: Timestamp,
}

/// Returns the milliseconds from the job's first `queued` webhook, by the fake
/// GitHub's clock, to the first log line of the agent launched for the job.
fn webhook_to_agent(runner: &RunnerView, seen: &Seen, testbed: &Testbed) -> Option<f64> {
    let sent = seen.queued_sent.get(&runner.launched_for?)?;
    let log = File::open(testbed.agent_log(runner.task.as_deref()?)).ok()?;
    let mut line = String::new();
    // A job shapes the rest, and no first line is longer.
    BufReader::new(log.take(4096)).read_line(&mut line).ok()?;
    let first: FirstLine = serde_json::from_str(&line).ok()?;
    Some(first.time.duration_since(*sent).as_secs_f64() * 1000.0)
}

fn percentiles(mut values: Vec<f64>) -> Percentiles {
    values.sort_unstable_by(f64::total_cmp);
    let at = |percent: usize| {
        let rank = (values.len() * percent).div_ceil(100);
        values.get(rank.saturating_sub(1)).copied()
    };
    Percentiles { p50: at(50), p99: at(99) }
}
