//! Progress on standard error: redrawn in place on a terminal, a line for each
//! change otherwise.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use owo_colors::OwoColorize;

use super::follow::{Job, Seen};

/// The most jobs that are redrawn in place.
const MAX_ROWS: usize = 24;

#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    in_place: bool,
    quiet: bool,
    drawn: usize,
    told: HashMap<u64, String>,
}

impl Progress {
    /// With `quiet`, standard error stays empty but for errors.
    pub(super) fn new(quiet: bool) -> Self {
        let in_place = io::stderr().is_terminal();
        Self { began: Instant::now(), in_place, quiet, drawn: 0, told: HashMap::new() }
    }

    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            // Progress is for whoever looks; nobody may.
            let _shown = writeln!(anstream::stderr(), "{text}");
        }
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
        self.drawn = seen.jobs.len();
        err.flush()
    }

    fn detail(&self, job: &Job, seen: &Seen) -> String {
        let runner = job.runner.as_deref().and_then(|name| seen.runners.get(name));
        match job.state.as_str() {
            "queued" | "waiting" => {
                let why = job.reason.as_ref().map_or("", |reason| reason.text.as_str());
                format!("{} {}", job.state.yellow(), cut(why, 40).dimmed())
            }
            "completed" => {
                let gone = runner.is_some_and(|runner| runner.state == "gone");
                let conclusion = job.conclusion.as_deref().unwrap_or("completed");
                let runner = if gone { ", runner gone" } else { "" };
                if conclusion == "success" {
                    format!("{}{}", conclusion.green(), runner.dimmed())
                } else {
                    format!("{}{}", conclusion.red(), runner.dimmed())
                }
            }
            _ => format!("{} {}", job.state.cyan(), self.elapsed().dimmed()),
        }
    }

    fn tell_changes(&mut self, seen: &Seen) -> io::Result<()> {
        let mut err = anstream::stderr().lock();
        let elapsed = self.elapsed();
        for job in seen.jobs.values() {
            let mut now = job.state.clone();
            if let Some(conclusion) = &job.conclusion {
                now = format!("{now}: {conclusion}");
            }
            if self.told.get(&job.id) != Some(&now) {
                writeln!(err, "{elapsed:>8}  {:<28} {now}", cut(&job.name, 28))?;
                self.told.insert(job.id, now);
            }
        }
        Ok(())
    }

    fn elapsed(&self) -> String {
        format!("{:.1} s", self.began.elapsed().as_secs_f64())
    }

    /// What is said next stands below what was drawn.
    pub(super) fn end(&mut self) {
        self.drawn = 0;
    }
}

fn mark(job: &Job) -> &'static str {
    match (job.state.as_str(), job.conclusion.as_deref()) {
        ("completed", Some("success")) => "✓",
        ("completed", _) => "✗",
        ("in_progress", _) => "▶",
        _ => "·",
    }
}

fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars - 1).chain(['…']).collect()
}
