//! Webhook payloads, and the faults that apply before they are sent.

use std::time::Duration;

use axum::body::Bytes;
use ecsrunner_core::id::{JobId, Repository};
use serde_json::{Value, json};

use super::apps::{AppHook, RegisteredApp};
use super::delivery::{Delivery, Outgoing};
use super::state::State;

/// The webhook that a delivery is for, and what it is about.
#[derive(Clone, Copy)]
struct Addressee {
    repository: Option<u64>,
    app: Option<u64>,
    installation: Option<u64>,
}

impl State {
    /// Sends a webhook for a job that reached a state.
    pub(super) fn emit_job(&mut self, job: JobId, action: &'static str) {
        let Some((body, repository)) = self.job_payload(job, action) else { return };
        let to = self.addressee(&repository);
        self.emit("workflow_job", Some(action), &body, to, Some(job));
    }

    /// Sends the ping that GitHub sends when a repository's webhook is created.
    pub(super) fn emit_ping(&mut self, repository: &Repository) {
        let Some((hook, app)) = self.hook_of(Some(repository)) else { return };
        let kind = if app.is_some() { "App" } else { "Repository" };
        let mut body = self.ping_json(kind, &hook.url, repository.owner());
        if let Some(record) = self.repositories.get(repository) {
            body["repository"] = self.repository_json(record);
        }
        let to = self.addressee(repository);
        self.emit("ping", None, &body, to, None);
    }

    /// Sends the ping that GitHub sends when an App with a webhook is made. Its owner does not have the secret yet.
    pub(super) fn emit_app_ping(&mut self, app: &RegisteredApp) {
        let AppHook::Own { hook, active: true } = &app.hook else { return };
        let mut body = self.ping_json("App", &hook.url, &app.owner);
        body["hook"]["app_id"] = json!(app.id);
        let to = Addressee { repository: None, app: Some(app.id), installation: None };
        self.emit("ping", None, &body, Some(to), None);
    }

    fn ping_json(&self, kind: &str, url: &str, sender: &str) -> Value {
        json!({
            "zen": "Design for failure.",
            "hook_id": self.hook_id(),
            "hook": {
                "type": kind,
                "id": self.hook_id(),
                "name": "web",
                "active": true,
                "events": ["workflow_job"],
                "config": {"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": url},
                "created_at": super::representation::seconds(self.started),
                "updated_at": super::representation::seconds(self.started),
            },
            "sender": self.user_json(sender),
        })
    }

    /// Returns what gets the webhooks of a repository; `None` if nothing does.
    fn addressee(&self, repository: &Repository) -> Option<Addressee> {
        let (_, app) = self.hook_of(Some(repository))?;
        Some(Addressee {
            repository: self.repositories.get(repository).map(|record| record.id),
            app: app.map(|app| app.id),
            installation: app.map(|app| self.installation_id(app, repository.owner())),
        })
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
        to: Option<Addressee>,
        job: Option<JobId>,
    ) {
        let faults = self.faults.webhooks.clone();
        let Some(to) = to else { return };
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
                repository: to.repository,
                app: to.app,
                installation: to.installation,
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
