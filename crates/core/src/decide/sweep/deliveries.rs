//! Compares GitHub's webhook deliveries with those that were recorded.
//!
//! GitHub lists the latest delivery first. A pass reads from the top down to the
//! latest delivery that was handled before. What exceeds a pass's limits becomes
//! the backlog. The next passes read new deliveries first and then continue with
//! the backlog. Of the lost deliveries that a pass has read, those of queued jobs
//! are recorded first, since a job that nobody knows matters most.
//!
//! The list also shows whether the App's own webhook reports jobs at all.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{Backlog, DeliveryMark, DeliveryProgress, Sight, SweepProgress};
use crate::id::DeliveryId;
use crate::records::open::Open;

/// The most pages of a hundred deliveries read in one pass: with a pass a minute,
/// about a thousand deliveries a minute can be checked.
pub const MAX_PAGES: u32 = 10;
/// The most deliveries fetched in one pass.
pub const MAX_FETCHED: usize = 30;
/// The longest cursor that is kept for the next pass, in bytes.
pub const LONGEST_CURSOR: usize = 200;

/// A younger delivery may still be in transit, or about to be recorded.
const YOUNG: SignedDuration = SignedDuration::from_mins(2);
/// How far the first pass reads back: GitHub fails a job that was queued for a day.
const FIRST_LOOK: SignedDuration = SignedDuration::from_hours(24);
/// How long GitHub keeps deliveries.
const KEPT: SignedDuration = SignedDuration::from_hours(72);
/// How much older than a mark a delivery must be to count as past it. Numbers decide
/// otherwise.
const DISORDER: SignedDuration = SignedDuration::from_mins(10);

/// How long the App's webhook is trusted to report every job after it last
/// reported one. GitHub fails a job that was queued for a day, so a job that comes
/// right after the webhook was turned off is still found in time.
const TRUST: SignedDuration = SignedDuration::from_hours(12);
/// A job that is newer than the latest delivery by more than this was reported by
/// another webhook, or found by asking.
const UNREPORTED: SignedDuration = SignedDuration::from_mins(5);

/// What a delivery says about its job, in the order in which lost ones are recorded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum JobNews {
    Queued,
    Waiting,
    InProgress,
    Completed,
    /// An action that is not known here.
    Other,
}

impl JobNews {
    /// Reads the action of a `workflow_job` delivery.
    #[must_use]
    pub fn of_action(action: Option<&str>) -> Self {
        match action {
            Some("queued") => Self::Queued,
            Some("waiting") => Self::Waiting,
            Some("in_progress") => Self::InProgress,
            Some("completed") => Self::Completed,
            _ => Self::Other,
        }
    }
}

/// A delivery as GitHub lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// GitHub's number of the delivery.
    pub number: u64,
    /// `X-GitHub-Delivery`; a redelivery keeps it.
    pub id: DeliveryId,
    /// When it was delivered.
    pub at: Timestamp,
    /// What it says about a job; `None` for an event about anything else.
    pub job: Option<JobNews>,
}

impl Listed {
    fn mark(&self) -> DeliveryMark {
        DeliveryMark { number: self.number, at: self.at }
    }

    fn is_young(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) < YOUNG
    }

    fn is_past(&self, mark: DeliveryMark) -> bool {
        self.number <= mark.number || mark.at.duration_since(self.at) > DISORDER
    }
}

/// One pass through the deliveries.
#[derive(Clone, Debug)]
pub struct Walk {
    now: Timestamp,
    before: DeliveryProgress,
    leg: Leg,
    /// The latest delivery handled in this pass.
    head: Option<DeliveryMark>,
    /// The earliest delivery handled in this leg.
    reached: Option<DeliveryMark>,
    /// The page to read next.
    cursor: Option<String>,
    /// Whether the App's webhook reports jobs, as far as it was read.
    sight: Sight,
}

