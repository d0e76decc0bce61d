//! Fetches webhook deliveries from GitHub that were never recorded.

use std::collections::HashSet;

use ecsrunner_core::decide::sweep::DeliveryProgress;
use ecsrunner_core::decide::sweep::deliveries::{JobNews, Listed, MAX_FETCHED, MAX_PAGES, Walk, in_order};
use ecsrunner_core::id::DeliveryId;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::wire::event::Event;
use ecsrunner_core::wire::webhook::{Webhook, read};
use tracing::info;

use super::Pass;
use crate::ports::github::{DeliveredWebhook, GitHub, GitHubError, PastDelivery};
use crate::ports::store::{Progress, Store, StoreError, Transaction, Unreadable};
use crate::ports::{Clock, Disposition};
use crate::{Engine, World};

/// A pass stops after this many deliveries for which GitHub did not answer, and one more.
const MAX_UNANSWERED: usize = 3;

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
            // They may be replaced, and the list was read with them just now.
            Self::GitHub(GitHubError::Credentials(_)) => return true,
            Self::GitHub(error) => error.disposition(),
            Self::Store(error) => error.disposition(),
        };
        matches!(disposition, Disposition::Retry { .. })
    }

    /// Returns whether other deliveries can be fetched and recorded all the same.
    fn is_of_one_delivery(&self) -> bool {
        matches!(self, Self::GitHub(GitHubError::Unreachable { .. } | GitHubError::Server { .. }))
    }
}

/// What a fetched delivery contained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    News,
    /// It was recorded, and changed nothing.
    Known,
    /// No event that can be recorded.
    Nothing,
}

/// The deliveries that a pass has read.
#[derive(Default)]
struct Read {
    /// Each page, and the cursor of the following one.
    pages: Vec<(Vec<Listed>, Option<String>)>,
    /// Deliveries that were never recorded.
    lost: Vec<Listed>,
    /// Whether GitHub no longer accepts the cursor of the next page.
    cursor_is_gone: bool,
}

impl<W: World> Engine<W> {
    /// Reads the App's deliveries, and records those that were never recorded.
    pub(super) async fn sweep_deliveries(&self, pass: &mut Pass) {
        let mut walk = Walk::begin(&pass.progress.deliveries, pass.now);
        let Some(read) = self.read_deliveries(pass, walk.clone()).await else {
            pass.progress.deliveries = DeliveryProgress::default();
            return;
        };
        let unhandled = self.reinject_in_order(pass, read.lost).await;
        let mut was_cut = false;
        for (page, next) in read.pages {
            match page.iter().find(|listed| unhandled.contains(&listed.number)) {
                None => walk.page_handled(&page, next),
                Some(first) => {
                    walk.cut_before(&page, first.number);
                    was_cut = true;
                    break;
                }
            }
        }
        if read.cursor_is_gone && !was_cut {
            walk.forget_cursor();
        }
        pass.swept.cut |= !walk.is_done();
        pass.progress.deliveries = walk.end();
    }

    /// Reads pages of deliveries, as far as this pass goes; `None` if there is no App.
    async fn read_deliveries(&self, pass: &mut Pass, mut walk: Walk) -> Option<Read> {
        let mut read = Read::default();
        for _ in 0..MAX_PAGES {
            if walk.is_done() || !pass.has_time(&self.ports.clock) {
                break;
            }
            let page = match self.ports.github.deliveries(walk.cursor()).await {
                Ok(page) => page?,
                Err(error) => {
                    read.cursor_is_gone = error.disposition() == Disposition::Permanent;
                    pass.failed("deliveries", &error);
                    break;
                }
            };
            let listed: Vec<Listed> = page.deliveries.iter().map(listed).collect();
            let wanted = walk.wanted(&listed);
            let ids: Vec<DeliveryId> = wanted.iter().map(|listed| listed.id.clone()).collect();
            match self.recorded_deliveries(&ids).await {
                Ok(recorded) => {
                    read.lost.extend(wanted.into_iter().filter(|listed| !recorded.contains(&listed.id)));
                }
                Err(error) => {
                    pass.failed("deliveries", &error);
                    break;
                }
            }
            walk.page_handled(&listed, page.next.clone());
            read.pages.push((listed, page.next));
        }
        Some(read)
    }

