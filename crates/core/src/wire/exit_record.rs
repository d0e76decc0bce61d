//! The exit record: the last line of an agent's log, which says when the agent did what.
//!
//! It can be lost, repeated and late, and a job that is root can write one of its own. So only what is shown follows from
//! it, never a decision about a job. The agent alone begins a line of its log with [`PREFIX`]: it breaks that text where
//! its listener or a job writes it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::id::RunnerName;
use crate::rules::image::RunnerVersion;
use crate::wire::exit::AgentExit;
use crate::wire::peaks::Peaks;

/// Every exit record begins with this, byte for byte.
pub const PREFIX: &str = r#"{"exit_record":"#;
/// The version that is written here. A record of a newer version is refused.
pub const VERSION: u32 = 1;
/// A longer line is no exit record.
pub const MAX_BYTES: usize = 2048;
/// How far the clocks of a task and of the control plane may differ.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(5);

/// When an agent reached each step, by the clock of its task. A step that it did not reach, or did not see, has no time.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentTimes {
    /// The agent started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// It took its boot item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_item_taken: Option<Timestamp>,
    /// It started the listener for the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_started: Option<Timestamp>,
    /// The listener printed that it is connected to GitHub, which it does before it has a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<Timestamp>,
    /// The listener has a session, and waits for a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_made: Option<Timestamp>,
    /// The listener was given a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_acquired: Option<Timestamp>,
    /// The listener said that the job ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_ended: Option<Timestamp>,
}

impl AgentTimes {
    /// The steps in their order.
    #[must_use]
    pub fn steps(&self) -> [Option<Timestamp>; 7] {
        [
            self.started,
            self.boot_item_taken,
            self.listener_started,
            self.connected,
            self.session_made,
            self.job_acquired,
            self.job_ended,
        ]
    }

    /// The reverse of [`Self::steps`].
    #[must_use]
    pub fn from_steps(steps: [Option<Timestamp>; 7]) -> Self {
        let [started, boot_item_taken, listener_started, connected, session_made, job_acquired, job_ended] =
            steps;
        Self { started, boot_item_taken, listener_started, connected, session_made, job_acquired, job_ended }
    }

    /// Whether the steps are in order and none is outside this time, as far as clocks differ.
    #[must_use]
    pub fn fit_between(&self, from: Timestamp, to: Timestamp) -> bool {
        let mut last = from.checked_sub(CLOCKS_DIFFER).unwrap_or(from);
        let until = to.checked_add(CLOCKS_DIFFER).unwrap_or(to);
        self.steps().into_iter().flatten().all(|at| {
            let fits = last <= at && at <= until;
            last = last.max(at);
            fits
        })
    }
}

/// The line, as it is written and read. Fields that this release does not know are ignored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ExitRecord {
    /// [`VERSION`]. It is the first field, so that the line begins with [`PREFIX`].
    exit_record: u32,
    /// When the line was written.
    pub time: Timestamp,
    /// As in other lines of the log.
    level: String,
    /// As in other lines of the log.
    message: String,
    /// The exit code, which [`AgentExit`] explains.
    pub exit: u8,
    /// The name of the exit code.
    pub reason: String,
    /// One sentence about the end.
    pub detail: String,
    /// The runner of the boot item; `None` if none was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerName>,
    /// The version that the listener printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_version: Option<RunnerVersion>,
    #[serde(default)]
    pub times: AgentTimes,
    /// What the job used; `None` if nothing was measured, as on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peaks: Option<Peaks>,
}

