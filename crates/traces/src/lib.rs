//! Jobs as OpenTelemetry traces, exported as OTLP over HTTP.
//!
//! A trace is made from records when a job is over, so every span has explicit times and an id that follows from the job
//! alone: a trace that is exported twice is the same trace. Which jobs are over is decided in the engine.

mod endpoint;
mod exporter;
mod ids;
mod spans;

pub use endpoint::{Endpoint, EndpointError, Variables};
pub use exporter::{Exported, Exporter, TOTAL_LIMIT};
pub use spans::{Origin, request};
