//! Compares GitHub's webhook deliveries with those that were recorded.
//!
//! GitHub lists the latest delivery first. A pass reads from the top down to the
//! latest delivery that was handled before. What exceeds a pass's limits becomes
//! the backlog. The next passes handle new deliveries first and then continue with
//! the backlog, since recently lost webhooks matter most.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{Backlog, DeliveryMark, DeliveryProgress};
use crate::id::DeliveryId;

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

/// A delivery as GitHub lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// GitHub's number of the delivery.
    pub number: u64,
    /// `X-GitHub-Delivery`; a redelivery keeps it.
    pub id: DeliveryId,
    /// When it was delivered.
    pub at: Timestamp,
    /// Whether it is about a job.
    pub is_job: bool,
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
        let jobs = self.span(page).iter().filter(|listed| listed.is_job);
        jobs.filter(|listed| ids.insert(&listed.id)).cloned().collect()
    }

    /// The page was handled; `next` is the cursor of the following page.
    pub fn page_handled(&mut self, page: &[Listed], next: Option<String>) {
        let down_to = match self.leg {
            Leg::Latest { down_to } | Leg::Backlog { down_to, .. } => down_to,
            Leg::Done => return,
        };
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
        let span = self.span(page);
        let end = span.iter().position(|listed| listed.number == number).unwrap_or(span.len());
        self.note(page, &span[..end]);
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
            (Leg::Latest { .. }, None) => return self.before,
            (Leg::Latest { down_to }, Some(from)) => {
                // The two gaps are merged, so what was handled between them is read again.
                let down_to = self.before.backlog.map_or(down_to, |backlog| backlog.down_to);
                Some(Backlog { from, cursor, down_to })
            }
            (Leg::Backlog { from, down_to }, reached) => {
                Some(Backlog { from: reached.unwrap_or(from), cursor, down_to })
            }
        };
        DeliveryProgress { handled, backlog }
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
