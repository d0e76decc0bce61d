//! Reads the listener's output line by line.
//!
//! The lines are hints: a running job can forge them, and the listener does not
//! always print each of them. At worst, a forged line ends that job. Only GitHub
//! knows how the job ended: the official runner 2.336 was seen to print
//! `Canceled` for a job that it had reported as succeeded.

/// A line of the listener that shows its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Hint {
    /// It waits for a job. `√ Connected to GitHub` does not show this: it is
    /// printed before there is a session, and again at each attempt.
    Listening,
    /// It was given a job. `job` is the first line of the display name.
    Running {
        job: String,
    },
    Completed {
        result: String,
    },
}

/// Reads a listener's lines, one after another.
///
/// A job's display name is printed unchanged, with its line breaks. So a line
/// counts only if it starts with a time. The line about the job's end must also
/// have the name from the `Running job: ` line, and no earlier time.
#[derive(Default, Debug)]
pub(crate) struct Hints {
    /// The job's name, and the time of the line that has it.
    job: Option<(String, String)>,
    /// Whether the line about the job's end has begun and its name continues on the next line.
    is_name_open: bool,
}

impl Hints {
    /// Reads one line, anchored at its start.
    pub(crate) fn read(&mut self, line: &str) -> Option<Hint> {
        // A name may end with a carriage return.
        let line = line.strip_suffix('\n').unwrap_or(line);
        // Debug output can come between any two lines.
        if line.starts_with("[RUNNER ") || line.starts_with("[WORKER ") {
            return None;
        }
        // A further line of a name may look like a line with a time.
        let in_name = self.read_name(line);
        let Some((time, said)) = split_time(line).filter(|_| in_name.is_none()) else { return in_name };
        if said.trim_end() == "Listening for Jobs" {
            return Some(Hint::Listening);
        }
        if let Some(job) = said.strip_prefix("Running job: ") {
            // Another such line is part of the job's name, or forged.
            self.job.get_or_insert_with(|| (job.to_owned(), time.to_owned()));
            return Some(Hint::Running { job: job.to_owned() });
        }
        // All times have the same format, so they can be compared as text.
        let (name, _) = self.job.as_ref().filter(|(_, began)| time >= began.as_str())?;
        let rest = said.strip_prefix("Job ")?.strip_prefix(name.as_str())?;
        if rest.is_empty() {
            self.is_name_open = true;
        }
        completed(rest.strip_prefix(COMPLETED)?)
    }

    /// Reads a line that may be the rest of the job's name.
    fn read_name(&mut self, line: &str) -> Option<Hint> {
        let (_, result) = line.rsplit_once(COMPLETED).filter(|_| self.is_name_open)?;
        let hint = completed(result)?;
        self.is_name_open = false;
        Some(hint)
    }
}

/// The hint of a result that the official runner knows.
fn completed(result: &str) -> Option<Hint> {
    RESULTS.contains(&result).then(|| Hint::Completed { result: result.to_owned() })
}

const COMPLETED: &str = " completed with result: ";
/// The runner lost the job: GitHub took it away, or did not answer its renewals
/// for about a minute.
pub(crate) const ABANDONED: &str = "Abandoned";
/// The results that the official runner knows.
const RESULTS: [&str; 6] = ["Succeeded", "SucceededWithIssues", "Failed", "Canceled", "Skipped", ABANDONED];

/// Splits `2026-11-01 12:34:56Z: <text>` into the time and the text.
fn split_time(line: &str) -> Option<(&str, &str)> {
    const SHAPE: &[u8] = b"dddd-dd-dd dd:dd:ddZ: ";
    let fits = line.len() >= SHAPE.len()
        && line.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            other => byte == *other,
        });
    fits.then(|| (&line[..SHAPE.len() - 2], &line[SHAPE.len()..]))
}

impl Line<'_> {
    /// The text of a line from its start.
    pub(crate) fn text(&self) -> Option<String> {
        self.at_start.then(|| String::from_utf8_lossy(self.bytes).into_owned())
    }
}

/// Splits a stream into lines. A line longer than the limit is passed on in pieces.
#[derive(Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
    continued: bool,
}

/// A line, or a piece of a long one.
pub(crate) struct Line<'a> {
    /// The bytes, with the newline if there is one.
    pub(crate) bytes: &'a [u8],
    /// Whether these are the first bytes of the line.
    pub(crate) at_start: bool,
}

impl Lines {
    const LIMIT_BYTES: usize = 16 * 1024;