/// Which part of the list is being read.
#[derive(Clone, Copy, Debug)]
enum Leg {
    Latest {
        down_to: DeliveryMark,
    },
    /// What earlier passes left.
    Backlog {
        from: DeliveryMark,
        down_to: DeliveryMark,
    },
    /// Everything was read.
    Done,
}

impl Walk {
    /// Continues where the pass before ended.
    #[must_use]
    pub fn begin(before: &DeliveryProgress, now: Timestamp) -> Self {
        let first = DeliveryMark { number: 0, at: now - FIRST_LOOK };
        let down_to = kept(before.handled.unwrap_or(first), now);
        Self {
            now,
            before: before.clone(),
            leg: Leg::Latest { down_to },
            head: None,
            reached: None,
            cursor: None,
            sight: before.sight,
        }
    }

    /// Whether nothing is left to read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.leg, Leg::Done)
    }

    /// The cursor of the page to read; `None` for the top of the list.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Returns the deliveries of a page that should have been recorded, the latest
    /// first and each id once.
    #[must_use]
    pub fn wanted(&self, page: &[Listed]) -> Vec<Listed> {
        let mut ids = HashSet::new();
        let jobs = self.span(page).iter().filter(|listed| listed.job.is_some());
        jobs.filter(|listed| ids.insert(&listed.id)).cloned().collect()
    }

    /// The page was handled; `next` is the cursor of the following page.
    pub fn page_handled(&mut self, page: &[Listed], next: Option<String>) {
        let down_to = match self.leg {
            Leg::Latest { down_to } | Leg::Backlog { down_to, .. } => down_to,
            Leg::Done => return,
        };
        self.look(page);
        self.note(page, self.span(page));
        if next.is_some() && !page.iter().any(|listed| listed.is_past(down_to)) {
            self.cursor = next;
            return;
        }
        self.reached = None;
        match (self.leg, &self.before.backlog) {
            (Leg::Latest { .. }, Some(backlog)) => {
                self.cursor = backlog.cursor.clone();
                self.leg = Leg::Backlog { from: backlog.from, down_to: kept(backlog.down_to, self.now) };
            }
            _ => self.leg = Leg::Done,
        }
    }

    /// The pass ends early: of this page, only what is listed before that delivery
    /// was handled.
    pub fn cut_before(&mut self, page: &[Listed], number: u64) {
        self.look(page);
        let span = self.span(page);
        let end = span.iter().position(|listed| listed.number == number).unwrap_or(span.len());
        self.note(page, &span[..end]);
        if matches!(self.leg, Leg::Latest { .. })
            && self.head.is_none()
            && let Some(first) = span.first().map(Listed::mark)
        {
            // The backlog begins with the latest delivery itself.
            self.head = Some(first);
            self.reached = Some(DeliveryMark { number: first.number + 1, ..first });
        }
    }

    /// GitHub no longer accepts the cursor: the next pass reads from the top of the
    /// list to find its place.
    pub fn forget_cursor(&mut self) {
        self.cursor = None;
    }

    /// Returns the progress with which the next pass begins.
    #[must_use]
    pub fn end(self) -> DeliveryProgress {
        let cursor = self.cursor.filter(|cursor| cursor.len() <= LONGEST_CURSOR);
        let handled = self.head.or(self.before.handled);
        let backlog = match (self.leg, self.reached) {
            (Leg::Done, _) => None,
            // No delivery was handled.
            (Leg::Latest { .. }, None) => return DeliveryProgress { sight: self.sight, ..self.before },
            (Leg::Latest { down_to }, Some(from)) => {
                // The two gaps are merged, so what was handled between them is read again.
                let down_to = self.before.backlog.map_or(down_to, |backlog| backlog.down_to);
                Some(Backlog { from, cursor, down_to })
            }
            (Leg::Backlog { from, down_to }, reached) => {
                Some(Backlog { from: reached.unwrap_or(from), cursor, down_to })
            }
        };
        DeliveryProgress { handled, backlog, sight: self.sight }
    }

    /// Returns the part of a page that is to be handled in this leg.
    fn span<'a>(&self, page: &'a [Listed]) -> &'a [Listed] {
        let (begin, down_to) = match self.leg {
            // A young delivery, and all that is listed above it, is left to the next pass.
            Leg::Latest { down_to } => {
                let young = page.iter().rposition(|listed| listed.is_young(self.now));
                (young.map_or(0, |last| last + 1), down_to)
            }
            Leg::Backlog { from, down_to } => {
                (page.iter().take_while(|listed| listed.number >= from.number).count(), down_to)
            }
            Leg::Done => return &[],
        };
        let rest = &page[begin..];
        let end = rest.iter().position(|listed| listed.is_past(down_to)).unwrap_or(rest.len());
        &rest[..end]
    }

    /// Notes the latest delivery about a job.
    fn look(&mut self, page: &[Listed]) {
        let jobs = page.iter().filter(|listed| listed.job.is_some());
        if let Some(at) = jobs.map(|listed| listed.at).max() {
            self.sight = self.sight.and_shown(at);
        }
    }

    /// A part of a page was handled.
    fn note(&mut self, page: &[Listed], handled: &[Listed]) {
        if matches!(self.leg, Leg::Latest { .. }) {
            // All that is listed above a young delivery is read again in the next pass.
            if page.iter().any(|listed| listed.is_young(self.now)) {
                (self.head, self.reached) = (None, None);
            }
            self.head = self.head.or(handled.first().map(Listed::mark));
        }
        self.reached = handled.last().map(Listed::mark).or(self.reached);
    }
}

