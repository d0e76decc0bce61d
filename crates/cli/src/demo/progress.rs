//! Progress on stderr: redrawn in place on a terminal, otherwise one line for
//! each change.

use std::collections::{HashMap, HashSet};
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use owo_colors::OwoColorize;

use ecsrunner_api::job::JobView;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::wire::job::Conclusion;

use super::follow::{Seen, SimJob};
use super::summary;
use crate::output::{clean, clean_but_tabs};

/// The most jobs that are redrawn in place.
const MAX_ROWS: usize = 24;

/// The state of a job that no runner serves.
pub(super) const LEFT_QUEUED: &str = "left queued";

#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    in_place: bool,
    quiet: bool,
    shows_lines: bool,
    drawn: usize,
    told: HashMap<u64, String>,
    /// The steps that were told, by job and number.
    told_steps: HashSet<(u64, usize)>,
    /// How many annotations of each job were told.
    told_annotations: HashMap<u64, usize>,
}

impl Progress {
    /// With `quiet`, no progress is printed. With `shows_lines`, the lines of logs are printed.
    pub(super) fn new(quiet: bool, shows_lines: bool) -> Self {
        let in_place = io::stderr().is_terminal() && !shows_lines;
        Self {
            began: Instant::now(),
            in_place,
            quiet,
            shows_lines,
            drawn: 0,
            told: HashMap::new(),
            told_steps: HashSet::new(),
            told_annotations: HashMap::new(),
        }
    }

    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            // A failed write of progress is ignored.
            let _shown = writeln!(anstream::stderr(), "{text}");
        }
    }

    pub(super) const fn shows_lines(&self) -> bool {
        self.shows_lines
    }

    /// Prints lines of a job's log.
    pub(super) fn show_lines(&self, job: &str, lines: &[String]) -> io::Result<()> {
        let mut err = anstream::stderr().lock();
        // The output of a job must not control the terminal.
        lines.iter().try_for_each(|line| writeln!(err, "{:<28} | {}", shown(job), clean_but_tabs(line)))
    }

    pub(super) fn show(&mut self, seen: &Seen) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let mut err = anstream::stderr().lock();
        if self.in_place && seen.jobs.len() <= MAX_ROWS {
            self.redraw(&mut err, seen)
        } else {
            self.tell_changes(&mut err, seen)
        }
    }

    fn redraw(&mut self, err: &mut impl Write, seen: &Seen) -> io::Result<()> {
        if self.drawn > 0 {
            write!(err, "\x1b[{}A", self.drawn)?;
        }
        for job in seen.jobs.values() {
            writeln!(err, "\x1b[2K  {} {:<28} {}", mark(job), shown(&job.name), self.detail(job, seen))?;
        }
        let alone = ended_alone(seen);
        for job in &alone {
            let conclusion = job.conclusion.as_ref().map_or("", Conclusion::as_str);
            writeln!(err, "\x1b[2K  – {:<28} {}", shown(&job.name), conclusion.dimmed())?;
        }
        self.drawn = seen.jobs.len() + alone.len();
        err.flush()
    }

    fn detail(&self, job: &JobView, seen: &Seen) -> String {
        let runner = job.runner.as_deref().and_then(|name| seen.runners.get(name));
        match job.state {
            JobStage::Queued | JobStage::Waiting => {
                format!("{} {}", job.state.yellow(), cut(&clean(reason(job)), 40).dimmed())
            }
            JobStage::Completed => {
                let gone = if runner.is_some_and(RunnerView::is_gone) { ", runner gone" } else { "" };
                let conclusion = job.conclusion.as_ref().map_or("completed", Conclusion::as_str);
                if job.has_succeeded() {
                    format!("{}{}", conclusion.green(), gone.dimmed())
                } else {
                    format!("{}{}", conclusion.red(), gone.dimmed())
                }
            }
            JobStage::Refused => {
                format!("{} {}", LEFT_QUEUED.yellow(), cut(&clean(reason(job)), 40).dimmed())
            }
            JobStage::InProgress => {
                let step = current_step(job, seen).map(|name| cut(&clean(name), 40)).unwrap_or_default();
                format!("{} {} {}", job.state.cyan(), self.elapsed().dimmed(), step.dimmed())
            }
        }
    }

    fn tell_changes(&mut self, err: &mut impl Write, seen: &Seen) -> io::Result<()> {
        let elapsed = self.elapsed();
        self.tell_steps(err, seen)?;
        for job in seen.jobs.values() {
            let now = match (job.state, &job.conclusion) {
                // Its cancellation by the demo is no news.
                (JobStage::Refused, _) => format!("{LEFT_QUEUED}: {}", clean(reason(job))),
                (state, Some(conclusion)) => format!("{state}: {conclusion}"),
                (state, None) => state.to_string(),
            };
            if self.told.get(&job.id) != Some(&now) {
                writeln!(err, "{elapsed:>8}  {:<28} {now}", shown(&job.name))?;
                self.told.insert(job.id, now);
            }
        }
        for job in ended_alone(seen) {
            let now = job.conclusion.as_ref().map_or("", Conclusion::as_str).to_owned();
            if self.told.get(&job.id) != Some(&now) {
                writeln!(err, "{elapsed:>8}  {:<28} completed: {now}", shown(&job.name))?;
                self.told.insert(job.id, now);
            }
        }
        Ok(())
    }

    /// Tells the steps that have ended, and the annotations, which have come since the last time.
    fn tell_steps(&mut self, err: &mut impl Write, seen: &Seen) -> io::Result<()> {
        let elapsed = self.elapsed();
        for job in &seen.run {
            for (at, step) in job.steps.iter().enumerate() {
                if let Some(conclusion) = &step.conclusion
                    && self.told_steps.insert((job.id, at))
                {
                    let (job, step) = (shown(&job.name), clean(&step.name));
                    writeln!(err, "{elapsed:>8}  {job:<28} step {step}: {conclusion}")?;
                }
            }
            let told = self.told_annotations.entry(job.id).or_default();
            for annotation in job.annotations.iter().skip(*told) {
                writeln!(err, "{elapsed:>8}  {}", summary::annotated(job, annotation))?;
            }
            *told = job.annotations.len();
        }
        Ok(())
    }

    fn elapsed(&self) -> String {
        format!("{:.1} s", self.began.elapsed().as_secs_f64())
    }

    /// Keeps what was drawn: later output is printed below it.
    pub(super) fn end(&mut self) {
        self.drawn = 0;
    }
}

