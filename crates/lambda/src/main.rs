//! `bootstrap`: the control plane as one AWS Lambda function.
//!
//! This crate passes an invocation to the engine. Decisions and the details of
//! AWS do not belong here.

mod control_plane;
mod emf;
mod exit_records;
mod environment;
mod github;
mod images;
mod input;
mod invocation;
mod log;
mod rules;
mod traces;
mod world;

use std::sync::Arc;

use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

use control_plane::ControlPlane;
use input::Payload;

fn main() -> anyhow::Result<()> {
    log::init();
    // One thread is enough for one invocation at a time, and starts faster.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let control_plane = Arc::new(ControlPlane::new(|name| std::env::var(name).ok())?);
        let serve = service_fn(move |event: LambdaEvent<Payload>| {
            let control_plane = Arc::clone(&control_plane);
            async move { serve(&control_plane, event).await }
        });
        lambda_runtime::run(serve).await.map_err(anyhow::Error::from_boxed)
    })
}

async fn serve(control_plane: &ControlPlane, event: LambdaEvent<Payload>) -> Result<Value, Diagnostic> {
    let deadline = i64::try_from(event.context.deadline).ok();
    let deadline = deadline.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let deadline = deadline.unwrap_or_else(Timestamp::now);
    control_plane.invoke(event.payload, deadline).await.map_err(|error| {
        let words = format!("{error:#}");
        tracing::error!(error = words, "refused invocation");
        Diagnostic { error_type: "Refused".to_owned(), error_message: words }
    })
}
