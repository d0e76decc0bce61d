//! One invocation: records the input, and then plans if the input can alter the
//! plan.

use std::time::Duration;

use anyhow::{Context, ensure};
use ecsrunner_aws::secrets::{Freshness, SecretError};
use ecsrunner_aws::task_event;
use ecsrunner_core::decide::sweep::Lag;
use ecsrunner_core::id::DeliveryId;
use ecsrunner_core::reason::Code;
use ecsrunner_core::wire::event::Event;
use ecsrunner_core::wire::webhook::envelope::Envelope;
use ecsrunner_engine::chain;
use ecsrunner_engine::dispatcher::{DispatchOptions, Dispatched};
use ecsrunner_engine::intake::{Delivery, Receipt};
use ecsrunner_engine::ports::github::GitHubError;
use ecsrunner_engine::ports::store::StoreError;
use ecsrunner_github::relay::{self, Question};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tracing::{info, warn};

use crate::control_plane::{ControlPlane, Desk};
use crate::emf;
use crate::exit_records::{Batch, Reports};
use crate::input::{Input, InputError, Payload};

/// The time before the function's timeout by which everything must be written.
const MARGIN: Duration = Duration::from_secs(5);
/// Work that is due within this time is waited for, because SQS delays by whole seconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer to everything but a question. Only SQS reads it, for the failures.
#[derive(Default, Debug, Serialize)]
pub(crate) struct Answer {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    message_id: String,
}

impl ControlPlane {
    /// Performs one invocation. `deadline` is the time of the function's timeout.
    ///
    /// # Errors
    ///
    /// The input is refused or could not be recorded. Lambda retries it twice and
    /// then sends it to the dead-letter queue.
    pub(crate) async fn invoke(&self, payload: Payload, deadline: Timestamp) -> anyhow::Result<Value> {
        let input = payload.read()?;
        let is_question = matches!(input, Input::Question(_));
        ensure!(!is_question || self.environment.answers_questions, InputError::Unknown);
        ensure!(is_question || !self.environment.answers_questions, InputError::NoQuestion);
        let desk = self.desk().await?;
        let until = deadline - MARGIN;
        let done = match input {
            Input::Question(question) => return Ok(serde_json::to_value(desk.answer(question).await?)?),
            Input::Webhook(envelope) => desk.webhook(&envelope, until).await,
            Input::Task(detail) => desk.task(detail.get(), until).await,
            Input::Kicks { kicks, refused } => desk.kicks(kicks, refused, until).await,
            Input::Logs(batch) => desk.exit_records(batch).await,
            Input::Sweep => desk.sweep(until).await,
        };
        // Last: everything is written, and every task is launched.
        if let Some(traces) = &self.traces {
            traces.export(&desk, deadline).await;
        }
        self.measure(&desk);
        Ok(serde_json::to_value(done?)?)
    }

    /// Writes one line of metrics, and the AWS operations if they are recorded.
    fn measure(&self, desk: &Desk) {
        let deployment = self.environment.deployment.as_str();
        let measured = desk.engine.metrics().take();
        for line in emf::lines(deployment, Timestamp::now().as_millisecond(), measured) {
            emf::print(&line);
        }
        if self.environment.records_calls {
            match serde_json::to_string(&self.connection.calls().named()) {
                Ok(calls) => info!(calls, "AWS calls"),
                Err(error) => warn!(error = %chain(&error), "the AWS calls could not be written as JSON"),
            }
        }
    }
}

impl Desk {
    /// Asks GitHub an operator's question.
    async fn answer(&self, question: Question) -> anyhow::Result<relay::Answer> {
        let answered = match self.github.client().await {
            Ok(client) => client.answer(question).await,
            Err(GitHubError::Credentials(why)) => Ok(relay::Answer::Credentials(why)),
            Err(error) => Err(error.into()),
        };
        answered.context("the question has no answer")
    }

    async fn webhook(&self, envelope: &Envelope, until: Timestamp) -> anyhow::Result<Answer> {
        let delivery = Delivery::from(envelope);
        let now = Timestamp::now();
        let secrets = match self.secrets.webhook_secrets(Freshness::Usual, now).await {
            Ok(secrets) => secrets,
            Err(error) if is_ping_before_setup(envelope, &error) => {
                let id = DeliveryId::parse(&envelope.delivery).ok();
                let id = id.as_ref().map(DeliveryId::as_str);
                info!(delivery = id, "dropped a ping, since no secret of the webhook is stored yet");
                return Ok(Answer::default());
            }
            Err(error) => return Err(error.into()),
        };
        let secrets = if delivery.is_signed(&secrets) {
            secrets
        } else {
            // The secret may have been replaced since it was read.
            self.secrets.webhook_secrets(Freshness::NoneFitted, now).await?
        };
        let receipt =
            self.engine.receive(delivery, &secrets).await.context("the webhook could not be recorded")?;
        // A refused webhook is counted and not retried.
        if matches!(receipt, Receipt::Understood(_)) {
            self.plan_if_kicked(until).await;
        }
        Ok(Answer::default())
    }

