//! `GET /api/v1/events`: each committed change, as it happens.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use ecsrunner_api::event::EventView;
use ecsrunner_engine::ports::Clock;
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::broadcast::error::RecvError;

use super::App;

pub(super) async fn events(State(app): State<App>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
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
    let events = stream::iter([Some(hello)])
        .chain(later)
        .filter_map(|view| async move { Event::default().json_data(&view?).ok().map(Ok) });
    Sse::new(events).keep_alive(KeepAlive::default())
}
