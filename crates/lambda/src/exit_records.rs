//! Reads a batch of log events that a subscription filter of CloudWatch Logs sends: the exit records of agents.
//!
//! The batch is JSON, compressed with gzip and encoded in base64. A task writes to a log stream of its own, whose name ends
//! with its id, and nothing in a task can write to another one's. So the stream says whose record it is.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ecsrunner_aws::task::task_of_stream;
use ecsrunner_core::id::RunnerName;
use ecsrunner_core::wire::event::ExitReport;
use ecsrunner_core::wire::exit_record::ExitRecord;
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use serde::Deserialize;

/// A batch is at most 1 MB compressed, and exit records are some of the lines of tasks. What is larger was made to use up
/// memory.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// The kind of a batch that has log events. CloudWatch Logs also sends batches to test the subscription.
const DATA: &str = "DATA_MESSAGE";

/// The field `awslogs` of an invocation.
#[derive(Debug, Deserialize)]
pub(crate) struct Encoded {
    data: String,
}

/// A decoded batch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Batch {
    message_type: String,
    log_group: String,
    log_stream: String,
    #[serde(default)]
    log_events: Vec<LogEvent>,
}

#[derive(Debug, Deserialize)]
struct LogEvent {
    /// Milliseconds since the epoch, given by what collects the task's log.
    timestamp: i64,
    message: String,
}

/// The reports of a batch, and how many lines of it were none.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// One for each runner: its last one.
    pub(crate) reports: Vec<ExitReport>,
    pub(crate) refused: usize,
}

