//! Exit records, from a task's log to the runner in history.
//!
//! ministack has no subscription filters, so the test does what one does: it takes the lines of the log that its pattern
//! matches, and invokes the function with them as CloudWatch Logs does.

use std::io::Write;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ecsrunner_core::records::wait::Part;
use ecsrunner_core::wire::exit_record::ExitRecord;
use ecsrunner_core::wire::peaks::Peaks;
use ecsrunner_world::ecs::TaskView;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::chain::Chain;
use crate::deployment::FUNCTION;
use crate::traces;

pub(crate) async fn the_log_of_the_task_explains_its_jobs_wait(chain: &Chain, task: &TaskView, runner: &str) {
    let log = std::fs::read_to_string(chain.setting.dir.join("logs/agent.log")).unwrap();
    let matched: Vec<&str> = log.lines().filter(|line| is_matched(line)).collect();
    let [record] = matched.as_slice() else { panic!("one line is an exit record: {matched:?}") };
    let before = chain.gone_runner(runner).await;
    let unknown = before.wait().expect("its job started").unknown();
    assert!(before.times.agent.is_none() && !unknown.is_zero(), "{before:?}");

    // What this machine measures is not known: these values are what the agent could have measured.
    let peaks = Peaks::from_values([20, 10, 5, 300 << 20, 400 << 20, 7 << 20, 1].map(Some));
    let record = ExitRecord::read(record).unwrap().unwrap().with_peaks(Some(peaks)).to_line().unwrap();
    let record = record.as_str();

    // Another task's log says nothing about this runner.
    let other = "f".repeat(32);
    chain.aws.invoke(FUNCTION, &sent(&other, record)).await.unwrap();
    assert_eq!(chain.gone_runner(runner).await.times, before.times);

    chain.aws.invoke(FUNCTION, &sent(&task.id, record)).await.unwrap();
    let after = chain.gone_runner(runner).await;
    let wait = after.wait().unwrap();
    let parts =
        [Part::Container, Part::HandOver, Part::Agent, Part::Listener, Part::Session, Part::Assignment];
    assert!(parts.iter().all(|part| wait.part(*part).is_some()) && wait.unknown() < unknown, "{wait:?}");
    assert!(after.times.agent.as_ref().unwrap().runner_version.is_some());
    assert_eq!(after.times.agent.as_ref().and_then(|agent| agent.peaks), Some(peaks));
    traces::a_job_is_one_trace(chain, runner).await;

    // The same record again changes nothing, and is no error.
    let version = after.version;
    chain.aws.invoke(FUNCTION, &sent(&task.id, record)).await.unwrap();
    assert_eq!(chain.gone_runner(runner).await.version, version);
}

/// Whether the filter's pattern, `{ $.exit_record = 1 }`, matches a line.
fn is_matched(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|line| line["exit_record"] == 1)
}

/// An invocation by CloudWatch Logs.
fn sent(task: &str, line: &str) -> Value {
    let record: Value = serde_json::from_str(line).unwrap();
    let written_at: Timestamp = record["time"].as_str().unwrap().parse().unwrap();
    let batch = json!({
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": "/ecsrunner/chain/runners",
        "logStream": format!("runner/runner/{task}"),
        "subscriptionFilters": ["ecsrunner-chain-exit-records"],
        "logEvents": [{"id": "1", "timestamp": written_at.as_millisecond(), "message": line}],
    });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(batch.to_string().as_bytes()).unwrap();
    json!({"awslogs": {"data": BASE64_STANDARD.encode(gzip.finish().unwrap())}})
}
