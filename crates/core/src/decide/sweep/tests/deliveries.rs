//! Tests of the comparison of deliveries with what was recorded.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::decide::sweep::deliveries::{JobNews, Listed, Walk, behind, in_order};
use crate::id::DeliveryId;
use crate::records::job::{Job, JobStage, JobState};

/// GitHub's list, what was recorded, and passes with small limits.
struct Listing {
    /// The latest comes last.
    list: Vec<Listed>,
    recorded: BTreeSet<DeliveryId>,
    fetched: Vec<u64>,
    progress: DeliveryProgress,
    page: usize,
    pages: usize,
    fetches: usize,
    pages_read: usize,
}

impl Listing {
    fn new(page: usize, pages: usize, fetches: usize) -> Self {
        Self {
            list: Vec::new(),
            recorded: BTreeSet::new(),
            fetched: Vec::new(),
            progress: DeliveryProgress::default(),
            page,
            pages,
            fetches,
            pages_read: 0,
        }
    }

    fn roomy() -> Self {
        Self::new(100, 10, 30)
    }

    fn deliver(&mut self, secs: i64, recorded: bool) -> u64 {
        let number = self.list.len() as u64 + 1;
        self.redeliver(number, secs);
        if recorded {
            self.recorded.insert(id(number));
        }
        number
    }

    /// Adds a delivery with the GUID of an earlier one.
    fn redeliver(&mut self, of: u64, secs: i64) {
        let number = self.list.len() as u64 + 1;
        self.list.push(Listed { number, id: id(of), at: at(secs), job: Some(JobNews::Queued) });
    }

    /// Returns a page of the deliveries whose numbers are below the cursor.
    fn read(&mut self, cursor: Option<&str>) -> (Vec<Listed>, Option<String>) {
        self.pages_read += 1;
        let below = cursor.map_or(u64::MAX, |cursor| cursor.parse().unwrap());
        let mut rest = self.list.iter().rev().filter(|listed| listed.number < below).cloned();
        let page: Vec<Listed> = rest.by_ref().take(self.page).collect();
        let next = rest.next().and(page.last()).map(|last| last.number.to_string());
        (page, next)
    }

    /// Makes one pass, as the engine does.
    fn pass(&mut self, now: i64) -> Option<SignedDuration> {
        let mut walk = Walk::begin(&self.progress, at(now));
        let mut fetches = 0;
        for _ in 0..self.pages {
            if walk.is_done() {
                break;
            }
            let (page, next) = self.read(walk.cursor());
            let unrecorded: Vec<Listed> =
                walk.wanted(&page).into_iter().filter(|listed| !self.recorded.contains(&listed.id)).collect();
            if let Some(first) = unrecorded.get(self.fetches - fetches) {
                walk.cut_before(&page, first.number);
            } else {
                walk.page_handled(&page, next);
            }
            let room = self.fetches - fetches;
            for listed in unrecorded.iter().take(room) {
                self.fetched.push(listed.number);
                self.recorded.insert(listed.id.clone());
            }
            fetches += unrecorded.len().min(room);
            if unrecorded.len() > room {
                break;
            }
        }
        self.progress = walk.end();
        behind(&self.progress, at(now))
    }
}

fn id(number: u64) -> DeliveryId {
    DeliveryId::parse(&format!("guid-{number}")).unwrap()
}

#[test]
fn a_delivery_that_was_never_recorded_is_fetched_once() {
    let mut listing = Listing::roomy();
    listing.deliver(0, true);
    let lost = listing.deliver(1, false);
    listing.deliver(2, true);
    assert_eq!(listing.pass(3 * MINUTE), None);
    assert_eq!(listing.pass(4 * MINUTE), None);
    assert_eq!(listing.fetched, [lost]);
}

#[test]
fn a_young_delivery_is_left_to_the_next_pass() {
    let mut listing = Listing::roomy();
    let lost = listing.deliver(0, false);
    listing.pass(2 * MINUTE - 1);
    assert!(listing.fetched.is_empty());
    listing.pass(2 * MINUTE);
    assert_eq!(listing.fetched, [lost]);
}

#[test]
fn what_is_listed_above_a_young_delivery_is_left_with_it() {
    let mut listing = Listing::new(1, 10, 30);
    let young = listing.deliver(100, false);
    let above = listing.deliver(50, false);
    listing.pass(50 + 2 * MINUTE);
    listing.pass(100 + 2 * MINUTE);
    assert!(listing.fetched.contains(&young) && listing.fetched.contains(&above));
}

#[test]
fn the_first_pass_goes_back_a_day() {
    let mut listing = Listing::roomy();
    listing.deliver(0, false);
    let lost = listing.deliver(2 * HOUR, false);
    listing.pass(25 * HOUR);
    assert_eq!(listing.fetched, [lost]);
}