/// Returns lost deliveries in the order in which they are to be recorded: queued
/// jobs first, and the oldest first.
#[must_use]
pub fn in_order(mut lost: Vec<Listed>) -> Vec<Listed> {
    lost.sort_by_key(|listed| (listed.job, listed.at, listed.number));
    lost
}

impl Sight {
    /// The webhook reported a job at that time.
    fn and_shown(self, at: Timestamp) -> Self {
        match self {
            Self::Shown(before) | Self::Stopped(before) if at <= before => self,
            Self::Never | Self::Shown(_) | Self::Stopped(_) => Self::Shown(at),
        }
    }

    /// Considers the open jobs: if one is newer than the latest delivery, the App's
    /// webhook has stopped. This stays true after the job has ended, until the webhook
    /// reports a job again.
    #[must_use]
    pub fn compared_with(self, open: &Open) -> Self {
        match self {
            Self::Shown(at) if open.jobs.values().any(|job| job.created_at > at + UNREPORTED) => {
                Self::Stopped(at)
            }
            _ => self,
        }
    }

    /// Whether the App's webhook can be trusted to report every job, so that a lost
    /// webhook is among its deliveries.
    #[must_use]
    pub fn is_trusted(self, now: Timestamp) -> bool {
        matches!(self, Self::Shown(at) if now.duration_since(at) < TRUST)
    }
}

/// Whether the last pass left the latest delivery about a job to the next one, because it was young.
#[must_use]
pub fn left_young(progress: &SweepProgress) -> bool {
    match (progress.deliveries.sight, progress.began_at) {
        (Sight::Shown(at), Some(began)) => began.duration_since(at) < YOUNG,
        _ => false,
    }
}

/// Returns the greatest possible age of a delivery in the backlog; `None` if there
/// is no backlog.
#[must_use]
pub fn behind(progress: &DeliveryProgress, now: Timestamp) -> Option<SignedDuration> {
    progress.backlog.as_ref().map(|backlog| now.duration_since(backlog.down_to.at))
}

/// Moves a mark to the time up to which GitHub keeps deliveries, if it is older.
fn kept(mark: DeliveryMark, now: Timestamp) -> DeliveryMark {
    DeliveryMark { at: mark.at.max(now - KEPT), ..mark }
}
