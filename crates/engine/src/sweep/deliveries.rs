//! Fetches webhook deliveries from GitHub that were never recorded.

use ecsrunner_core::decide::sweep::DeliveryProgress;
use ecsrunner_core::decide::sweep::deliveries::{Listed, MAX_FETCHED, MAX_PAGES, Walk};
use ecsrunner_core::id::DeliveryId;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::wire::event::Event;
use ecsrunner_core::wire::webhook::{Webhook, read};
use tracing::info;

use super::Pass;
use crate::ports::github::{DeliveredWebhook, GitHub, GitHubError, PastDelivery};
use crate::ports::store::{Progress, Store, StoreError, Unreadable};
use crate::ports::{Clock, Disposition};
use crate::{Engine, World};

/// Why a fetched delivery was not recorded.
#[derive(Debug, thiserror::Error)]
enum ReinjectError {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReinjectError {
    /// Returns whether the next pass can succeed with the same delivery.
    fn may_pass(&self) -> bool {
        let disposition = match self {
            Self::GitHub(error) => error.disposition(),
            Self::Store(error) => error.disposition(),
        };
        matches!(disposition, Disposition::Retry { .. })
    }
}

impl<W: World> Engine<W> {
    /// Reads the App's deliveries; false if there is no App.
    pub(super) async fn sweep_deliveries(&self, pass: &mut Pass) -> bool {
        let mut walk = Walk::begin(&pass.progress.deliveries, pass.now);
        for _ in 0..MAX_PAGES {
            if walk.is_done() || !pass.has_time(&self.ports.clock) {
                break;
            }
            let page = match self.ports.github.deliveries(walk.cursor()).await {
                Ok(Some(page)) => page,
                Ok(None) => {
                    pass.progress.deliveries = DeliveryProgress::default();
                    return false;
                }
                Err(error) => {
                    if error.disposition() == Disposition::Permanent {
                        walk.forget_cursor();
                    }
                    pass.failed("deliveries", &error);
                    break;
                }
            };
            let listed: Vec<Listed> = page.deliveries.iter().map(listed).collect();
            match self.reinject_unrecorded(pass, &walk.wanted(&listed)).await {
                None => walk.page_handled(&listed, page.next),
                Some(number) => {
                    walk.cut_before(&listed, number);
                    break;
                }
            }
        }
        pass.swept.cut |= !walk.is_done();
        pass.progress.deliveries = walk.end();
        true
    }

    /// Fetches and records unrecorded deliveries. Returns the first one that was not processed.
    async fn reinject_unrecorded(&self, pass: &mut Pass, wanted: &[Listed]) -> Option<u64> {
        let first = wanted.first()?;
        let ids: Vec<DeliveryId> = wanted.iter().map(|listed| listed.id.clone()).collect();
        let recorded = match self.ports.store.recorded_deliveries(&ids).await {
            Ok(recorded) => recorded,
            Err(error) => {
                pass.failed("deliveries", &error);
                return Some(first.number);
            }
        };
        for lost in wanted.iter().filter(|listed| !recorded.contains(&listed.id)) {
            if pass.swept.fetched >= MAX_FETCHED || !pass.has_time(&self.ports.clock) {
                return Some(lost.number);
            }
            pass.swept.fetched += 1;
            match self.reinject(lost).await {
                Ok(told) => pass.swept.reinjected += usize::from(told),
                Err(error) => {
                    pass.failed("deliveries", &error);
                    // The list was read just now, so a permanent error concerns this delivery alone.
                    if error.may_pass() {
                        return Some(lost.number);
                    }
                }
            }
        }
        None
    }

    /// Records a delivery as if its webhook had arrived; returns whether it
    /// contained something new. The payload comes from GitHub's API, so it has
    /// no signature and needs none.
    async fn reinject(&self, lost: &Listed) -> Result<bool, ReinjectError> {
        let Some(webhook) = self.ports.github.delivery(lost.number).await? else { return Ok(false) };
        let received_at = self.ports.clock.now();
        let event = match read(&webhook.event, webhook.body.as_bytes(), received_at) {
            Ok(Webhook::Job(event)) => Event::Job(event),
            Ok(Webhook::Ping | Webhook::OtherAction(_) | Webhook::Other(_)) => return Ok(false),
            Err(error) => {
                let reason = Reason::with(Code::BodyUnreadable, error);
                self.ports.store.set_aside(unreadable(lost, &webhook, &reason, received_at)).await?;
                return Ok(false);
            }
        };
        let recorded = self.record_delivery(&event, Some(&lost.id)).await?;
        let told = !recorded.changes.is_empty();
        info!(delivery = %lost.id, told, "recorded a delivery that was never recorded");
        Ok(told)
    }
}

fn listed(past: &PastDelivery) -> Listed {
    let is_job = past.event == "workflow_job";
    Listed { number: past.number, id: past.id.clone(), at: past.delivered_at, is_job }
}

fn unreadable<'a>(
    lost: &'a Listed,
    webhook: &'a DeliveredWebhook,
    reason: &'a Reason,
    at: jiff::Timestamp,
) -> Unreadable<'a> {
    Unreadable { what: "webhook", id: lost.id.as_str(), content: webhook.body.as_bytes(), reason, at }
}
