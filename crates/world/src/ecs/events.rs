//! Task state changes on EventBridge's default bus, and their delivery.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::random::Random;

use super::faults::EventFaults;
use super::options::Options;
use super::representation::{Form, task_json};
use super::task::Task;

/// Events that are not delivered yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// By time of delivery, then by order of creation.
    waiting: BTreeMap<(Timestamp, u64), Value>,
    made: u64,
}

impl Outbox {
    /// Sends an event once, twice or not at all.
    pub(super) fn put(&mut self, event: Value, at: Timestamp, faults: &EventFaults, random: &mut Random) {
        if random.happens(faults.lose) {
            return;
        }
        let event = if faults.omit_pull_times > 0.0 && random.happens(faults.omit_pull_times) {
            without_pull_times(event)
        } else {
            event
        };
        let copies = if random.happens(faults.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let delay = random.below(usize::try_from(faults.delay_ms).unwrap_or(usize::MAX));
            let deliver_at = at + Duration::from_millis(u64::try_from(delay).unwrap_or(u64::MAX));
            self.made += 1;
            self.waiting.insert((deliver_at, self.made), event.clone());
        }
    }

    /// Takes the events that are delivered until then.
    pub(super) fn take(&mut self, until: Timestamp) -> Vec<Value> {
        let later = self.waiting.split_off(&(until, u64::MAX));
        std::mem::replace(&mut self.waiting, later).into_values().collect()
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }
}

/// ECS leaves out what it does not know when it makes an event.
fn without_pull_times(mut event: Value) -> Value {
    if let Some(detail) = event["detail"].as_object_mut() {
        detail.remove("pullStartedAt");
        detail.remove("pullStoppedAt");
    }
    event
}

/// Returns a task's event in EventBridge's envelope.
pub(super) fn envelope(task: &Task, options: &Options, id: String, at: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": id,
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": options.account,
        // EventBridge uses whole seconds.
        "time": format!("{at:.0}"),
        "region": options.region,
        "resources": [task.arn],
        "detail": task_json(task, options, Form::Event),
    })
}
