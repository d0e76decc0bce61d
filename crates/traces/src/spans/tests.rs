use std::collections::BTreeMap;
use std::sync::Arc;

use ecsrunner_core::id::{ClassName, JobId, PoolId, Repository, RunId, RunnerName, Version};
use ecsrunner_core::reason::Code;
use ecsrunner_core::records::runner::{RunnerFacts, Served};
use ecsrunner_core::records::times::{AgentReport, HeldBy, JobTimes, Times};
use ecsrunner_core::rules::class::size::{Arch, Size};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::labels::Labels;
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::event::TaskTimes;
use ecsrunner_core::wire::exit_record::AgentTimes;
use ecsrunner_core::wire::job::TakenBy;
use prost::Message;

use super::*;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_793_534_400 + secs).unwrap()
}

fn origin() -> Origin {
    Origin::new(Deployment::parse("ci").unwrap(), "https://api.github.com")
}

/// A job of a minute: queued at 0, reserved at 2, its task accepted at 3, started at 40, completed at 100, gone at 130.
pub(crate) fn finished() -> Finished {
    let repository = Repository::parse("acme/app").unwrap();
    let name = RunnerName::parse("ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav").unwrap();
    let facts = RunnerFacts {
        name: name.clone(),
        class: ClassName::parse("small").unwrap(),
        size: Size::new(512, 1024, None, Arch::X64).unwrap(),
        pool: PoolId::parse("abcdefg234").unwrap(),
        scope: Scope::Repository(repository.clone()),
        labels: Labels::new(["self-hosted"]),
        repository: repository.clone(),
        launched_for: JobId::new(7),
        max_job_minutes: 60,
        wait_limits: None,
        image: None,
        exec: false,
        fails: false,
        warm: None,
    };
    let timeline = [
        (RunnerStage::Reserved, at(2)),
        (RunnerStage::Starting, at(3)),
        (RunnerStage::Busy, at(40)),
        (RunnerStage::Ending, at(101)),
        (RunnerStage::Gone, at(130)),
    ];
    let task = TaskTimes {
        created: Some(at(3)),
        pull_started: Some(at(13)),
        pull_stopped: Some(at(28)),
        started: Some(at(29)),
    };
    let times = AgentTimes {
        started: Some(at(30)),
        boot_item_taken: Some(at(31)),
        listener_started: Some(at(32)),
        connected: Some(at(36)),
        session_made: Some(at(37)),
        ..AgentTimes::default()
    };
    let runner = EndedRunner {
        facts,
        version: Version::FIRST,
        timeline: timeline.into_iter().collect(),
        kind: EndingKind::Completed,
        note: None,
        served: Served::Job(JobId::new(7)),
        placement: Placement::fargate(Market::OnDemand, None),
        task: None,
        stopped_at: Some(at(120)),
        cost_usd: Some(0.25),
        times: Times {
            task,
            agent: Some(AgentReport { written_at: at(101), times, runner_version: None, peaks: None }),
            job: Some(JobTimes {
                queued_at: at(0),
                recorded_at: Some(at(1)),
                started_at: at(40),
                held_by: None,
            }),
        },
    };
    let job = EndedJob {
        facts: Arc::new(JobFacts {
            id: JobId::new(7),
            run: RunId::new(42),
            attempt: 2,
            repository,
            name: Arc::from("build"),
            workflow: Some(Arc::from("CI")),
            labels: Labels::new(["self-hosted"]),
        }),
        version: Version::FIRST,
        created_at: at(0),
        timeline: [(JobStage::Queued, at(0)), (JobStage::InProgress, at(40)), (JobStage::Completed, at(100))]
            .into_iter()
            .collect(),
        assignment: None,
        ending: JobEnding::Completed {
            conclusion: Conclusion::Success,
            runner: TakenBy::Ours(name),
            reason: None,
        },
    };
    Finished { job, runner, part: TracePart::Whole }
}

