//! The live feed: a websocket over which a runner sends the lines of its job as they come.
//!
//! A runner that cannot connect goes on without it.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;
use ecsrunner_core::id::JobId;
use serde::Deserialize;

use super::App;
use super::reply::ServiceError;
use crate::github::state::Shared;

/// The largest message in bytes. A runner sends at most 100 lines of 1024 characters in one.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

/// Lines of one step.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lines {
    #[serde(default, alias = "Value")]
    value: Vec<String>,
    #[serde(default, alias = "StepId")]
    step_id: String,
    /// The number of the first line in the step's log, from 1.
    #[serde(default, alias = "StartLine")]
    start_line: Option<u64>,
}

pub(super) async fn feed(
    Extract(shared): App,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, ServiceError> {
    let job = shared.state().calling_job(&headers)?;
    let upgrade = upgrade.max_message_size(MAX_MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| receive(shared, job, socket)))
}

async fn receive(shared: Arc<Shared>, job: JobId, mut socket: WebSocket) {
    // An error means that the runner is gone, or sends what is no feed.
    while let Some(Ok(message)) = socket.recv().await {
        let lines = match &message {
            Message::Text(text) => serde_json::from_str::<Lines>(text),
            Message::Binary(bytes) => serde_json::from_slice(bytes),
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return,
        };
        // As at GitHub, a line that is not understood is lost, and the job goes on.
        let Ok(Lines { value, step_id, start_line }) = lines else { continue };
        let mut state = shared.state();
        if let Some(job) = state.jobs.get_mut(&job) {
            job.log.feed(&step_id, start_line, &value);
            state.note_change();
        }
    }
}
