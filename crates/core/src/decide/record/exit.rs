//! Records what an agent's exit record says. Nothing is decided by it: it is shown, and counted in statistics.

use super::Recorded;
use crate::records::change::{Change, Records};
use crate::records::runner::{EndedRunner, Runner, RunnerFacts, RunnerStage};
use crate::records::timeline::Timeline;
use crate::records::times::{AgentReport, Times};
use crate::wire::event::ExitReport;
use crate::wire::exit_record::AgentTimes;

/// How far the clocks of a task and of the control plane may differ, in milliseconds.
const CLOCKS_DIFFER_MS: u64 = 5_000;

pub(super) fn record(report: &ExitReport, records: &Records) -> Recorded {
    let change = match (&records.runner, &records.gone) {
        (Some(runner), _) => open(report, runner).map(Change::Runner),
        (None, Some(gone)) => ended(report, gone).map(|ended| Change::RunnerAmended(Box::new(ended))),
        (None, None) => None,
    };
    Recorded::accepted(change.into_iter().collect(), false)
}

fn open(report: &ExitReport, runner: &Runner) -> Option<Runner> {
    let is_its = runner.task() == Some(&report.task);
    let times = heard(report, &runner.facts, &runner.timeline, &runner.times).filter(|_| is_its)?;
    Some(Runner { version: runner.version.next(), times: Box::new(times), ..runner.clone() })
}

fn ended(report: &ExitReport, runner: &EndedRunner) -> Option<EndedRunner> {
    let is_its = runner.task.as_ref() == Some(&report.task);
    let times = heard(report, &runner.facts, &runner.timeline, &runner.times).filter(|_| is_its)?;
    Some(EndedRunner { version: runner.version.next(), times, ..runner.clone() })
}

/// Returns the times with what the record adds; `None` if it is not later than the one before, or cannot be true.
///
/// The log gives each line its time, so the last record that a task wrote counts, in whichever order they come. That is
/// its agent's: when the agent has ended, nothing of its container is left to write.
fn heard(
    report: &ExitReport,
    facts: &RunnerFacts,
    timeline: &Timeline<RunnerStage>,
    times: &Times,
) -> Option<Times> {
    let is_later = times.agent.as_ref().is_none_or(|before| before.written_at < report.written_at);
    // The agent of a warm task started before its runner was reserved, for no job.
    let started = report.times.started.filter(|_| facts.warm.is_none());
    let of_agent = AgentTimes { started, ..report.times.clone() };
    if !is_later || !of_agent.fit_between(timeline.began(), report.written_at) {
        return None;
    }
    let life = report.written_at.duration_since(timeline.began()).as_millis();
    let life_ms = u64::try_from(life).unwrap_or(0).saturating_add(CLOCKS_DIFFER_MS);
    let agent = AgentReport {
        written_at: report.written_at,
        times: of_agent,
        runner_version: report.runner_version,
        peaks: report.peaks.and_then(|peaks| peaks.within(facts.size, life_ms)),
    };
    Some(Times { agent: Some(agent), ..times.clone() })
}
