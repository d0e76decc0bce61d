//! `GET /api/v1/events`: each change, as it happens.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use ecsrunner_api::event::EventView;
use ecsrunner_api::status::DeploymentKind;
use futures::stream::{self, StreamExt};
use tokio::sync::Semaphore;

use crate::backend::{Refusal, Source};
use crate::connections::Seat;

/// Readers of events. Each tab with the page is one.
const MAX_STREAMS: usize = 64;

/// Counts the streams that are open.
#[derive(Clone, Debug)]
pub(crate) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_STREAMS)))
    }
}

pub(crate) async fn events<B: Source>(
    State(backend): State<Arc<B>>,
    Extension(streams): Extension<Streams>,
    Extension(seat): Extension<Arc<Seat>>,
) -> Result<Response, Refusal> {
    let Ok(turn) = streams.0.try_acquire_owned() else {
        let message = format!("{MAX_STREAMS} readers of events are connected: no more are allowed");
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message));
    };
    let held = (turn, seat.keep());
    let hello = EventView::Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        polled: backend.about().kind == DeploymentKind::Aws,
    };
    let changes = backend.changes().await?;
    let events = stream::iter([hello]).chain(changes);
    let events = events.filter_map(|view| async move { Event::default().json_data(&view).ok() });
    let events = events.map(move |event| {
        let _until_the_stream_ends = &held;
        Ok::<_, Infallible>(event)
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}