/// Returns the spans as lines: name, parent's name, and seconds since the job was queued.
fn told(finished: &Finished) -> Vec<String> {
    let spans = spans(finished, &origin());
    let facts = &finished.job.facts;
    let second = |nanos: u64| i64::try_from(nanos / 1_000_000_000).unwrap() - at(0).as_second();
    let line = |span: &Span| {
        let parent = [ROOT, BOOT].into_iter().find(|name| span_id(facts, name) == span.parent_span_id);
        let parent = parent.unwrap_or("-");
        format!(
            "{} in {parent} {}..{}",
            span.name,
            second(span.start_time_unix_nano),
            second(span.end_time_unix_nano)
        )
    };
    spans.iter().map(line).collect()
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let value = |value: &KeyValue| match value.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    span.attributes.iter().map(|attribute| (attribute.key.as_str(), value(attribute))).collect()
}

#[test]
fn a_job_is_a_tree_of_its_parts() {
    assert_eq!(
        told(&finished()),
        [
            "build in - 1..100",
            "webhook in job 1..1",
            "decision in job 1..2",
            "launch in job 2..3",
            "provision in boot 3..13",
            "pull in boot 13..28",
            "container in boot 28..30",
            "hand_over in boot 30..31",
            "agent in boot 31..32",
            "listener in boot 32..36",
            "session in boot 36..37",
            "assignment in boot 37..40",
            "boot in job 3..40",
            "run in job 40..100",
            "clean_up in job 100..130",
        ]
    );
}

#[test]
fn what_the_agent_says_later_adds_only_its_own_spans() {
    let whole = told(&finished());
    let mut early = finished();
    early.runner.times.agent = None;
    let early = told(&early);
    let later = told(&Finished { part: TracePart::Agent, ..finished() });
    assert!(early.iter().all(|span| !later.contains(span)), "{early:?} {later:?}");
    let mut both: Vec<_> = early.into_iter().chain(later).collect();
    both.sort();
    let mut whole = whole;
    whole.sort();
    assert_eq!(both, whole);
}

#[test]
fn a_job_that_was_held_back_says_so() {
    let mut held = finished();
    held.runner.times.job.as_mut().unwrap().held_by = Some(HeldBy::Limit);
    assert!(told(&held).contains(&"held in job 1..2".to_owned()));
    assert_eq!(attributes(&spans(&held, &origin())[0])["ecsrunner.held_by"], "limit");
    let mut unknown = finished();
    unknown.runner.times.job = None;
    assert!(told(&unknown).is_empty(), "it never began here");
}

#[test]
fn githubs_ids_are_attributes_by_the_conventions() {
    let spans = spans(&finished(), &origin());
    let root = attributes(&spans[0]);
    for (key, value) in [
        ("cicd.pipeline.name", "CI"),
        ("cicd.pipeline.run.id", "42"),
        ("cicd.pipeline.run.url.full", "https://github.com/acme/app/actions/runs/42/attempts/2"),
        ("cicd.pipeline.task.name", "build"),
        ("cicd.pipeline.task.run.id", "7"),
        ("cicd.pipeline.task.run.url.full", "https://github.com/acme/app/actions/runs/42/job/7"),
        ("cicd.pipeline.task.run.result", "success"),
        ("cicd.worker.name", "ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav"),
        ("vcs.owner.name", "acme"),
        ("vcs.repository.name", "app"),
        ("vcs.repository.url.full", "https://github.com/acme/app"),
        ("ecsrunner.class", "small"),
    ] {
        assert_eq!(root[key], value, "{key}");
    }
    assert!(!root.contains_key("error.type"));
    assert_eq!(
        Origin::new(Deployment::parse("ci").unwrap(), "https://ghe.acme.dev/api/v3/").pages,
        "https://ghe.acme.dev"
    );
}