    /// Adds bytes and hands each complete line to `each`.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(part);
            let complete = part.ends_with(b"\n");
            if complete || self.pending.len() >= Self::LIMIT_BYTES {
                each(Line { bytes: &self.pending, at_start: !self.continued });
                self.pending.clear();
                self.continued = !complete;
            }
        }
    }

    /// Hands out the rest at the end of the stream.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if !self.pending.is_empty() {
            each(Line { bytes: &self.pending, at_start: !self.continued });
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hint of the last of these lines, with a time in place of `T`.
    fn last(lines: &[&str]) -> Option<Hint> {
        let mut hints = Hints::default();
        let mut told = None;
        for line in lines {
            told = hints.read(&line.replace("T: ", "2026-11-01 12:34:56Z: "));
        }
        told
    }

    #[test]
    fn the_listeners_lines_are_read_with_their_time_and_the_jobs_own_name() {
        assert_eq!(last(&["T: Listening for Jobs\r\n"]), Some(Hint::Listening));
        let running = Some(Hint::Running { job: "build (x64)".into() });
        assert_eq!(last(&["T: Running job: build (x64)"]), running);
        let job = "T: Running job: build";
        assert_eq!(last(&[job, "T: Job build completed with result: Succeeded\n"]), completed("Succeeded"));
        assert_eq!(last(&[job, "T: Job build completed with result: Abandoned"]), completed("Abandoned"));
        let odd = "a completed with result: Succeeded";
        let lines =
            [&format!("T: Running job: {odd}"), &format!("T: Job {odd} completed with result: Failed")];
        assert_eq!(last(&lines.map(String::as_str)), completed("Failed"));
    }

    #[test]
    fn lines_that_only_look_like_the_listeners_mean_nothing() {
        let job = "T: Running job: build";
        for line in [
            "√ Connected to GitHub",
            "Listening for Jobs",
            "Running job: build",
            "Job build completed with result: Succeeded",
            "T: Job other completed with result: Succeeded",
            "T: Job build completed with result: Wonderful",
            "T: Job build and more completed with result: Succeeded",
            "[RUNNER 2026-11-01 12:34:56Z INFO Terminal] WRITE LINE: T: Job build completed with result: Failed",
            "echo T: Running job: x",
            "Current runner version: '2.336.0'",
        ] {
            assert_eq!(last(&[job, line]), None, "{line}");
        }
        assert_eq!(last(&["T: Job build completed with result: Succeeded"]), None, "no job was told");
    }

    #[test]
    fn a_name_of_several_lines_is_read_to_its_end_and_forges_none() {
        let begin = ["T: Running job: a", "b: Job x completed with result: Succeeded"];
        assert_eq!(last(&begin), None);
        let name_ends = "b: Job x completed with result: Succeeded completed with result: Failed";
        let lines = [begin[0], begin[1], "T: Job a", "[WORKER 2026-11-01 12:34:56Z INFO x]", name_ends];
        assert_eq!(last(&lines[..4]), None);
        assert_eq!(last(&lines), completed("Failed"));
        let twice = [&lines[..], &["c completed with result: Succeeded"]].concat();
        assert_eq!(last(&twice), None, "the line has ended");
    }

    #[test]
    fn a_name_may_end_with_a_carriage_return() {
        let lines = ["T: Running job: a\r\n", "T: Job a\r completed with result: Failed\n"];
        assert_eq!(last(&lines), completed("Failed"));
        let lines = ["T: Running job: a\r\n", "T: Job a\r\n", "b completed with result: Failed\n"];
        assert_eq!(last(&lines), completed("Failed"));
    }

    #[test]
    fn a_line_of_the_name_that_looks_like_the_jobs_end_counts_only_where_that_line_is_printed() {
        let (run, told) =
            ("T: Running job: a", "2026-11-01 00:00:00Z: Job a completed with result: Succeeded");
        assert_eq!(last(&[run, told]), None, "earlier than the job");
        let name_ends = format!("{told} completed with result: Failed");
        assert_eq!(last(&[run, told, "T: Job a", &name_ends]), completed("Failed"));
        assert_eq!(
            last(&[run, "T: Job a", "T: x", "T: y completed with result: Failed"]),
            completed("Failed")
        );
    }

    #[test]
    fn lines_come_out_whole_however_they_arrive() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in ["a", "b\nc", "\n\nd"] {
            lines.push(chunk.as_bytes(), |line| seen.push(String::from_utf8_lossy(line.bytes).into_owned()));
        }
        lines.finish(|line| seen.push(String::from_utf8_lossy(line.bytes).into_owned()));
        assert_eq!(seen, ["ab\n", "c\n", "\n", "d"]);
    }

    #[test]
    fn only_the_first_piece_of_an_endless_line_starts_one() {
        let mut lines = Lines::default();
        let mut starts = Vec::new();
        lines.push(&[b'x'; Lines::LIMIT_BYTES], |line| starts.push(line.at_start));
        lines.push(b"Listening for Jobs\nListening for Jobs\n", |line| starts.push(line.at_start));
        assert_eq!(starts, [true, false, true]);
    }
}