#[test]
fn an_outage_of_two_days_is_made_up_for() {
    let mut listing = Listing::roomy();
    listing.deliver(0, true);
    listing.pass(3 * MINUTE);
    let lost = listing.deliver(5 * MINUTE, false);
    listing.pass(48 * HOUR);
    assert_eq!(listing.fetched, [lost]);
}

#[test]
fn a_redelivery_counts_as_what_it_repeats() {
    let mut listing = Listing::roomy();
    let lost = listing.deliver(0, false);
    listing.redeliver(lost, 10);
    listing.pass(HOUR);
    listing.redeliver(lost, HOUR);
    listing.pass(2 * HOUR);
    assert_eq!(listing.fetched, [2]);
}

#[test]
fn other_events_are_passed_over() {
    let mut listing = Listing::roomy();
    listing.deliver(0, false);
    listing.list[0].job = None;
    listing.pass(HOUR);
    assert!(listing.fetched.is_empty());
    assert_eq!(listing.progress.handled, Some(DeliveryMark { number: 1, at: at(0) }));
}

#[test]
fn a_pass_that_is_cut_says_how_far_it_is_behind_and_the_next_goes_on() {
    let mut listing = Listing::new(2, 1, 30);
    listing.deliver(0, true);
    listing.pass(3 * MINUTE);
    for secs in 1..=6 {
        listing.deliver(secs, false);
    }
    assert_eq!(listing.pass(10 * MINUTE), Some(SignedDuration::from_mins(10)));
    assert_eq!(listing.fetched, [7, 6]);
    // One page for what came since, and none for the backlog.
    listing.pages = 2;
    listing.pass(11 * MINUTE);
    listing.pass(12 * MINUTE);
    assert_eq!(listing.fetched, [7, 6, 5, 4, 3, 2]);
    assert_eq!(listing.pass(13 * MINUTE), None);
}

#[test]
fn what_came_lately_is_fetched_before_the_backlog() {
    let mut listing = Listing::new(100, 10, 2);
    listing.deliver(0, true);
    listing.pass(3 * MINUTE);
    for secs in 1..=4 {
        listing.deliver(secs, false);
    }
    listing.pass(10 * MINUTE);
    listing.deliver(5 * MINUTE, false);
    listing.pass(20 * MINUTE);
    assert_eq!(listing.fetched, [5, 4, 6, 3]);
    assert_eq!(listing.pass(21 * MINUTE), None);
    assert_eq!(listing.fetched, [5, 4, 6, 3, 2]);
}

#[test]
fn without_its_cursor_a_backlog_is_found_from_the_top() {
    let mut listing = Listing::new(2, 1, 30);
    listing.deliver(0, true);
    listing.pass(3 * MINUTE);
    for secs in 1..=9 {
        listing.deliver(secs, false);
    }
    listing.pass(10 * MINUTE);
    listing.progress.backlog.as_mut().unwrap().cursor = None;
    listing.pages = 10;
    assert_eq!(listing.pass(11 * MINUTE), None);
    assert_eq!(listing.fetched, [10, 9, 8, 7, 6, 5, 4, 3, 2]);
}

#[test]
fn a_forgotten_or_overlong_cursor_is_not_kept() {
    let mut listing = Listing::new(2, 1, 30);
    for secs in 1..=5 {
        listing.deliver(secs, true);
    }
    let mut walk = Walk::begin(&listing.progress, at(HOUR));
    let (page, _) = listing.read(None);
    walk.page_handled(&page, Some("x".repeat(1000)));
    assert!(walk.cursor().is_some());
    assert_eq!(walk.clone().end().backlog.unwrap().cursor, None);
    walk.forget_cursor();
    assert_eq!(walk.end().backlog.unwrap().cursor, None);
}

#[test]
fn a_pass_that_handled_nothing_leaves_everything_as_it_was() {
    let mut listing = Listing::roomy();
    listing.deliver(0, true);
    listing.pass(3 * MINUTE);
    let before = listing.progress.clone();
    assert_eq!(Walk::begin(&before, at(HOUR)).end(), before);
    listing.pass(2 * HOUR);
    assert_eq!(listing.progress, before);
}

#[test]
fn queued_jobs_are_recorded_first_and_the_oldest_first() {
    let lost = |number, secs, job| Listed { number, id: id(number), at: at(secs), job: Some(job) };
    let page = vec![
        lost(7, 9, JobNews::Completed),
        lost(6, 8, JobNews::Queued),
        lost(5, 8, JobNews::Other),
        lost(4, 7, JobNews::InProgress),
        lost(3, 3, JobNews::Queued),
        lost(2, 2, JobNews::InProgress),
        lost(1, 1, JobNews::Completed),
    ];
    let numbers: Vec<u64> = in_order(page).iter().map(|listed| listed.number).collect();
    assert_eq!(numbers, [3, 6, 2, 4, 1, 7, 5]);
}