    async fn recorded_deliveries(&self, ids: &[DeliveryId]) -> Result<HashSet<DeliveryId>, StoreError> {
        if ids.is_empty() { Ok(HashSet::new()) } else { self.ports.store.recorded_deliveries(ids).await }
    }

    /// Fetches and records lost deliveries, those of queued jobs first. Returns the
    /// numbers of those that are left to the next pass.
    async fn reinject_in_order(&self, pass: &mut Pass, lost: Vec<Listed>) -> HashSet<u64> {
        let mut left: HashSet<u64> = lost.iter().map(|listed| listed.number).collect();
        let (mut recorded, mut unanswered) = (HashSet::new(), 0);
        for lost in in_order(lost) {
            // The two parts of a pass may both have read a delivery and its redelivery.
            if recorded.contains(&lost.id) {
                left.remove(&lost.number);
                continue;
            }
            if pass.swept.fetched >= MAX_FETCHED || !pass.has_time(&self.ports.clock) {
                break;
            }
            pass.swept.fetched += 1;
            let told = match self.reinject(&lost).await {
                Ok(told) => told,
                Err(error) => {
                    pass.failed("deliveries", &error);
                    if !error.may_pass() {
                        // The list was read just now, so a permanent error concerns this delivery alone.
                        Told::Nothing
                    } else if error.is_of_one_delivery() && unanswered < MAX_UNANSWERED {
                        unanswered += 1;
                        continue;
                    } else {
                        break;
                    }
                }
            };
            if told == Told::Nothing
                && let Err(error) = self.note_handled(&lost).await
            {
                pass.failed("deliveries", &error);
                break;
            }
            pass.swept.reinjected += usize::from(told == Told::News);
            left.remove(&lost.number);
            recorded.insert(lost.id);
        }
        left
    }

    /// Records that a delivery was handled which leads to no record of its own, so that no pass fetches it again.
    async fn note_handled(&self, lost: &Listed) -> Result<(), StoreError> {
        let delivery = Some(&lost.id);
        self.ports.store.commit(Transaction { delivery, ..Transaction::of(&[]) }).await
    }

    /// Records a delivery as if its webhook had arrived. The payload comes from GitHub's API, so it has
    /// no signature and needs none.
    async fn reinject(&self, lost: &Listed) -> Result<Told, ReinjectError> {
        let Some(webhook) = self.ports.github.delivery(lost.number).await? else { return Ok(Told::Nothing) };
        let received_at = self.ports.clock.now();
        let event = match read(&webhook.event, webhook.body.as_bytes(), received_at) {
            Ok(Webhook::Job(event)) => Event::Job(event),
            Ok(Webhook::Ping | Webhook::OtherAction(_) | Webhook::Other(_)) => return Ok(Told::Nothing),
            Err(error) => {
                let reason = Reason::with(Code::BodyUnreadable, error);
                self.ports.store.set_aside(unreadable(lost, &webhook, &reason, received_at)).await?;
                return Ok(Told::Nothing);
            }
        };
        let recorded = self.record_delivery(&event, Some(&lost.id)).await?;
        let told = if recorded.changes.is_empty() { Told::Known } else { Told::News };
        info!(delivery = %lost.id, told = told == Told::News, "recorded a delivery that was never recorded");
        Ok(told)
    }
}

fn listed(past: &PastDelivery) -> Listed {
    let is_job = past.event == "workflow_job";
    let job = is_job.then(|| JobNews::of_action(past.action.as_deref()));
    Listed { number: past.number, id: past.id.clone(), at: past.delivered_at, job }
}

fn unreadable<'a>(
    lost: &'a Listed,
    webhook: &'a DeliveredWebhook,
    reason: &'a Reason,
    at: jiff::Timestamp,
) -> Unreadable<'a> {
    Unreadable { what: "webhook", id: lost.id.as_str(), content: webhook.body.as_bytes(), reason, at }
}
