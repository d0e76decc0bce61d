//! The spans of a job, with the attributes of OpenTelemetry's conventions for CI/CD.
//!
//! ```text
//! job                       from queued to completed
//! ├─ webhook                until GitHub's webhook was recorded
//! ├─ decision, or held      until a runner was reserved
//! ├─ launch                 until its task was accepted
//! ├─ boot                   until the job started
//! │  └─ provision, pull, container, hand_over, agent, listener, session, assignment
//! ├─ run                    until the job completed
//! └─ clean_up               until nothing of its runner was left
//! ```

use ecsrunner_core::id::Deployment;
use ecsrunner_core::records::job::{EndedJob, JobEnding, JobStage};
use ecsrunner_core::records::runner::{EndedRunner, EndingKind, RunnerStage};
use ecsrunner_core::records::wait::{Interval, Intervals, Part, intervals};
use ecsrunner_core::wire::job::{Conclusion, JobFacts};
use ecsrunner_engine::traces::{Finished, TracePart};
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::ids::{span_id, trace_id};

const ROOT: &str = "job";
const BOOT: &str = "boot";

/// Whose traces they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    pub deployment: Deployment,
    /// The address of GitHub's pages without a slash at its end.
    pub pages: String,
}

impl Origin {
    /// Takes the address of the pages from that of GitHub's API.
    #[must_use]
    pub fn new(deployment: Deployment, api: &str) -> Self {
        let api = api.trim_end_matches('/');
        let pages = match api {
            "https://api.github.com" => "https://github.com",
            api => api.strip_suffix("/api/v3").unwrap_or(api),
        };
        Self { deployment, pages: pages.to_owned() }
    }
}

