//! The log of a job as far as its runner has sent it.
//!
//! While a job runs, its runner sends lines over the live feed, and the whole log of each step when the step ends. The feed
//! leaves out empty lines, and may leave out others. So the log of a step replaces the lines of the feed.
//!
//! The official runner uploads long logs in blocks of 2 MiB (`Logging.cs`), also the log of the whole job while the job runs.
//! It says when a log has ended, with the log's metadata. Until then a job's blocks replace nothing.

use std::collections::VecDeque;

use super::job::StepReport;

/// How far a line is searched among those that came the other way.
const MAX_SEARCH: usize = 1000;
/// What a runner puts at the end of a line of the feed that it has cut.
const CUT: &str = "...";

#[derive(Default, Debug)]
pub(super) struct JobLog {
    /// The whole log, once its runner has uploaded all of it.
    whole: Option<String>,
    /// The blocks of the whole log while others can follow.
    blocks: String,
    /// The steps, in the order in which they came.
    parts: Vec<Part>,
    /// All lines in the order in which they came, without times and empty lines.
    lines: Vec<String>,
}

/// The log of one step.
#[derive(Default, Debug)]
struct Part {
    /// The step's id.
    step: String,
    uploaded: String,
    /// Lines of the feed that no upload had yet.
    ahead: VecDeque<String>,
    /// Uploaded lines that the feed did not have.
    behind: VecDeque<String>,
}

impl JobLog {
    /// Adds lines of the feed.
    pub(super) fn feed(&mut self, step: &str, lines: &[String]) {
        if self.whole.is_some() {
            return;
        }
        let part = part(&mut self.parts, step);
        for line in lines.iter().flat_map(|line| line.lines()).filter(|line| !line.is_empty()) {
            if !take(&mut part.behind, |known| is_same(line, known)) {
                part.ahead.push_back(line.to_owned());
                self.lines.push(line.to_owned());
            }
        }
    }

    /// Adds the uploaded log of a step, or a block of it.
    pub(super) fn upload_step(&mut self, step: &str, text: &str) {
        if self.whole.is_some() {
            return;
        }
        let part = part(&mut self.parts, step);
        part.uploaded.push_str(text);
        for line in without_times(text).lines().filter(|line| !line.is_empty()) {
            if !take(&mut part.ahead, |known| is_same(known, line)) {
                part.behind.push_back(line.to_owned());
                self.lines.push(line.to_owned());
            }
        }
    }

    /// Takes the first block of the whole log, or one that is appended to it.
    pub(super) fn upload_whole(&mut self, text: &str, appends: bool) {
        if !appends {
            self.blocks.clear();
        }
        self.blocks.push_str(text);
    }

    /// Ends the whole log: all its blocks have come. Does nothing if there are none.
    pub(super) fn end_whole(&mut self) {
        let blocks = std::mem::take(&mut self.blocks);
        if blocks.is_empty() {
            return;
        }
        if self.lines.is_empty() {
            self.lines
                .extend(without_times(&blocks).lines().filter(|line| !line.is_empty()).map(str::to_owned));
        }
        self.whole = Some(blocks);
        // The whole log includes them.
        self.parts.clear();
    }

    /// Returns the log as far as it is there, with the steps in their order.
    pub(super) fn text(&self, steps: &[StepReport]) -> Option<String> {
        if self.whole.is_some() {
            return self.whole.clone();
        }
        if self.parts.is_empty() {
            return (!self.blocks.is_empty()).then(|| self.blocks.clone());
        }
        let number = |part: &&Part| {
            let step = steps.iter().find(|step| step.id == part.step);
            step.map_or(u64::MAX, |step| step.number)
        };
        let mut parts: Vec<&Part> = self.parts.iter().collect();
        parts.sort_by_key(number);
        let mut text = String::new();
        for part in parts {
            text.push_str(&part.uploaded);
            part.ahead.iter().for_each(|line| text.extend([line, "\n"]));
        }
        Some(text)
    }

    /// Returns the lines from a number on, which counts from 0.
    pub(super) fn lines_from(&self, from: usize) -> &[String] {
        self.lines.get(from..).unwrap_or_default()
    }
}

fn part<'a>(parts: &'a mut Vec<Part>, step: &str) -> &'a mut Part {
    let at = parts.iter().position(|part| part.step == step).unwrap_or_else(|| {
        parts.push(Part { step: step.to_owned(), ..Part::default() });
        parts.len() - 1
    });
    &mut parts[at]
}

/// Removes the first line that fits, and all before it. Returns false if none fits.
fn take(lines: &mut VecDeque<String>, fits: impl Fn(&str) -> bool) -> bool {
    let found = lines.iter().take(MAX_SEARCH).position(|line| fits(line));
    found.is_some_and(|at| lines.drain(..=at).count() > 0)
}

