//! What the listener's lines say.
//!
//! They are hints: while a job runs, it can forge them, and some paths of the
//! listener leave one out. What they cause is at worst the end of that job.

/// A line of the listener that tells where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Hint {
    /// It has a session with GitHub.
    Connected,
    /// It waits for a job.
    Listening,
    /// It was given a job, by its display name.
    Running { job: String },
    /// The job ended, with a result in GitHub's words.
    Completed { job: String, result: String },
}

impl Hint {
    /// Reads one line, anchored at its start: with debug output switched on,
    /// the listener repeats its lines inside others.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line = line.trim_end_matches(['\r', '\n']);
        let line = without_time(line);
        if line.starts_with("√ Connected to GitHub") {
            return Some(Self::Connected);
        }
        if line == "Listening for Jobs" {
            return Some(Self::Listening);
        }
        if let Some(job) = line.strip_prefix("Running job: ") {
            return Some(Self::Running { job: job.to_owned() });
        }
        let (job, result) = line.strip_prefix("Job ")?.rsplit_once(" completed with result: ")?;
        Some(Self::Completed { job: job.to_owned(), result: result.to_owned() })
    }
}

/// Takes off a leading `2026-11-01 12:34:56Z: `.
fn without_time(line: &str) -> &str {
    const SHAPE: &[u8] = b"dddd-dd-dd dd:dd:ddZ: ";
    let fits = line.len() >= SHAPE.len()
        && line.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            other => byte == *other,
        });
    if fits { &line[SHAPE.len()..] } else { line }
}

/// Cuts a stream into lines; one that is longer than the limit comes in pieces.
#[derive(Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
    continued: bool,
}

/// A line, or a piece of a long one.
pub(crate) struct Line<'a> {
    /// The bytes, with their newline where it came.
    pub(crate) bytes: &'a [u8],
    /// Whether these bytes are where the line starts.
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

    /// Hands out what is left at the end of the stream.
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

    #[test]
    fn the_listeners_lines_are_read_with_and_without_a_time() {
        let completed = |job: &str, result: &str| {
            Some(Hint::Completed { job: job.to_owned(), result: result.to_owned() })
        };
        for (line, hint) in [
            ("√ Connected to GitHub", Some(Hint::Connected)),
            ("2026-11-01 12:34:56Z: Listening for Jobs\r\n", Some(Hint::Listening)),
            (
                "2026-11-01 12:34:56Z: Running job: build (x64)",
                Some(Hint::Running { job: "build (x64)".into() }),
            ),
            ("Job build completed with result: Succeeded\n", completed("build", "Succeeded")),
            (
                "Job a completed with result: b completed with result: Failed",
                completed("a completed with result: b", "Failed"),
            ),
            ("[RUNNER 2026-11-01 12:34:56Z INFO Terminal] WRITE LINE: Listening for Jobs", None),
            ("echo Running job: x", None),
            ("Current runner version: '2.336.0'", None),
        ] {
            assert_eq!(Hint::parse(line), hint, "{line}");
        }
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
