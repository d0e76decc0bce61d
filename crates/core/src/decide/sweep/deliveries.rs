//! GitHub's webhook deliveries against those that were recorded.
//!
//! GitHub lists deliveries the latest first. A pass goes down from the top to
//! the latest that was handled before. What it has no room for becomes the
//! backlog, and the next passes go on with it once they are through with what
//! came since: what was lost lately matters most.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{Backlog, DeliveryMark, DeliveryProgress};
use crate::id::DeliveryId;

/// The most pages of a hundred deliveries read in one pass: with a pass a
/// minute, a deployment is bounded to about a thousand deliveries a minute.
pub const MAX_PAGES: u32 = 10;
/// The most deliveries fetched in one pass.
pub const MAX_FETCHED: usize = 30;
/// The longest cursor that is kept for the next pass, in bytes.
pub const LONGEST_CURSOR: usize = 200;

/// A younger delivery may be under way still, or about to be recorded.
const YOUNG: SignedDuration = SignedDuration::from_mins(2);
/// How far the first pass goes back: GitHub fails a job that was queued for a day.
const FIRST_LOOK: SignedDuration = SignedDuration::from_hours(24);
/// How long GitHub keeps deliveries.
const KEPT: SignedDuration = SignedDuration::from_hours(72);
/// Numbers tell the order; by time alone a delivery is passed only well after it.
const DISORDER: SignedDuration = SignedDuration::from_mins(10);

/// A delivery as GitHub lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// GitHub's number of it.
    pub number: u64,
    /// `X-GitHub-Delivery`; a redelivery keeps it.
    pub id: DeliveryId,
    /// When it was delivered.
    pub at: Timestamp,
    /// Whether it told of a job.
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
    /// The page that is read now.
    cursor: Option<String>,
}

/// Which part of the list is gone through.
#[derive(Clone, Copy, Debug)]
enum Leg {
    Latest {
        down_to: DeliveryMark,
    },
    /// What an earlier pass had no room for.
    Backlog {
        from: DeliveryMark,
        down_to: DeliveryMark,
    },
    /// All was gone through.
    Done,
}

impl Walk {
    /// Goes on from where the pass before ended.
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

    /// Whether nothing is left to go through.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.leg, Leg::Done)
    }

    /// The cursor of the page to read; without one, the list's top.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The deliveries of a page that are to have been recorded, the latest
    /// first, each id once.
    #[must_use]
    pub fn wanted(&self, page: &[Listed]) -> Vec<Listed> {
        let mut ids = HashSet::new();
        let jobs = self.span(page).iter().filter(|listed| listed.is_job);
        jobs.filter(|listed| ids.insert(&listed.id)).cloned().collect()
    }

    /// The page was handled; `next` is the cursor of the one below it.
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

    /// The pass is cut: of this page, only what is listed before that delivery
    /// was handled.
    pub fn cut_before(&mut self, page: &[Listed], number: u64) {
        let span = self.span(page);
        let end = span.iter().position(|listed| listed.number == number).unwrap_or(span.len());
        self.note(page, &span[..end]);
    }

    /// GitHub does not take the cursor any more: the next pass finds the place
    /// from the list's top.
    pub fn forget_cursor(&mut self) {
        self.cursor = None;
    }

    /// What the next pass begins with.
    #[must_use]
    pub fn end(self) -> DeliveryProgress {
        let cursor = self.cursor.filter(|cursor| cursor.len() <= LONGEST_CURSOR);
        let handled = self.head.or(self.before.handled);
        let backlog = match (self.leg, self.reached) {
            (Leg::Done, _) => None,
            // Not a single delivery was handled.
            (Leg::Latest { .. }, None) => return self.before,
            (Leg::Latest { down_to }, Some(from)) => {
                // What was handled between two places left is gone through again.
                let down_to = self.before.backlog.map_or(down_to, |backlog| backlog.down_to);
                Some(Backlog { from, cursor, down_to })
            }
            (Leg::Backlog { from, down_to }, reached) => {
                Some(Backlog { from: reached.unwrap_or(from), cursor, down_to })
            }
        };
        DeliveryProgress { handled, backlog }
    }

    /// The part of a page that is to be handled in this leg.
    fn span<'a>(&self, page: &'a [Listed]) -> &'a [Listed] {
        let (begin, down_to) = match self.leg {
            // What is listed above a young one is left with it.
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
            // Whatever is above a young one is gone through again with it.
            if page.iter().any(|listed| listed.is_young(self.now)) {
                (self.head, self.reached) = (None, None);
            }
            self.head = self.head.or(handled.first().map(Listed::mark));
        }
        self.reached = handled.last().map(Listed::mark).or(self.reached);
    }
}

/// How old the earliest delivery may be that was not gone through yet; `None`
/// where nothing but what just came is left.
#[must_use]
pub fn behind(progress: &DeliveryProgress, now: Timestamp) -> Option<SignedDuration> {
    progress.backlog.as_ref().map(|backlog| now.duration_since(backlog.down_to.at))
}

/// What GitHub keeps no more need not be looked for.
fn kept(mark: DeliveryMark, now: Timestamp) -> DeliveryMark {
    DeliveryMark { at: mark.at.max(now - KEPT), ..mark }
}