    async fn task(&self, detail: &str, until: Timestamp) -> anyhow::Result<Answer> {
        let cluster = &self.configuration.deployment.cluster;
        let deployment = &self.configuration.settings.deployment;
        let Some(event) = task_event::read(detail, deployment, cluster, Timestamp::now())? else {
            return Ok(Answer::default());
        };
        let (name, task, change) = (event.name.clone(), event.task.clone(), event.change.clone());
        let recorded = self
            .engine
            .record(&Event::Task(event))
            .await
            .context("the task's change could not be recorded")?;
        let reason = recorded.outcome.reason().code();
        info!(%name, %task, ?change, reason = reason.as_str(), "recorded task event");
        self.plan_if_kicked(until).await;
        Ok(Answer::default())
    }

    async fn kicks(&self, kicks: usize, refused: Vec<String>, until: Timestamp) -> anyhow::Result<Answer> {
        for message_id in &refused {
            warn!(message_id, reason = Code::BodyUnreadable.as_str(), "a queue message is not a kick");
        }
        if kicks > 0 {
            // Count the kick, so that a lease holder makes another round.
            self.engine.kick().await.context("the kick could not be counted")?;
            self.plan_if_kicked(until).await;
        }
        let failures = refused.into_iter().map(|message_id| Failure { message_id }).collect();
        Ok(Answer { failures })
    }

    /// Records what agents said at their end. No plan follows from that.
    async fn exit_records(&self, batch: Batch) -> anyhow::Result<Answer> {
        let Reports { reports, refused } = batch.reports(&self.configuration.deployment.log_group)?;
        if refused > 0 {
            info!(lines = refused, "log lines are no exit records");
        }
        for report in reports {
            let (runner, task) = (report.runner.clone(), report.task.clone());
            match self.engine.record(&Event::Exit(report)).await {
                Ok(recorded) => {
                    let reason = recorded.outcome.reason().code();
                    info!(%runner, %task, reason = reason.as_str(), "recorded exit record");
                }
                Err(error @ StoreError::Unavailable { .. }) => {
                    return Err(error).context("an exit record could not be recorded");
                }
                // It is only shown, so it is not worth a dead letter.
                Err(error) => warn!(%runner, %task, error = %chain(&error), "an exit record is left out"),
            }
        }
        Ok(Answer::default())
    }

    async fn sweep(&self, until: Timestamp) -> anyhow::Result<Answer> {
        // A failed sweep is not an error, because the next one runs in a minute.
        match self.engine.dispatch_with_sweep(options(until), Lag::DISTRIBUTED).await {
            Ok(Some(_)) => {}
            Ok(None) => info!("it is too early for a sweep"),
            Err(error) => {
                let error = anyhow::Error::new(error);
                warn!(error = format!("{error:#}"), "the sweep was interrupted");
            }
        }
        Ok(Answer::default())
    }

    /// Plans and performs if the recorded input requires it. A fault does not fail
    /// the invocation, because the input is recorded and the dispatcher has posted
    /// a kick.
    async fn plan_if_kicked(&self, until: Timestamp) {
        if !self.engine.is_kicked() {
            return;
        }
        match self.engine.dispatch(options(until)).await {
            Ok(Dispatched::HeldByAnother) => info!("another dispatcher holds the lease"),
            Ok(dispatched) => info!(?dispatched, "dispatched"),
            Err(fault) => {
                let fault = anyhow::Error::new(fault);
                warn!(error = format!("{fault:#}"), "the dispatcher was interrupted");
            }
        }
    }
}

/// Whether a webhook is the ping that GitHub sends when an App is made, before `ecsrunner setup` can store its secret.
///
/// Such a ping is expected, so it is no error and fires no alarm. Nothing in it is read or recorded. Any other webhook
/// that comes while there is no secret is an error: it could be a job's.
fn is_ping_before_setup(envelope: &Envelope, error: &SecretError) -> bool {
    matches!(error, SecretError::Absent { .. }) && envelope.event == "ping"
}

fn options(until: Timestamp) -> DispatchOptions {
    DispatchOptions { force: false, until: Some(until), patience: PATIENCE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_ping_is_expected_before_a_secret_is_stored() {
        let webhook = |event: &str| Envelope {
            event: event.to_owned(),
            delivery: String::new(),
            signature: None,
            content_type: None,
            body: Vec::new(),
        };
        let secret = || "ecsrunner/ci/webhook".to_owned();
        let absent = SecretError::Absent { secret: secret(), source: "no value".into() };
        let unread = |passes| SecretError::Unread { secret: secret(), passes, source: "denied".into() };
        let malformed = SecretError::Malformed { secret: secret(), fault: "it is empty" };
        assert!(is_ping_before_setup(&webhook("ping"), &absent));
        for event in ["workflow_job", "", "Ping"] {
            assert!(!is_ping_before_setup(&webhook(event), &absent), "{event}");
        }
        for error in [unread(true), unread(false), malformed] {
            assert!(!is_ping_before_setup(&webhook("ping"), &error), "{error}");
        }
    }
}
