//! Reads the exit record at the end of an ended task's log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use ecsrunner_core::id::TaskName;
use ecsrunner_core::wire::event::{Event, ExitReport};
use ecsrunner_core::wire::exit_record::{ExitRecord, MAX_BYTES};
use ecsrunner_engine::chain;
use jiff::Timestamp;
use tracing::warn;

use super::Processes;
use crate::task::{Description, TaskDir};

impl Processes {
    /// Tells what the agent of an ended task said of its course. Without a record nothing is told.
    pub(super) fn tell_exit(&self, dir: &TaskDir, description: &Description) {
        match read(&dir.log()) {
            Ok(Some(record)) => {
                let report = ExitReport::of(record, description.task.clone(), Timestamp::now());
                let is_its = |report: &ExitReport| match &description.name {
                    TaskName::Runner(runner) => report.runner == *runner,
                    // The runner that took it over.
                    TaskName::Warm(_) => true,
                };
                if let Some(report) = report.filter(is_its) {
                    // A server that is stopping has no use for it.
                    let _listener = self.events.send(Event::Exit(report));
                }
            }
            Ok(None) => {}
            Err(error) => {
                warn!(task = %description.task, error = %chain(&error), "a task's exit record cannot be read")
            }
        }
    }
}

/// Reads the last line of a log; `None` if it is no exit record.
fn read(log: &Path) -> io::Result<Option<ExitRecord>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    // One byte more than the record, its line end and the line end before it.
    let tail = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 3;
    file.seek(SeekFrom::Start(length.saturating_sub(tail)))?;
    let mut bytes = Vec::new();
    file.take(tail).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // A line whose beginning was not read is longer than a record.
    let lines = text.strip_suffix('\n').unwrap_or(&text);
    let last = match lines.rsplit_once('\n') {
        Some((_, last)) => last,
        None if length <= tail => lines,
        None => return Ok(None),
    };
    ExitRecord::read(last).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::wire::exit::AgentExit;
    use ecsrunner_core::wire::exit_record::AgentTimes;

    use super::*;

    fn record(detail: &str) -> ExitRecord {
        let how = (AgentExit::Completed, "completed", detail);
        ExitRecord::new(Timestamp::UNIX_EPOCH, how, None, None, AgentTimes::default())
    }

    fn read_from(log: &str) -> io::Result<Option<ExitRecord>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, log).unwrap();
        read(&path)
    }

    #[test]
    fn the_last_line_of_a_log_is_the_record_however_long_the_log_is() {
        for detail in ["the job ended".to_owned(), "x".repeat(MAX_BYTES)] {
            let line = record(&detail).to_line().unwrap();
            for before in
                ["", "\n", "{\"a\":1}\n", &"lines\n".repeat(5000), &format!("{}\n", "x".repeat(9000))]
            {
                for end in ["\n", ""] {
                    let read = read_from(&format!("{before}{line}{end}")).unwrap().unwrap();
                    assert!(detail.starts_with(&read.detail) && read.exit == 0);
                }
            }
        }
    }

    #[test]
    fn a_log_without_a_record_at_its_end_has_none() {
        let line = record("").to_line().unwrap();
        for log in [String::new(), "a line\n".to_owned(), format!("{line}\nmore\n"), "x".repeat(9000)] {
            assert_eq!(read_from(&log).unwrap(), None, "{log:.40}");
        }
        assert!(read_from("{\"exit_record\":9}\n").is_err());
        assert!(read(Path::new("/nowhere")).is_err());
    }
}