/// Whether a line of the feed is this uploaded line.
fn is_same(fed: &str, uploaded: &str) -> bool {
    fed == uploaded
        || fed.strip_suffix(CUT).is_some_and(|start| !start.is_empty() && uploaded.starts_with(start))
}

/// Removes the time at the start of each line of a log.
pub(super) fn without_times(log: &str) -> String {
    let mut text = String::with_capacity(log.len());
    for line in log.split_inclusive('\n') {
        let line = line.trim_start_matches('\u{feff}');
        let is_time = |time: &str| time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T';
        match line.split_once(' ') {
            Some((time, rest)) if is_time(time) => text.push_str(rest),
            _ => text.push_str(line),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-28T20:56:33.2965012Z";

    fn lines(log: &JobLog) -> Vec<&str> {
        log.lines_from(0).iter().map(String::as_str).collect()
    }

    fn fed(log: &mut JobLog, step: &str, lines: &[&str]) {
        log.feed(step, &lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>());
    }

    #[test]
    fn each_line_comes_once_whichever_way_is_faster() {
        let mut log = JobLog::default();
        fed(&mut log, "a", &["one", "two\nthree"]);
        log.upload_step(
            "a",
            &format!("\u{feff}{TIME} one\n{TIME} \n{TIME} two\nthree\n{TIME} lost\n{TIME} late\n"),
        );
        fed(&mut log, "a", &["late"]);
        fed(&mut log, "b", &["four"]);
        assert_eq!(lines(&log), ["one", "two", "three", "lost", "late", "four"]);
        let text = without_times(&log.text(&[]).unwrap());
        assert_eq!(text, "one\n\ntwo\nthree\nlost\nlate\nfour\n");
        log.upload_whole("all", false);
        log.end_whole();
        fed(&mut log, "b", &["after the end"]);
        assert_eq!((log.text(&[]).unwrap().as_str(), log.lines_from(6)), ("all", &[][..]));
    }

    #[test]
    fn a_long_line_is_the_cut_one_and_equal_lines_are_as_many_as_there_are() {
        let mut log = JobLog::default();
        let long = "x".repeat(2000);
        fed(&mut log, "a", &[&format!("{}...", &long[..1024]), "same", "same"]);
        log.upload_step("a", &format!("{TIME} {long}\n{TIME} same\n{TIME} same\n{TIME} same\n"));
        assert_eq!(lines(&log).len(), 4);
        assert_eq!(log.text(&[]).unwrap().matches("same").count(), 3);
    }

    #[test]
    fn without_a_feed_lines_come_with_the_logs_of_steps_or_of_the_job() {
        let mut log = JobLog::default();
        log.upload_step("a", &format!("{TIME} one\n"));
        log.upload_step("a", &format!("{TIME} two\n"));
        assert_eq!(lines(&log), ["one", "two"]);
        let mut log = JobLog::default();
        log.upload_whole(&format!("{TIME} one\n"), false);
        assert_eq!(log.text(&[]), Some(format!("{TIME} one\n")));
        log.upload_whole(&format!("{TIME} one\n"), false);
        log.end_whole();
        assert_eq!(lines(&log), ["one"]);
        assert_eq!(log.lines_from(7), &[] as &[String]);
    }

    #[test]
    fn blocks_of_a_job_that_runs_replace_nothing() {
        let mut log = JobLog::default();
        fed(&mut log, "a", &["one"]);
        log.upload_whole("", false);
        log.upload_whole(&format!("{TIME} one\n"), true);
        fed(&mut log, "a", &["two"]);
        log.upload_step("b", &format!("{TIME} three\n"));
        assert_eq!(lines(&log), ["one", "two", "three"]);
        assert_eq!(without_times(&log.text(&[]).unwrap()), "one\ntwo\nthree\n");
        log.upload_whole(&format!("{TIME} two\n{TIME} three\n"), true);
        log.end_whole();
        // Once more, as after an answer that was lost.
        log.end_whole();
        assert_eq!(lines(&log), ["one", "two", "three"]);
        assert_eq!(
            log.text(&[]).unwrap(),
            ["one", "two", "three"].map(|line| format!("{TIME} {line}\n")).concat()
        );
    }

    #[test]
    fn steps_stand_in_their_order() {
        let step = |id: &str, number| StepReport {
            id: id.to_owned(),
            number,
            name: id.to_owned(),
            conclusion: None,
            started_at: None,
            completed_at: None,
        };
        let mut log = JobLog::default();
        fed(&mut log, "b", &["second"]);
        log.upload_step("a", "first\n");
        assert_eq!(log.text(&[step("a", 1), step("b", 2)]).unwrap(), "first\nsecond\n");
    }
}
