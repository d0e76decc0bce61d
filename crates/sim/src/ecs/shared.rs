//! The state machine behind HTTP: under a lock, driven by the real clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};

use ecsrunner_world::ecs::Ecs;
use ecsrunner_world::ecs::Options;

/// A receiver of events has this long to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Shared {
    ecs: Mutex<Ecs>,
    /// Something happened that may be due sooner than all else.
    changed: Notify,
    /// Every event that was delivered, in that order.
    pub(super) delivered: watch::Sender<Vec<Value>>,
    /// Where events are posted.
    pub(super) target: Mutex<Option<String>>,
    outgoing: mpsc::UnboundedSender<Value>,
}

impl Shared {
    pub(super) fn new(options: Options, outgoing: mpsc::UnboundedSender<Value>) -> Self {
        Self {
            target: Mutex::new(options.events_url.clone()),
            ecs: Mutex::new(Ecs::new(options, Timestamp::now())),
            changed: Notify::new(),
            delivered: watch::Sender::default(),
            outgoing,
        }
    }

    /// Does something with the state machine, now.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut Ecs, Timestamp) -> R) -> R {
        let result = act(&mut self.ecs(), Timestamp::now());
        self.changed.notify_one();
        result
    }

    pub(super) fn target(&self) -> MutexGuard<'_, Option<String>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ecs(&self) -> MutexGuard<'_, Ecs> {
        // Each change leaves the state whole, so one that panicked spoils nothing.
        self.ecs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Delivers what is due and says when to look again.
    fn turn(&self) -> Option<Timestamp> {
        let mut ecs = self.ecs();
        let events = ecs.advance(Timestamp::now());
        if !events.is_empty() {
            for event in &events {
                // Without a receiver the fake is about to end.
                let _ = self.outgoing.send(event.clone());
            }
            self.delivered.send_modify(|delivered| delivered.extend(events));
        }
        ecs.next_at()
    }

    /// Moves the state machine with the clock for as long as it is polled.
    pub(super) async fn watch_clock(&self) {
        loop {
            match self.turn() {
                Some(at) => {
                    let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.changed.notified() => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// Posts events one after the other, for as long as it is polled. What is
    /// not taken is lost: nothing is posted twice on purpose.
    pub(super) async fn post_all(&self, mut queue: mpsc::UnboundedReceiver<Value>) {
        let client = reqwest::Client::builder().timeout(ANSWER_LIMIT).no_proxy().build();
        while let Some(event) = queue.recv().await {
            let target = self.target().clone();
            let (Some(url), Ok(client)) = (target, &client) else { continue };
            let answered = client.post(url).json(&event).send().await;
            if let Err(error) = answered.and_then(reqwest::Response::error_for_status) {
                tracing::debug!(%error, "task event was not taken");
            }
        }
        std::future::pending().await
    }
}