#[test]
fn a_failure_is_told_from_a_lost_runner() {
    let outcome = |conclusion, kind, note: Option<Code>| {
        let mut finished = finished();
        let JobEnding::Completed { conclusion: of_job, .. } = &mut finished.job.ending else {
            unreachable!()
        };
        *of_job = conclusion;
        finished.runner.kind = kind;
        finished.runner.note = note.map(Into::into);
        let root = spans(&finished, &origin()).remove(0);
        let attributes = attributes(&root);
        let error = attributes.get("error.type").cloned().unwrap_or_default();
        format!(
            "{} {error} {}",
            attributes["cicd.pipeline.task.run.result"],
            root.status.as_ref().unwrap().code
        )
    };
    assert_eq!(outcome(Conclusion::Failure, EndingKind::Completed, None), "failure failure 2");
    let interrupted = outcome(Conclusion::Failure, EndingKind::SpotInterrupted, Some(Code::SpotInterrupted));
    assert_eq!(interrupted, "error spot_interrupted 2");
    assert_eq!(outcome(Conclusion::Cancelled, EndingKind::Completed, None), "cancellation  0");
    assert_eq!(outcome(Conclusion::Failure, EndingKind::JobTimeout, None), "timeout timeout 2");
}

/// A field of a protobuf message: its number, and its value.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Reads a message's fields by protobuf's wire format, without any generated code.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => {
                let (value, rest) = bytes.split_at(8);
                bytes = rest;
                Field::Number(u64::from_le_bytes(value.try_into().unwrap()))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(value)
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn messages(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    let of_number = fields(bytes).into_iter().filter(|(field, _)| *field == number);
    of_number
        .map(|(_, field)| if let Field::Bytes(bytes) = field { bytes } else { panic!("a number") })
        .collect()
}

fn number(bytes: &[u8], number: u64) -> u64 {
    let found = fields(bytes).into_iter().find(|(field, _)| *field == number);
    found.map_or(0, |(_, field)| if let Field::Number(value) = field { value } else { panic!("bytes") })
}

/// The numbers are those of opentelemetry/proto/trace/v1/trace.proto and its neighbours, release 1.
#[test]
fn the_bytes_are_those_of_opentelemetrys_protobuf() {
    let bytes = request(&[finished()], &origin()).encode_to_vec();
    // `cargo xtask test traces` decodes them with OpenTelemetry's own messages for Python.
    if let Some(file) = std::env::var_os("ECSRUNNER_TRACE_FILE") {
        std::fs::write(file, &bytes).unwrap();
    }
    let resource_spans = messages(&bytes, 1);
    assert_eq!(resource_spans.len(), 1);
    let resource = messages(resource_spans[0], 1)[0];
    let first = messages(resource, 1)[0];
    assert_eq!(messages(first, 1), [b"service.name"]);
    assert_eq!(messages(messages(first, 2)[0], 1), [b"ecsrunner"]);
    let scope_spans = messages(resource_spans[0], 2)[0];
    assert_eq!(messages(messages(scope_spans, 1)[0], 1), [b"ecsrunner"]);
    let spans = messages(scope_spans, 2);
    assert_eq!(spans.len(), told(&finished()).len());
    let (root, run) = (spans[0], spans[spans.len() - 2]);
    assert_eq!((messages(root, 1)[0].len(), messages(root, 2)[0].len()), (16, 8), "ids");
    assert!(messages(root, 4).is_empty(), "a root has no parent");
    assert_eq!(messages(run, 4), messages(root, 2), "its parent");
    assert_eq!((messages(root, 5), messages(run, 5)), (vec![&b"build"[..]], vec![&b"run"[..]]));
    assert_eq!(number(run, 6), 1, "internal");
    let nanos = |secs| u64::try_from(at(secs).as_nanosecond()).unwrap();
    assert_eq!((number(run, 7), number(run, 8)), (nanos(40), nanos(100)));
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| messages(span, 2)[0]).collect();
    assert_eq!(ids.len(), spans.len(), "each span has its own id");
    assert!(spans.iter().all(|span| messages(span, 1) == messages(root, 1)), "one trace");
}