/// Why a batch is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("the data of CloudWatch Logs is not base64")]
    Base64(#[source] base64::DecodeError),
    #[error("the data of CloudWatch Logs is not compressed with gzip")]
    Gzip(#[source] std::io::Error),
    #[error("the data of CloudWatch Logs has more than {MAX_BYTES} bytes when it is decompressed")]
    TooLarge,
    #[error("the data of CloudWatch Logs is not a batch of log events")]
    Json(#[source] serde_json::Error),
    #[error("the log events are of group `{found}`: the runners' group `{expected}` is expected")]
    Group { found: String, expected: String },
}

impl Encoded {
    /// # Errors
    ///
    /// The data is no batch of log events, or is too large.
    pub(crate) fn decode(&self) -> Result<Batch, BatchError> {
        let compressed = BASE64_STANDARD.decode(&self.data).map_err(BatchError::Base64)?;
        let mut json = Vec::new();
        let mut decoder = MultiGzDecoder::new(compressed.as_slice()).take(MAX_BYTES + 1);
        decoder.read_to_end(&mut json).map_err(BatchError::Gzip)?;
        if u64::try_from(json.len()).unwrap_or(u64::MAX) > MAX_BYTES {
            return Err(BatchError::TooLarge);
        }
        serde_json::from_slice(&json).map_err(BatchError::Json)
    }
}

impl Batch {
    /// Returns the reports of agents, if the batch is of that log group.
    ///
    /// # Errors
    ///
    /// The batch is of another log group.
    pub(crate) fn reports(self, log_group: &str) -> Result<Reports, BatchError> {
        if self.message_type != DATA {
            return Ok(Reports::default());
        }
        if self.log_group != log_group {
            return Err(BatchError::Group { found: self.log_group, expected: log_group.to_owned() });
        }
        let mut reports = Reports::default();
        // Services write to the same group: only the stream of the runner's own container is the agent's.
        let task = task_of_stream(&self.log_stream);
        let Some(task) = task else { return Ok(Reports { refused: self.log_events.len(), ..reports }) };
        let mut last: BTreeMap<RunnerName, ExitReport> = BTreeMap::new();
        for event in self.log_events {
            let record = ExitRecord::read(&event.message).ok().flatten();
            let written_at = Timestamp::from_millisecond(event.timestamp).ok();
            let report = record.zip(written_at);
            let report = report.and_then(|(record, at)| ExitReport::of(record, task.clone(), at));
            match report {
                None => reports.refused += 1,
                Some(report) => {
                    let before = last.get(&report.runner);
                    if before.is_none_or(|before| before.written_at <= report.written_at) {
                        last.insert(report.runner.clone(), report);
                    }
                }
            }
        }
        reports.reports = last.into_values().collect();
        Ok(reports)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ecsrunner_core::wire::exit::AgentExit;
    use ecsrunner_core::wire::exit_record::{AgentTimes, VERSION};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::{Value, json};

    use super::*;

    const GROUP: &str = "/ecsrunner/ci/runners";
    const TASK: &str = "0123456789abcdef0123456789abcdef";
    const RUNNER: &str = "ecsr-ci-abcdefghij-01arz3ndektsv4rrffq69g5fav";

    fn encoded(bytes: &[u8]) -> Encoded {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        Encoded { data: BASE64_STANDARD.encode(gzip.finish().unwrap()) }
    }

    fn line(started: i64) -> String {
        let times =
            AgentTimes { started: Timestamp::from_millisecond(started).ok(), ..AgentTimes::default() };
        let how = (AgentExit::Completed, "completed", "");
        let runner = RunnerName::parse(RUNNER).ok();
        ExitRecord::new(Timestamp::UNIX_EPOCH, how, runner, None, times).to_line().unwrap()
    }

    /// A batch as AWS documents it.
    fn batch(events: &[(i64, &str)]) -> Value {
        let events =
            events.iter().map(|(at, message)| json!({"id": "3", "timestamp": at, "message": message}));
        json!({
            "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": GROUP,
            "logStream": format!("runner/runner/{TASK}"), "subscriptionFilters": ["exit-records"],
            "logEvents": events.collect::<Vec<_>>(),
        })
    }

    fn read(batch: &Value) -> Result<Reports, BatchError> {
        encoded(batch.to_string().as_bytes()).decode()?.reports(GROUP)
    }

    #[test]
    fn a_record_is_reported_with_its_task_and_when_it_was_written() {
        let Reports { reports, refused } = read(&batch(&[(9_000, &line(1_000))])).unwrap();
        let [report] = reports.as_slice() else { panic!("{reports:?}") };
        assert_eq!((report.runner.as_str(), report.task.as_str()), (RUNNER, TASK));
        assert_eq!(report.written_at, Timestamp::from_millisecond(9_000).unwrap());
        assert_eq!((report.times.started, refused), (Timestamp::from_millisecond(1_000).ok(), 0));
    }

    #[test]
    fn the_last_record_of_a_runner_counts_and_other_lines_are_counted() {
        let (forged, real) = (line(1), line(2));
        let lines = [(9, real.as_str()), (5, forged.as_str()), (6, "a line"), (7, r#"{"exit_record":9}"#)];
        let Reports { reports, refused } = read(&batch(&lines)).unwrap();
        assert_eq!((reports.len(), refused), (1, 2));
        assert_eq!(reports[0].times.started, Timestamp::from_millisecond(2).ok());
    }

    #[test]
    fn a_batch_that_tests_the_subscription_has_no_reports() {
        let mut control = batch(&[(1, "CWL CONTROL MESSAGE: Checking health of destination Firehose.")]);
        control["messageType"] = json!("CONTROL_MESSAGE");
        let Reports { reports, refused } = read(&control).unwrap();
        assert!(reports.is_empty() && refused == 0);
    }

    #[test]
    fn a_stream_that_no_agent_writes_to_has_no_reports() {
        for stream in ["by/hand/ä", &format!("runner/db/{TASK}"), TASK, "runner/runner/", ""] {
            let mut other = batch(&[(1, &line(1))]);
            other["logStream"] = json!(stream);
            let Reports { reports, refused } = read(&other).unwrap();
            assert!(reports.is_empty() && refused == 1, "{stream}");
        }
    }

    #[test]
    fn another_log_group_and_data_of_another_form_are_refused_with_what_is_wrong() {
        let mut other = batch(&[(1, &line(1))]);
        other["logGroup"] = json!("/aws/lambda/other");
        let told = |result: Result<Reports, BatchError>| result.unwrap_err().to_string();
        assert_eq!(
            told(read(&other)),
            "the log events are of group `/aws/lambda/other`: the runners' group `/ecsrunner/ci/runners` is expected"
        );
        let told = |data: &str| Encoded { data: data.to_owned() }.decode().unwrap_err().to_string();
        assert_eq!(told("%"), "the data of CloudWatch Logs is not base64");
        assert_eq!(told("aGVsbG8="), "the data of CloudWatch Logs is not compressed with gzip");
        assert_eq!(told(&encoded(b"[]").data), "the data of CloudWatch Logs is not a batch of log events");
    }

    #[test]
    fn data_that_grows_beyond_the_limit_is_refused_before_it_is_all_decompressed() {
        let limit = usize::try_from(MAX_BYTES).unwrap();
        let bomb = encoded(&vec![b' '; limit * 16]);
        assert!(bomb.data.len() < 1_000_000, "it passes as an invocation");
        assert!(matches!(bomb.decode(), Err(BatchError::TooLarge)));
        assert!(
            matches!(encoded(&vec![b' '; limit]).decode(), Err(BatchError::Json(_))),
            "the limit itself fits"
        );
    }

    #[test]
    fn the_filter_of_the_subscription_takes_this_version_alone() {
        let filter = include_str!("../../../terraform/modules/control_plane/exit_records.tf");
        assert!(filter.contains(&format!("\"{{ $.exit_record = {VERSION} }}\"")), "{filter}");
    }
}
