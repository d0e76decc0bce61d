//! The log of a job as far as its runner has sent it.
//!
//! While a job runs, its runner sends lines over the live feed, and the whole log of each step when the step ends. The feed
//! leaves out empty lines, and may leave out others. So the log of a step replaces the lines of the feed. Where lines are
//! equal, their numbers tell which one was left out.
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
    /// The number of uploaded lines.
    count: u64,
    /// Lines of the feed that no upload had yet, each with the least number that it can have.
    ahead: VecDeque<(u64, String)>,
    /// Uploaded lines that the feed did not have, with their numbers.
    behind: VecDeque<(u64, String)>,
    /// Whether all of its log was uploaded.
    has_ended: bool,
}

impl JobLog {
    /// Adds lines of the feed. `start` is the number of the first one in the step's log, from 1, if it is known. Each text
    /// is one or more lines.
    pub(super) fn feed(&mut self, step: &str, start: Option<u64>, texts: &[String]) {
        if self.whole.is_some() {
            return;
        }
        let part = part(&mut self.parts, step);
        if part.has_ended {
            return;
        }
        let mut number = start.unwrap_or_default();
        for line in texts.iter().flat_map(|text| text.split('\n')) {
            let line = line.strip_suffix('\r').unwrap_or(line);
            // Lines can be left out between those of a message, so a line's number is this one or a greater one.
            if !line.is_empty() && !part.take_behind(number, line) {
                part.ahead.push_back((number, line.to_owned()));
                self.lines.push(line.to_owned());
            }
            number = number.saturating_add(u64::from(start.is_some()));
        }
    }

    /// Adds the uploaded log of a step, or a block of it.
    pub(super) fn upload_step(&mut self, step: &str, text: &str) {
        if self.whole.is_some() {
            return;
        }
        let part = part(&mut self.parts, step);
        part.uploaded.push_str(text);
        for line in without_times(text).lines() {
            part.count += 1;
            if !line.is_empty() && !part.take_ahead(line) {
                part.behind.push_back((part.count, line.to_owned()));
                self.lines.push(line.to_owned());
            }
        }
    }

    /// Ends the log of a step: all its blocks have come.
    pub(super) fn end_step(&mut self, step: &str) {
        if self.whole.is_none() {
            let part = part(&mut self.parts, step);
            part.has_ended = true;
            part.ahead.clear();
            part.behind.clear();
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
            part.ahead.iter().for_each(|(_, line)| text.extend([line, "\n"]));
        }
        Some(text)
    }

    /// Returns the lines from a number on, which counts from 0.
    pub(super) fn lines_from(&self, from: usize) -> &[String] {
        self.lines.get(from..).unwrap_or_default()
    }
}

impl Part {
    /// Removes the line of the feed that is the last uploaded one. Returns false if there is none.
    fn take_ahead(&mut self, uploaded: &str) -> bool {
        let found = self
            .ahead
            .iter()
            .take(MAX_SEARCH)
            .position(|(least, fed)| *least <= self.count && is_same(fed, uploaded));
        // Those before it may come with later uploads.
        found.is_some_and(|at| self.ahead.remove(at).is_some())
    }

    /// Removes the uploaded line that is this one of the feed, with this number or a greater one. Returns false if there is
    /// none.
    fn take_behind(&mut self, least: u64, fed: &str) -> bool {
        // The feed is in order: those before it were left out.
        while self.behind.front().is_some_and(|(number, _)| *number < least) {
            self.behind.pop_front();
        }
        let found = self.behind.iter().take(MAX_SEARCH).position(|(_, uploaded)| is_same(fed, uploaded));
        found.is_some_and(|at| self.behind.drain(..=at).count() > 0)
    }
}

fn part<'a>(parts: &'a mut Vec<Part>, step: &str) -> &'a mut Part {
    let at = parts.iter().position(|part| part.step == step).unwrap_or_else(|| {
        parts.push(Part { step: step.to_owned(), ..Part::default() });
        parts.len() - 1
    });
    &mut parts[at]
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
        fed_from(log, step, None, lines);
    }

    fn fed_from(log: &mut JobLog, step: &str, start: Option<u64>, lines: &[&str]) {
        log.feed(step, start, &lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>());
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
    fn a_line_that_the_feed_left_out_makes_no_other_one_come_twice() {
        let uploaded =
            |lines: &[&str]| lines.iter().map(|line| format!("{TIME} {line}\n")).collect::<String>();
        // The first `ok` was left out, with and without numbers.
        for start in [Some(2), None] {
            let mut log = JobLog::default();
            fed_from(&mut log, "s", start, &["a", "b", "ok"]);
            log.upload_step("s", &uploaded(&["ok", "a", "b", "ok"]));
            assert_eq!(lines(&log), ["a", "b", "ok", "ok"]);
            log.end_step("s");
            assert_eq!(without_times(&log.text(&[]).unwrap()), "ok\na\nb\nok\n");
        }
        // One between the lines of a message was left out, and an uploaded block ends before the next one.
        let mut log = JobLog::default();
        fed_from(&mut log, "s", Some(1), &["a", "b", "ok"]);
        log.upload_step("s", &uploaded(&["a", "ok", "b"]));
        assert_eq!(without_times(&log.text(&[]).unwrap()), "a\nok\nb\nok\n");
        log.upload_step("s", &uploaded(&["ok"]));
        assert_eq!(lines(&log), ["a", "b", "ok", "ok"]);
    }

    #[test]
    fn uploaded_lines_that_the_feed_left_out_do_not_stand_for_later_ones() {
        let mut log = JobLog::default();
        let many: String = (0..5000).map(|at| format!("{TIME} line {at}\n")).collect();
        log.upload_step("s", &format!("{TIME} ok\n{many}{TIME} \n{TIME} last\n"));
        // The feed left out the first `ok` and 4990 lines.
        fed_from(&mut log, "s", Some(4992), &["line 4990\nline 4991", "line 4992"]);
        fed_from(&mut log, "s", Some(5003), &["last", "ok"]);
        assert_eq!(log.lines_from(5000), ["line 4999", "last", "ok"]);
    }

    #[test]
    fn lines_of_a_step_that_has_ended_are_all_there() {
        let mut log = JobLog::default();
        fed(&mut log, "s", &["unlike the log"]);
        log.upload_step("s", &format!("{TIME} one\n"));
        log.end_step("s");
        fed(&mut log, "s", &["one", "late"]);
        assert_eq!(lines(&log), ["unlike the log", "one"]);
        assert_eq!(without_times(&log.text(&[]).unwrap()), "one\n");
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