/// Makes the request that exports jobs: one trace for each.
#[must_use]
pub fn request(jobs: &[Finished], origin: &Origin) -> ExportTraceServiceRequest {
    let spans = jobs.iter().flat_map(|job| spans(job, origin)).collect();
    let version = env!("CARGO_PKG_VERSION");
    let resource = Resource {
        attributes: vec![
            text("service.name", "ecsrunner"),
            text("service.version", version),
            text("ecsrunner.deployment", origin.deployment.as_str()),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "ecsrunner".to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
    let resource_spans = ResourceSpans { resource: Some(resource), scope_spans, schema_url: String::new() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

/// Returns the spans that are new. A job that never began on its runner has none.
fn spans(finished: &Finished, origin: &Origin) -> Vec<Span> {
    let Finished { job, runner, part } = finished;
    let Some(Intervals { queued_at, started_at, known }) =
        intervals(&runner.facts, &runner.timeline, &runner.times)
    else {
        return Vec::new();
    };
    let facts = &*job.facts;
    let is_of_agent = |interval: &&Interval| comes_with_the_agent(interval.part);
    let of_parts = known.iter().map(|interval| {
        let parent = if is_of_boot(interval.part) { BOOT } else { ROOT };
        child(facts, interval.part.as_str(), parent, interval.from, interval.to)
    });
    if *part == TracePart::Agent {
        let parts = known.iter().zip(of_parts).filter(|(interval, _)| is_of_agent(interval));
        return parts.map(|(_, span)| span).collect();
    }
    let completed_at = completed_at(job, runner).max(started_at);
    let mut spans = vec![root(finished, origin, queued_at, completed_at)];
    // Without the agent's times, the ends of these parts are not known yet. They come with its report.
    let is_known = |interval: &Interval| runner.times.agent.is_some() || !comes_with_the_agent(interval.part);
    spans.extend(known.iter().zip(of_parts).filter(|(interval, _)| is_known(interval)).map(|(_, span)| span));
    // From the task's acceptance; that of a warm task was before.
    let launched_at =
        known.iter().filter(|interval| !is_of_boot(interval.part)).map(|interval| interval.to).max();
    let boots_from = known.iter().find(|interval| is_of_boot(interval.part)).map(|interval| interval.from);
    if let Some(from) = launched_at.or(boots_from) {
        spans.push(child(facts, BOOT, ROOT, from, started_at));
    }
    spans.push(child(facts, "run", ROOT, started_at, completed_at));
    let gone_at = runner.timeline.latest().max(completed_at);
    let mut clean_up = child(facts, "clean_up", ROOT, completed_at, gone_at);
    clean_up.attributes.push(text("ecsrunner.runner.ending", runner.kind.as_str()));
    spans.push(clean_up);
    spans
}

/// Whether a part is known only with what the agent says at its end, which may come later than everything else.
const fn comes_with_the_agent(part: Part) -> bool {
    match part {
        Part::Container
        | Part::HandOver
        | Part::Agent
        | Part::Listener
        | Part::Session
        | Part::Assignment => true,
        Part::Webhook | Part::Decision | Part::Held | Part::Launch | Part::Provision | Part::Pull => false,
    }
}

const fn is_of_boot(part: Part) -> bool {
    matches!(part, Part::Provision | Part::Pull) || comes_with_the_agent(part)
}

fn completed_at(job: &EndedJob, runner: &EndedRunner) -> Timestamp {
    let of_job = job.timeline.at(JobStage::Completed);
    of_job
        .or(runner.stopped_at)
        .or_else(|| runner.timeline.at(RunnerStage::Ending))
        .unwrap_or(runner.timeline.latest())
}

fn root(finished: &Finished, origin: &Origin, from: Timestamp, to: Timestamp) -> Span {
    let Finished { job, runner, .. } = finished;
    let facts = &*job.facts;
    let result = result(job, runner);
    let mut attributes = of_github(facts, origin);
    attributes.extend([
        text("cicd.pipeline.task.run.result", &result),
        text("cicd.worker.name", runner.facts.name.as_str()),
        text("ecsrunner.class", runner.facts.class.as_str()),
        flag("ecsrunner.warm", runner.facts.warm.is_some()),
    ]);
    if let Some(held_by) = runner.times.job.as_ref().and_then(|job| job.held_by) {
        attributes.push(text("ecsrunner.held_by", held_by.as_str()));
    }
    if let Some(usd) = runner.cost_usd {
        attributes.push(key_value("ecsrunner.cost_usd", Value::DoubleValue(usd)));
    }
    let mut status = Status::default();
    if matches!(result.as_str(), "failure" | "error" | "timeout") {
        let reason = runner.note.as_ref().map(|note| note.code().as_str());
        attributes.push(text("error.type", reason.unwrap_or(&result)));
        status.set_code(StatusCode::Error);
    }
    Span { name: facts.name.to_string(), attributes, status: Some(status), ..span(facts, ROOT, from, to) }
}

/// GitHub's ids and names.
fn of_github(facts: &JobFacts, origin: &Origin) -> Vec<KeyValue> {
    let repository = format!("{}/{}", origin.pages, facts.repository);
    let run = format!("{repository}/actions/runs/{}", facts.run);
    let name = facts.repository.as_str().rsplit('/').next().unwrap_or_default();
    let mut attributes = vec![
        text("cicd.pipeline.run.id", &facts.run.to_string()),
        text("cicd.pipeline.run.url.full", &format!("{run}/attempts/{}", facts.attempt)),
        text("cicd.pipeline.task.name", &facts.name),
        text("cicd.pipeline.task.run.id", &facts.id.to_string()),
        text("cicd.pipeline.task.run.url.full", &format!("{run}/job/{}", facts.id)),
        key_value("github.run_attempt", Value::IntValue(i64::from(facts.attempt))),
        text("vcs.provider.name", "github"),
        text("vcs.owner.name", facts.repository.owner()),
        text("vcs.repository.name", name),
        text("vcs.repository.url.full", &repository),
    ];
    if let Some(workflow) = &facts.workflow {
        attributes.push(text("cicd.pipeline.name", workflow));
    }
    attributes
}

/// Returns the result in the words of the conventions. A job whose runner was lost did not fail by itself.
fn result(job: &EndedJob, runner: &EndedRunner) -> String {
    let conclusion = match &job.ending {
        JobEnding::Completed { conclusion, .. } => conclusion,
        JobEnding::Refused { after: Some((conclusion, _)), .. } => conclusion,
        JobEnding::Refused { after: None, .. } => return "error".to_owned(),
    };
    let result = match (conclusion, runner.kind) {
        (Conclusion::Success, _) => "success",
        (Conclusion::Skipped, _) => "skip",
        (Conclusion::Failure | Conclusion::Cancelled, EndingKind::JobTimeout) => "timeout",
        (Conclusion::Cancelled, _) => "cancellation",
        (Conclusion::Failure, EndingKind::Completed) => "failure",
        (Conclusion::Failure, _) => "error",
        (Conclusion::Other(other), _) => match &**other {
            "timed_out" => "timeout",
            other => other,
        },
    };
    result.to_owned()
}

fn child(facts: &JobFacts, name: &str, parent: &str, from: Timestamp, to: Timestamp) -> Span {
    Span { parent_span_id: span_id(facts, parent), ..span(facts, name, from, to) }
}

fn span(facts: &JobFacts, name: &str, from: Timestamp, to: Timestamp) -> Span {
    Span {
        trace_id: trace_id(facts),
        span_id: span_id(facts, name),
        name: name.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: nanos(from),
        end_time_unix_nano: nanos(to),
        ..Span::default()
    }
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or(0)
}

fn text(key: &str, value: &str) -> KeyValue {
    key_value(key, Value::StringValue(value.to_owned()))
}

fn flag(key: &str, value: bool) -> KeyValue {
    key_value(key, Value::BoolValue(value))
}

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[cfg(test)]
pub(crate) mod tests;