/// A line that begins like an exit record and is none that this release reads.
#[derive(Debug, thiserror::Error)]
pub enum ExitRecordError {
    #[error("it has {0} bytes: an exit record has at most {MAX_BYTES}")]
    TooLong(usize),
    #[error("it has version {0}: this release reads version {VERSION}")]
    Version(u32),
    #[error("it cannot be read")]
    Unreadable(#[source] serde_json::Error),
}

impl ExitRecord {
    #[must_use]
    pub fn new(
        time: Timestamp,
        (exit, reason, detail): (AgentExit, &str, &str),
        runner: Option<RunnerName>,
        runner_version: Option<RunnerVersion>,
        times: AgentTimes,
    ) -> Self {
        Self {
            exit_record: VERSION,
            time,
            level: "info".to_owned(),
            message: "agent ended".to_owned(),
            exit: exit.code(),
            reason: reason.to_owned(),
            detail: detail.to_owned(),
            runner,
            runner_version,
            times,
            peaks: None,
        }
    }

    /// Returns the record with what the job used.
    #[must_use]
    pub fn with_peaks(self, peaks: Option<Peaks>) -> Self {
        Self { peaks, ..self }
    }

    /// Returns the line without its end. A detail that is too long is cut.
    ///
    /// # Errors
    ///
    /// The record cannot be written as JSON, which none that this release makes does.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        let mut record = self.clone();
        loop {
            let line = serde_json::to_string(&record)?;
            if line.len() <= MAX_BYTES || record.detail.is_empty() {
                return Ok(line);
            }
            // Each character is at most six bytes of JSON.
            let kept = record.detail.chars().count() / 2;
            record.detail = record.detail.chars().take(kept).collect();
        }
    }

    /// Reads a line of an agent's log; `None` if it is no exit record.
    ///
    /// # Errors
    ///
    /// The line begins like an exit record and cannot be read as one.
    pub fn read(line: &str) -> Result<Option<Self>, ExitRecordError> {
        #[derive(Deserialize)]
        struct Versioned {
            exit_record: u32,
        }
        let line = line.trim_end_matches(['\r', '\n']);
        if !line.starts_with(PREFIX) {
            return Ok(None);
        }
        if line.len() > MAX_BYTES {
            return Err(ExitRecordError::TooLong(line.len()));
        }
        let Versioned { exit_record: version } =
            serde_json::from_str(line).map_err(ExitRecordError::Unreadable)?;
        if version != VERSION {
            return Err(ExitRecordError::Version(version));
        }
        serde_json::from_str(line).map(Some).map_err(ExitRecordError::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_764_000_000 + secs).unwrap()
    }

    fn times() -> AgentTimes {
        AgentTimes::from_steps([1, 2, 3, 4, 5, 6, 7].map(|secs| Some(at(secs))))
    }

    fn record(detail: &str) -> ExitRecord {
        let runner = RunnerName::parse("ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav").unwrap();
        let version = RunnerVersion::parse("2.336.0").unwrap();
        let how = (AgentExit::Completed, "completed", detail);
        ExitRecord::new(at(8), how, Some(runner), Some(version), times())
    }

