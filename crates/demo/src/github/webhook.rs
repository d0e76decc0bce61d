//! Webhook payloads, and the faults that apply before they are sent.

use std::time::Duration;

use axum::body::Bytes;
use ecsrunner_core::id::{JobId, Repository};
use serde_json::{Value, json};

use super::delivery::{Delivery, Outgoing};
use super::state::State;

impl State {
    /// Sends a webhook for a job that reached a state.
    pub(super) fn emit_job(&mut self, job: JobId, action: &'static str) {
        let Some((body, repository)) = self.job_payload(job, action) else { return };
        self.emit("workflow_job", Some(action), &body, &repository, Some(job));
    }

    /// Sends the ping that GitHub sends when a webhook is created.
    pub(super) fn emit_ping(&mut self, repository: &Repository) {
        let Some((hook, app)) = self.hook_of(Some(repository)) else { return };
        let mut body = json!({
            "zen": "Design for failure.",
            "hook_id": self.hook_id(),
            "hook": {
                "type": if app.is_some() { "App" } else { "Repository" },
                "id": self.hook_id(),
                "name": "web",
                "active": true,
                "events": ["workflow_job"],
                "config": {"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": hook.url},
                "created_at": super::representation::seconds(self.started),
                "updated_at": super::representation::seconds(self.started),
            },
            "sender": self.user_json(repository.owner()),
        });
        if let Some(record) = self.repositories.get(repository) {
            body["repository"] = self.repository_json(record);
        }
        self.emit("ping", None, &body, repository, None);
    }

    fn job_payload(&self, id: JobId, action: &str) -> Option<(Value, Repository)> {
        let job = self.jobs.get(&id)?;
        let run = self.run_of(job)?;
        let record = self.repositories.get(&run.repository)?;
        let mut body = json!({
            "action": action,
            "workflow_job": self.job_json(job, run),
            "repository": self.repository_json(record),
            "sender": self.user_json("octocat"),
        });
        let owner = record.name.owner();
        if !self.is_user(owner) {
            body["organization"] = self.organization_json(owner);
        }
        if let Some((_, Some(app))) = self.hook_of(Some(&run.repository)) {
            let id = self.installation_id(app, owner);
            body["installation"] = json!({"id": id, "node_id": format!("MDIzOkluc3RhbGxhdGlvbiV7{id}")});
        }
        Some((body, run.repository.clone()))
    }

    fn emit(
        &mut self,
        event: &'static str,
        action: Option<&'static str>,
        body: &Value,
        repository: &Repository,
        job: Option<JobId>,
    ) {
        let faults = self.faults.webhooks.clone();
        let Some((_, app)) = self.hook_of(Some(repository)) else { return };
        let installation = app.map(|app| self.installation_id(app, repository.owner()));
        if self.random.happens(faults.forget) {
            return;
        }
        let guid = self.random.guid();
        let body = Bytes::from(body.to_string());
        for copy in 0..=faults.duplicates {
            self.ids.delivery += 1;
            let outgoing = Outgoing {
                id: self.ids.delivery,
                guid: guid.clone(),
                event,
                action,
                repository: self.repositories.get(repository).map(|record| record.id),
                installation,
                job,
                body: body.clone(),
                delay: Duration::from_millis(self.delay_ms(faults.delay_ms)),
                redelivery: copy > 0,
                times_out: self.random.happens(faults.time_out),
            };
            if self.random.happens(faults.drop) {
                self.record_delivery(Delivery::dropped(outgoing));
            } else if faults.hold {
                self.held.push(outgoing);
            } else {
                self.send(outgoing);
            }
        }
    }

    fn delay_ms(&mut self, window_ms: u64) -> u64 {
        if window_ms == 0 { 0 } else { self.random.next_u64() % window_ms }
    }

    /// Hands a delivery to the sender.
    pub(super) fn send(&mut self, outgoing: Outgoing) {
        // The sender ends only when the server does.
        if self.outgoing.send(outgoing).is_ok() {
            self.in_flight += 1;
        }
    }

    /// Sends held deliveries, all or the first `count`, in order or shuffled.
    pub(super) fn release_held(&mut self, count: Option<usize>, shuffle: bool) -> usize {
        if shuffle {
            let mut held = std::mem::take(&mut self.held);
            self.random.shuffle(&mut held);
            self.held = held;
        }
        let count = count.unwrap_or(usize::MAX).min(self.held.len());
        let released: Vec<Outgoing> = self.held.drain(..count).collect();
        released.into_iter().for_each(|outgoing| self.send(outgoing));
        count
    }

    pub(super) fn hook_id(&self) -> u64 {
        // The id of the only webhook, in the form of GitHub's ids.
        471_100_815
    }
}
