//! The cost of a job at list prices (us-east-1, x86), only for the control plane.
//!
//! It does not include the task, its log, or what also runs without jobs (our
//! sweep, the peer's redelivery check every five minutes).

use super::calls::{Count, Named, Service};
use super::measure::{Cold, Figures, Row, median};

const MILLION: f64 = 1e6;

/// <https://aws.amazon.com/lambda/pricing/>: per GB-second, billed by the millisecond, initialisation included.
pub(crate) const LAMBDA_X86: f64 = 0.000_016_666_7;
pub(crate) const LAMBDA_ARM64: f64 = 0.000_013_333_4;
/// The same page, per request.
const LAMBDA_REQUEST: f64 = 0.20 / MILLION;
/// <https://aws.amazon.com/dynamodb/pricing/on-demand/>, since November 2024.
const WRITE_UNIT: f64 = 0.625 / MILLION;
const READ_UNIT: f64 = 0.125 / MILLION;
/// <https://aws.amazon.com/step-functions/pricing/>: standard workflows, per state transition.
const TRANSITION: f64 = 25.0 / MILLION;
const SECRET_CALL: f64 = 0.05 / 10_000.0;
/// <https://aws.amazon.com/sqs/pricing/>: standard queues, per request.
const QUEUE_REQUEST: f64 = 0.40 / MILLION;
/// <https://aws.amazon.com/eventbridge/pricing/>: custom events; AWS's own are free, and so is delivery.
const CUSTOM_EVENT: f64 = 1.00 / MILLION;
/// <https://aws.amazon.com/api-gateway/pricing/>: REST APIs, per call.
const REST_CALL: f64 = 3.50 / MILLION;

/// GitHub's webhooks of a job: queued, in_progress, completed.
const WEBHOOKS: f64 = 3.0;

/// The states of the peer's machine for a job that succeeds at once: Queue Idle Reaper,
/// Run Providers, Error Handler, Get Runner Token, Choose provider, and the provider's task.
/// (AWS's examples also count start and end. They are left out, in the peer's favour.)
const PEER_TRANSITIONS: f64 = 6.0;

/// A queued message is sent, received and deleted.
const REQUESTS_OF_A_MESSAGE: f64 = 3.0;

/// Dollars for a million jobs, by service.
#[derive(Debug)]
pub(crate) struct Bill {
    pub(crate) lines: Vec<(&'static str, f64)>,
}

impl Bill {
    pub(crate) fn total(&self) -> f64 {
        self.lines.iter().map(|(_, dollars)| dollars).sum()
    }

    pub(crate) fn of(&self, what: &str) -> Option<f64> {
        self.lines.iter().find(|(line, _)| *line == what).map(|(_, dollars)| *dollars)
    }

    fn new(lines: &[(&'static str, f64)]) -> Self {
        Self { lines: lines.iter().map(|&(what, dollars)| (what, dollars * MILLION)).collect() }
    }
}

/// Whether each function is cold at its first event of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    Warm,
    Cold,
}

/// Our control plane's cost of a job.
pub(crate) fn ours(row: &Row, start: Start, gb_second: f64) -> Bill {
    let jobs = calls_of(&row.ours, row.jobs, start);
    let (mut units_read, mut units_written) = (0.0, 0.0);
    for ((service, _), count) in jobs.named {
        if *service == Service::DynamoDb {
            units_read += count.units.read / jobs.of;
            units_written += count.units.write / jobs.of;
        }
    }
    Bill::new(&[
        ("API Gateway", WEBHOOKS * REST_CALL),
        ("EventBridge", WEBHOOKS * CUSTOM_EVENT),
        ("Lambda requests", requests(&row.ours)),
        ("Lambda duration", duration(row, &row.ours, start, gb_second)),
        ("DynamoDB", units_read * READ_UNIT + units_written * WRITE_UNIT),
        ("Secrets Manager", jobs.calls(Service::SecretsManager) * SECRET_CALL),
        ("SQS", jobs.calls(Service::Sqs) * REQUESTS_OF_A_MESSAGE * QUEUE_REQUEST),
    ])
}

/// The peer's control plane cost of a job. The URL of its webhook function is free.
pub(crate) fn peer(row: &Row, start: Start, gb_second: f64) -> Bill {
    let all = row.peer.iter().map(|(_, figures)| figures);
    let secrets =
        all.clone().map(|figures| calls_of(figures, row.jobs, start).calls(Service::SecretsManager));
    Bill::new(&[
        ("Lambda requests", all.clone().map(requests).sum()),
        ("Lambda duration", all.map(|figures| duration(row, figures, start, gb_second)).sum()),
        ("Secrets Manager", secrets.sum::<f64>() * SECRET_CALL),
        ("SQS", REQUESTS_OF_A_MESSAGE * QUEUE_REQUEST),
        ("Step Functions", PEER_TRANSITIONS * TRANSITION),
    ])
}

struct Jobs<'a> {
    named: &'a Named,
    of: f64,
}

impl Jobs<'_> {
    fn calls(&self, of: Service) -> f64 {
        let counts = self.named.iter().filter(|((service, _), _)| *service == of);
        counts.map(|(_, Count { calls, .. })| *calls as f64).sum::<f64>() / self.of
    }
}

fn calls_of(figures: &Figures, jobs: usize, start: Start) -> Jobs<'_> {
    match start {
        Start::Cold => Jobs { named: &figures.first_job, of: 1.0 },
        Start::Warm => Jobs { named: &figures.jobs, of: jobs as f64 },
    }
}

fn requests(figures: &Figures) -> f64 {
    figures.warm.len() as f64 * LAMBDA_REQUEST
}

fn duration(row: &Row, figures: &Figures, start: Start, gb_second: f64) -> f64 {
    let mut events: Vec<f64> =
        figures.warm.iter().map(|(_, events)| median(events.latency.iter().copied())).collect();
    if let (Start::Cold, Some(first)) = (start, events.first_mut()) {
        *first = median(figures.cold.iter().map(|Cold { response, .. }| *response));
    }
    let billed: f64 = events.iter().map(|ms| ms.ceil()).sum();
    billed / 1000.0 * row.share.memory_mb() as f64 / 1024.0 * gb_second
}