    #[test]
    fn a_record_is_one_line_that_reads_back() {
        let record = record("the job ended");
        let line = record.to_line().unwrap();
        insta::assert_snapshot!(line, @r#"{"exit_record":1,"time":"2025-11-24T16:00:08Z","level":"info","message":"agent ended","exit":0,"reason":"completed","detail":"the job ended","runner":"ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav","runner_version":"2.336.0","times":{"started":"2025-11-24T16:00:01Z","boot_item_taken":"2025-11-24T16:00:02Z","listener_started":"2025-11-24T16:00:03Z","connected":"2025-11-24T16:00:04Z","session_made":"2025-11-24T16:00:05Z","job_acquired":"2025-11-24T16:00:06Z","job_ended":"2025-11-24T16:00:07Z"}}"#);
        assert_eq!(ExitRecord::read(&format!("{line}\n")).unwrap(), Some(record));
    }

    #[test]
    fn a_long_detail_is_cut_and_the_line_stays_short() {
        for detail in ["x".repeat(10_000), "\u{1}".repeat(2000), "é\"".repeat(3000)] {
            let line = record(&detail).to_line().unwrap();
            assert!(line.len() <= MAX_BYTES && line.len() > 600, "{}", line.len());
            let read = ExitRecord::read(&line).unwrap().unwrap();
            assert!(detail.starts_with(&read.detail) && read.times == times());
        }
    }

    #[test]
    fn peaks_are_a_part_of_the_line_however_long_they_are() {
        let peaks = Peaks::from_values([Some(u64::MAX); 7]);
        let line = record(&"é\"".repeat(3000)).with_peaks(Some(peaks)).to_line().unwrap();
        assert!(line.len() <= MAX_BYTES, "{}", line.len());
        assert_eq!(ExitRecord::read(&line).unwrap().unwrap().peaks, Some(peaks));
        let few = Peaks { memory_bytes: Some(1), ..Peaks::default() };
        let line = record("").with_peaks(Some(few)).to_line().unwrap();
        assert!(line.ends_with(r#""peaks":{"memory_bytes":1}}"#), "{line}");
    }

    #[test]
    fn only_a_line_that_begins_byte_for_byte_like_a_record_is_one() {
        let line = record("").to_line().unwrap();
        for other in [
            String::new(),
            format!(" {line}"),
            format!("x{line}"),
            line.replacen("exit_record\":", "exit_record\" :", 1),
            line.replacen("exit_record", "exit\\u005frecord", 1),
            line.replacen("{", "{ ", 1),
        ] {
            assert_eq!(ExitRecord::read(&other).unwrap(), None, "{other}");
        }
    }

    #[test]
    fn a_record_of_another_form_is_refused_with_what_is_wrong() {
        let told = |line: &str| ExitRecord::read(line).unwrap_err().to_string();
        assert_eq!(told(r#"{"exit_record":2,"what":1}"#), "it has version 2: this release reads version 1");
        assert_eq!(told(r#"{"exit_record":1}"#), "it cannot be read");
        assert_eq!(told(r#"{"exit_record":"1"}"#), "it cannot be read");
        let long = format!("{{\"exit_record\":1,\"x\":\"{}\"}}", "x".repeat(MAX_BYTES));
        assert_eq!(told(&long), format!("it has {} bytes: an exit record has at most 2048", long.len()));
        let line = record("").to_line().unwrap();
        for (from, to) in [("2.336.0", "latest"), ("ecsr-test", "mine"), ("2025-11-24T16:00:03Z", "soon")] {
            assert!(line.contains(from), "{from}");
            assert_eq!(told(&line.replacen(from, to, 1)), "it cannot be read", "{to}");
        }
    }

    #[test]
    fn fields_of_a_later_release_are_ignored() {
        let line = record("").to_line().unwrap().replacen(
            "\"times\":{",
            "\"later\":{\"x\":1},\"peaks\":{\"cpu_ms\":1,\"x\":1},\"times\":{\"x\":1,",
            1,
        );
        let read = ExitRecord::read(&line).unwrap().unwrap();
        assert_eq!((read.times, read.peaks.and_then(|peaks| peaks.cpu_ms)), (times(), Some(1)));
    }

    #[test]
    fn times_fit_if_they_are_in_order_and_in_the_life_of_the_runner() {
        assert!(times().fit_between(at(0), at(8)));
        assert!(times().fit_between(at(5), at(3)), "clocks may differ by seconds");
        assert!(!times().fit_between(at(7), at(60)));
        assert!(!times().fit_between(at(0), at(1)));
        let swapped = AgentTimes { connected: Some(at(6)), ..times() };
        assert!(!swapped.fit_between(at(0), at(8)));
        let sparse = AgentTimes { connected: None, job_ended: None, ..times() };
        assert!(sparse.fit_between(at(0), at(8)));
        assert!(AgentTimes::default().fit_between(at(0), at(0)));
        let all = AgentTimes::from_steps(
            [Timestamp::MIN, Timestamp::MAX, at(0), at(1), at(2), at(3), at(4)].map(Some),
        );
        assert!(!all.fit_between(Timestamp::MIN, Timestamp::MAX));
    }
}