#[test]
fn a_pass_that_is_cut_at_the_latest_delivery_leaves_a_backlog() {
    let mut listing = Listing::roomy();
    listing.deliver(0, true);
    listing.pass(3 * MINUTE);
    for secs in 1..=3 {
        listing.deliver(secs, false);
    }
    let mut walk = Walk::begin(&listing.progress, at(10 * MINUTE));
    let (page, _) = listing.read(None);
    walk.cut_before(&page, 4);
    listing.progress = walk.end();
    assert_eq!(behind(&listing.progress, at(10 * MINUTE)), Some(SignedDuration::from_mins(10)));
    // The delivery that came since is read first.
    listing.deliver(5 * MINUTE, false);
    assert_eq!(listing.pass(11 * MINUTE), None);
    assert_eq!(listing.fetched, [5, 4, 3, 2]);
}

/// Returns what one page of deliveries shows of the App's webhook.
fn shown(progress: &DeliveryProgress, page: &[Listed], now: i64) -> Sight {
    let mut walk = Walk::begin(progress, at(now));
    walk.page_handled(page, None);
    walk.end().sight
}

#[test]
fn a_webhook_that_reported_a_job_is_trusted_for_half_a_day() {
    let listed = |secs, job| Listed { number: 1, id: id(1), at: at(secs), job };
    let nothing = DeliveryProgress::default();
    assert_eq!(shown(&nothing, &[], HOUR), Sight::Never);
    assert_eq!(shown(&nothing, &[listed(0, None)], HOUR), Sight::Never, "a ping says nothing of jobs");
    let sight = shown(&nothing, &[listed(0, Some(JobNews::Completed))], 1);
    assert_eq!(sight, Sight::Shown(at(0)), "a young delivery counts");
    assert!(!Sight::Never.is_trusted(at(0)));
    assert!(sight.is_trusted(at(12 * HOUR - 1)) && !sight.is_trusted(at(12 * HOUR)));
}

#[test]
fn a_webhook_that_stopped_is_not_trusted_until_it_reports_a_job_again() {
    let job_known_at = |secs| {
        let mut open = Open::default();
        open.add_job(Job {
            held: None,
            recorded_late_at: None,
            facts: crate::testing::job_facts(7, "acme/app", &["self-hosted"]),
            version: Version::FIRST,
            created_at: at(secs),
            timeline: Timeline::begin(JobStage::Queued, at(secs)),
            asked_at: None,
            failing: None,
            state: JobState::Waiting,
        });
        open
    };
    let shown_at = Sight::Shown(at(0));
    assert_eq!(shown_at.compared_with(&job_known_at(5 * MINUTE)), shown_at);
    let stopped = shown_at.compared_with(&job_known_at(5 * MINUTE + 1));
    assert_eq!(stopped, Sight::Stopped(at(0)));
    assert!(!stopped.is_trusted(at(6 * MINUTE)));
    assert_eq!(stopped.compared_with(&Open::default()), stopped, "the job's end changes nothing");
    let progress = DeliveryProgress { sight: stopped, ..DeliveryProgress::default() };
    let listed = |secs| Listed { number: 1, id: id(1), at: at(secs), job: Some(JobNews::Queued) };
    assert_eq!(shown(&progress, &[listed(0)], 10 * MINUTE), stopped, "the old delivery is still listed");
    assert_eq!(shown(&progress, &[listed(9 * MINUTE)], 10 * MINUTE), Sight::Shown(at(9 * MINUTE)));
}

proptest! {
    /// Deliveries come at any rate, out of order by seconds, and the limits of passes
    /// are small: in the end, each delivery that was not recorded was fetched once.
    #[test]
    fn every_lost_delivery_is_fetched_once_however_the_passes_are_cut(
        arrivals in prop::collection::vec((0_i64..4, 0_i64..90, prop::bool::weighted(0.7)), 1..120),
        page in 1_usize..8,
        pages in 1_usize..5,
        fetches in 1_usize..4,
    ) {
        let mut listing = Listing::new(page, pages, fetches);
        let mut lost = BTreeMap::new();
        let mut minute = 0;
        for (gap, early, recorded) in arrivals {
            for _ in 0..gap {
                minute += 1;
                listing.pass(minute * MINUTE);
            }
            let number = listing.deliver(minute * MINUTE - early, recorded);
            if !recorded {
                lost.insert(number, 1);
            }
        }
        // Nothing more comes: each pass reads one page of what came since.
        listing.pages = listing.pages.max(2);
        for _ in 0..400 {
            minute += 1;
            listing.pass(minute * MINUTE);
        }
        let mut times = BTreeMap::new();
        for number in &listing.fetched {
            *times.entry(*number).or_insert(0) += 1;
        }
        prop_assert_eq!(times, lost);
        prop_assert_eq!(listing.progress.backlog, None);
    }

    #[test]
    fn a_pass_reads_no_more_pages_than_it_has_room_for(count in 0_i64..50, pages in 1_usize..5) {
        let mut listing = Listing::new(3, pages, 2);
        for secs in 0..count {
            listing.deliver(secs, secs % 3 == 0);
        }
        listing.pass(HOUR);
        prop_assert!(listing.pages_read <= pages);
    }
}