/// Returns the name of the step that a job executes.
fn current_step<'a>(job: &JobView, seen: &'a Seen) -> Option<&'a str> {
    let job = seen.run.iter().find(|known| known.id == job.id)?;
    job.steps.iter().find(|step| step.in_progress).map(|step| step.name.as_str())
}

/// Returns the jobs that ended without a runner. The server does not know them.
fn ended_alone(seen: &Seen) -> Vec<&SimJob> {
    seen.run.iter().filter(|job| job.conclusion.is_some() && !seen.jobs.contains_key(&job.id)).collect()
}

/// Returns why a job waits or is not served.
fn reason(job: &JobView) -> &str {
    job.reason.as_ref().map_or("", |reason| reason.text.as_str())
}

fn mark(job: &JobView) -> &'static str {
    match job.state {
        JobStage::Completed if job.has_succeeded() => "✓",
        JobStage::Completed => "✗",
        JobStage::InProgress => "▶",
        JobStage::Waiting | JobStage::Queued | JobStage::Refused => "·",
    }
}

/// Returns the name of a job as its column shows it. Outputs of other jobs can be in it.
fn shown(job: &str) -> String {
    cut(&clean(job), 28)
}

fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_name_of_a_job_does_not_control_the_terminal() {
        let at = "2026-11-28T20:56:33Z";
        let queued = json!({"id": 1, "repository": "acme/app", "run_id": 1, "attempt": 1, "name": "a\u{1b}]0;x\u{7}",
            "workflow": null, "labels": [], "class": null, "pool": null, "state": "queued", "reason": null,
            "runner": null, "conclusion": null, "created_at": at, "timeline": []});
        let ended = json!({"id": 2, "run_id": 1, "name": "b\u{1b}[2J", "state": "completed", "conclusion": "success",
            "was_queued": false, "steps": [{"name": "step\u{1b}[2J", "conclusion": "success"}]});
        let seen = Seen {
            jobs: [(1, serde_json::from_value(queued).unwrap())].into(),
            run: vec![serde_json::from_value(ended).unwrap()],
            ..Seen::default()
        };
        let mut progress = Progress::new(false, true);
        let (mut told, mut drawn) = (Vec::new(), Vec::new());
        progress.tell_changes(&mut told, &seen).unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(!told.contains(['\u{1b}', '\u{7}']), "{told:?}");
        assert!(told.contains("a\u{fffd}]0;x\u{fffd} ") && told.contains("b\u{fffd}[2J "), "{told:?}");
        progress.redraw(&mut drawn, &seen).unwrap();
        let drawn = String::from_utf8(drawn).unwrap();
        assert!(drawn.contains("a\u{fffd}]0;x\u{fffd} ") && drawn.contains("b\u{fffd}[2J "), "{drawn:?}");
        assert_eq!(shown(&"x".repeat(30)), format!("{}…", "x".repeat(27)));
    }
}
