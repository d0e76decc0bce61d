//! The state machine of the HTTP server, under a lock and with the real clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};

use ecsrunner_world::ecs::Ecs;
use ecsrunner_world::ecs::Options;

/// The timeout for the receiver of an event.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Shared {
    ecs: Mutex<Ecs>,
    /// Signals that the next due time may be earlier.
    changed: Notify,
    /// All delivered events, in order.
    pub(super) delivered: watch::Sender<Vec<Value>>,
    /// The URL to which events are posted.
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

    /// Calls `act` with the state machine and the current time.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut Ecs, Timestamp) -> R) -> R {
        let result = act(&mut self.ecs(), Timestamp::now());
        self.changed.notify_one();
        result
    }

    pub(super) fn target(&self) -> MutexGuard<'_, Option<String>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ecs(&self) -> MutexGuard<'_, Ecs> {
        // Each change leaves the state consistent, so a panic while it is locked is harmless.
        self.ecs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Delivers due events, and returns the next due time.
    fn turn(&self) -> Option<Timestamp> {
        let mut ecs = self.ecs();
        let events = ecs.advance(Timestamp::now());
        if !events.is_empty() {
            for event in &events {
                // Without a receiver, the fake is ending.
                let _ = self.outgoing.send(event.clone());
            }
            self.delivered.send_modify(|delivered| delivered.extend(events));
        }
        ecs.next_at()
    }

    /// Advances the state machine with the clock for as long as it is polled.
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

    /// Posts events one after the other, for as long as it is polled. An event that
    /// is not accepted is lost, because events are not retried.
    pub(super) async fn post_all(&self, mut queue: mpsc::UnboundedReceiver<Value>) {
        let client = reqwest::Client::builder().timeout(ANSWER_LIMIT).no_proxy().build();
        while let Some(event) = queue.recv().await {
            let target = self.target().clone();
            let (Some(url), Ok(client)) = (target, &client) else { continue };
            let answered = client.post(url).json(&event).send().await;
            if let Err(error) = answered.and_then(reqwest::Response::error_for_status) {
                tracing::debug!(%error, "task event was not accepted");
            }
        }
        std::future::pending().await
    }
}
