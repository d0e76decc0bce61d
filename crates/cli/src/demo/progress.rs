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
        lines.iter().try_for_each(|line| writeln!(err, "{:<28} | {}", cut(job, 28), clean_but_tabs(line)))
    }

    pub(super) fn show(&mut self, seen: &Seen) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        if self.in_place && seen.jobs.len() <= MAX_ROWS { self.redraw(seen) } else { self.tell_changes(seen) }
    }

    fn redraw(&mut self, seen: &Seen) -> io::Result<()> {
        let mut err = anstream::stderr().lock();
        if self.drawn > 0 {
            write!(err, "\x1b[{}A", self.drawn)?;
        }
        for job in seen.jobs.values() {
            writeln!(err, "\x1b[2K  {} {:<28} {}", mark(job), cut(&job.name, 28), self.detail(job, seen))?;
        }
        let alone = ended_alone(seen);
        for job in &alone {
            let conclusion = job.conclusion.as_ref().map_or("", Conclusion::as_str);
            writeln!(err, "\x1b[2K  – {:<28} {}", cut(&job.name, 28), conclusion.dimmed())?;
        }
        self.drawn = seen.jobs.len() + alone.len();
        err.flush()
    }

    fn detail(&self, job: &JobView, seen: &Seen) -> String {
        let runner = job.runner.as_deref().and_then(|name| seen.runners.get(name));
        match job.state {
            JobStage::Queued | JobStage::Waiting => {
                format!("{} {}", job.state.yellow(), cut(reason(job), 40).dimmed())
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
            JobStage::Refused => format!("{} {}", LEFT_QUEUED.yellow(), cut(reason(job), 40).dimmed()),
            JobStage::InProgress => {
                let step = current_step(job, seen).map(|name| cut(&clean(name), 40)).unwrap_or_default();
                format!("{} {} {}", job.state.cyan(), self.elapsed().dimmed(), step.dimmed())
            }
        }
    }

    fn tell_changes(&mut self, seen: &Seen) -> io::Result<()> {
        let mut err = anstream::stderr().lock();
        let elapsed = self.elapsed();
        self.tell_steps(&mut err, seen)?;
        for job in seen.jobs.values() {
            let now = match (job.state, &job.conclusion) {
                // Its cancellation by the demo is no news.
                (JobStage::Refused, _) => format!("{LEFT_QUEUED}: {}", clean(reason(job))),
                (state, Some(conclusion)) => format!("{state}: {conclusion}"),
                (state, None) => state.to_string(),
            };
            if self.told.get(&job.id) != Some(&now) {
                writeln!(err, "{elapsed:>8}  {:<28} {now}", cut(&job.name, 28))?;
                self.told.insert(job.id, now);
            }
        }
        for job in ended_alone(seen) {
            let now = job.conclusion.as_ref().map_or("", Conclusion::as_str).to_owned();
            if self.told.get(&job.id) != Some(&now) {
                writeln!(err, "{elapsed:>8}  {:<28} completed: {now}", cut(&job.name, 28))?;
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
                    let (job, step) = (cut(&job.name, 28), clean(&step.name));
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

fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars - 1).chain(['…']).collect()
}
