//! `GET /api/v1/events`: each committed change, as it happens.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use ecsrunner_api::event::EventView;
use ecsrunner_api::status::Fault;
use ecsrunner_engine::ports::Clock;
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;

use super::App;
use super::connections::Seat;

/// Readers of events. Each tab with the page is one.
const MAX_STREAMS: usize = 64;

/// Counts the streams that are open.
#[derive(Clone, Debug)]
pub(super) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_STREAMS)))
    }
}

pub(super) async fn events(
    State(app): State<App>,
    Extension(streams): Extension<Streams>,
    Extension(seat): Extension<Arc<Seat>>,
) -> Response {
    let Ok(turn) = streams.0.try_acquire_owned() else {
        let message = format!("{MAX_STREAMS} readers of events are connected: no more are allowed");
        return (StatusCode::SERVICE_UNAVAILABLE, Json(Fault { message })).into_response();
    };
    let held = (turn, seat.keep());
    let events = stream(app).map(move |event| {
        let _until_the_stream_ends = &held;
        event
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn stream(app: App) -> impl Stream<Item = Result<Event, Infallible>> {
    let hello = EventView::Hello { version: env!("CARGO_PKG_VERSION").to_owned() };
    let changes = app.engine.watch();
    let later = stream::unfold((app, changes), |(app, mut changes)| async move {
        let view = match changes.recv().await {
            Ok(change) => EventView::of(&change, app.engine.ports().clock.now()),
            Err(RecvError::Lagged(_)) => Some(EventView::Lagged),
            Err(RecvError::Closed) => return None,
        };
        Some((view, (app, changes)))
    });
    stream::iter([Some(hello)])
        .chain(later)
        .filter_map(|view| async move { Event::default().json_data(&view?).ok().map(Ok) })
}
