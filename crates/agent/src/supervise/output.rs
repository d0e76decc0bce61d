//! Reads the listener's output, and follows its phase by it.

use std::io::Write;
use std::time::Instant;

use super::Supervisor;
use crate::life::Step;
use crate::lines::Hint;
use crate::output::Outputs;
use crate::phase::Phase;

/// How much of a listener's output is read after its end.
const REST_LIMIT_BYTES: usize = 4 * 1024 * 1024;
/// How many characters of a job's name are logged.
const NAME_CHARS: usize = 300;

impl<W: Write> Supervisor<'_, W> {
    pub(super) fn read(&mut self, outputs: &mut Outputs) -> usize {
        let (mut said, mut complained) = (Vec::new(), Vec::new());
        let read = outputs.stdout.read(|line| {
            self.log.pass(line.bytes);
            said.extend(line.text());
        });
        let complaints = outputs.stderr.read(|line| {
            self.log.pass(line.bytes);
            complained.extend(line.text());
        });
        // Stdout is processed first, because it shows whether a job has begun.
        said.iter().for_each(|line| self.on_line(line));
        complained.iter().for_each(|line| self.hear(line, true));
        read + complaints
    }

    /// Reads what the pipes hold now. Does not wait for processes that still write.
    pub(super) fn read_rest(&mut self, outputs: &mut Outputs) {
        let mut total = 0;
        while total < REST_LIMIT_BYTES {
            match self.read(outputs) {
                0 => break,
                read => total += read,
            }
        }
    }

    fn on_line(&mut self, line: &str) {
        if self.phase == Phase::Starting {
            self.life.hear(line);
        }
        match self.hints.read(line) {
            Some(hint) => self.on_hint(&hint),
            None => self.hear(line, false),
        }
    }

    /// Ignores lines during a job, since the job can print the listener's messages.
    fn hear(&mut self, line: &str, is_error: bool) {
        if !self.phase.job_seen() {
            self.words.hear(line, is_error);
        }
    }

    fn on_hint(&mut self, hint: &Hint) {
        let now = Instant::now();
        let Some(next) = self.phase.after(hint, now) else { return };
        match hint {
            Hint::Listening => {
                self.life.reached(Step::SessionMade);
                self.log.info("listening for jobs", &[]);
                self.words.connected();
            }
            Hint::Running { job } => {
                self.life.reached(Step::JobAcquired);
                if let Some(gauge) = &mut self.gauge {
                    gauge.begin(now);
                }
                let shown: String = job.chars().take(NAME_CHARS).collect();
                self.log.info("job running", &[("job", &shown)]);
                if let Err(error) = self.dir.write_job(job) {
                    self.log.warn("job name not written", &[("reason", &error.to_string())]);
                }
            }
            // This is only a hint: GitHub may show another result.
            Hint::Completed { result } => {
                self.life.reached(Step::JobEnded);
                self.measure();
                self.log.info(
                    "job ended",
                    &[("listener_result", result), ("hook_checked_in", &self.verdict.is_some())],
                );
            }
        }
        self.listening.get_or_insert(now);
        self.phase = next;
    }
}
