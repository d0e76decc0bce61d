//! Schedules, checked against a clock that is read minute by minute.

use jiff::tz::TimeZoneDatabase;

use super::*;

fn schedule(windows: &[&str]) -> Schedule {
    let windows: Vec<String> = windows.iter().map(|window| (*window).to_owned()).collect();
    Schedule::parse(&windows).unwrap_or_else(|error| panic!("{error}"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn told(window: &str) -> String {
    Schedule::parse(&[window.to_owned()]).unwrap_err().to_string()
}

/// The moments of the changes after a moment.
fn changes(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
    let mut now = at(from);
    let mut found = Vec::new();
    while let Some(change) = schedule.next_change(now).filter(|_| found.len() < count) {
        found.push(change.to_string());
        now = change;
    }
    found
}

#[test]
fn without_windows_it_is_always_active() {
    let always = schedule(&[]);
    assert!(always.is_active(at("2026-11-30T03:00:00Z")));
    assert_eq!(always.next_change(at("2026-11-30T03:00:00Z")), None);
}

#[test]
fn office_hours_begin_and_end_on_five_days() {
    let office = schedule(&["Mon-Fri 08:00-19:00 Europe/Berlin"]);
    // A Friday.
    assert!(!office.is_active(at("2026-11-27T06:59:59Z")));
    assert!(office.is_active(at("2026-11-27T07:00:00Z")));
    assert!(office.is_active(at("2026-11-27T17:59:59Z")));
    assert!(!office.is_active(at("2026-11-27T18:00:00Z")));
    assert!(!office.is_active(at("2026-11-28T12:00:00Z")));
    assert_eq!(
        changes(&office, "2026-11-27T12:00:00Z", 3),
        ["2026-11-27T18:00:00Z", "2026-11-30T07:00:00Z", "2026-11-30T18:00:00Z"]
    );
}

#[test]
fn days_may_be_listed_wrap_around_the_week_and_be_written_in_any_case() {
    let active_on = |days: &str| {
        let schedule = schedule(&[&format!("{days} 10:00-11:00 UTC")]);
        // From a Monday.
        let noon = |day: i64| at("2026-11-30T10:30:00Z") + SignedDuration::from_hours(24 * day);
        (0..7).map(|day| if schedule.is_active(noon(day)) { 'x' } else { '-' }).collect::<String>()
    };
    assert_eq!(active_on("Mon"), "x------");
    assert_eq!(active_on("Sat,Sun"), "-----xx");
    assert_eq!(active_on("Mon-Wed,Fri"), "xxx-x--");
    assert_eq!(active_on("Fri-Mon"), "x---xxx");
    assert_eq!(active_on("sun-SUN"), "------x");
    assert_eq!(active_on("Daily"), "xxxxxxx");
}

#[test]
fn a_window_may_cross_midnight_and_the_week() {
    let night = schedule(&["Sun 22:00-06:00 UTC"]);
    // The night from Sunday to Monday.
    assert_eq!(
        changes(&night, "2026-11-29T12:00:00Z", 3),
        ["2026-11-29T22:00:00Z", "2026-11-30T06:00:00Z", "2026-12-06T22:00:00Z"]
    );
    assert!(night.is_active(at("2026-11-30T05:59:00Z")));
    let evening = schedule(&["Sun 22:00-00:00 UTC"]);
    assert_eq!(evening.next_change(at("2026-11-29T22:00:00Z")), Some(at("2026-11-30T00:00:00Z")));
    assert_eq!(evening.next_change(at("2026-11-29T22:00:00Z")), {
        schedule(&["Sun 22:00-24:00 UTC"]).next_change(at("2026-11-29T22:00:00Z"))
    });
}

#[test]
fn windows_that_overlap_or_touch_are_one() {
    let merged = schedule(&[
        "Mon 08:00-12:00 UTC",
        "Mon 11:00-14:00 UTC",
        "Mon 14:00-24:00 UTC",
        "Tue 00:00-01:00 UTC",
        "Mon 03:00-05:00 America/New_York",
    ]);
    assert_eq!(changes(&merged, "2026-11-29T12:00:00Z", 2), ["2026-11-30T08:00:00Z", "2026-12-01T01:00:00Z"]);
}

#[test]
fn a_schedule_that_leaves_nothing_out_never_changes() {
    for always in [
        &["daily 00:00-24:00 Europe/Berlin"][..],
        &[
            "Mon-Fri 08:00-20:00 UTC",
            "Mon-Fri 20:00-08:00 UTC",
            "Sat,Sun 00:00-24:00 UTC",
            "Mon 00:00-08:00 UTC",
        ],
        // Half a day in each of two zones, whatever their clocks do.
        &["daily 00:00-12:00 UTC", "daily 11:00-03:00 Europe/Berlin"],
    ] {
        let always = schedule(always);
        assert_eq!(always.next_change(at("2026-03-28T23:30:00Z")), None, "{always:?}");
        assert!(always.is_active(at("2026-03-29T01:30:00Z")), "{always:?}");
    }
    let nearly = schedule(&["Mon-Sat 00:00-24:00 UTC", "Sun 00:00-23:59 UTC"]);
    assert_eq!(nearly.next_change(at("2026-11-30T00:00:00Z")), Some(at("2026-12-06T23:59:00Z")));
}

#[test]
fn a_time_that_is_skipped_is_the_moment_of_the_change() {
    // The clock goes from 02:00 to 03:00 on 2026-03-29 at 01:00 UTC.
    let changes = |window: &str| changes(&schedule(&[window]), "2026-03-28T12:00:00Z", 2);
    let moved = "2026-03-29T01:00:00Z";
    assert_eq!(changes("Sun 02:30-05:00 Europe/Berlin"), [moved, "2026-03-29T03:00:00Z"]);
    assert_eq!(changes("Sun 01:00-02:30 Europe/Berlin"), ["2026-03-29T00:00:00Z", moved]);
    // Those times do not exist that day.
    assert_eq!(changes("Sun 02:15-02:45 Europe/Berlin"), ["2026-04-05T00:15:00Z", "2026-04-05T00:45:00Z"]);
}

#[test]
fn a_time_that_occurs_twice_is_the_first_as_a_start_and_the_second_as_an_end() {
    // The clock goes from 03:00 to 02:00 on 2026-10-25 at 01:00 UTC.
    let changes = |window: &str| changes(&schedule(&[window]), "2026-10-24T12:00:00Z", 2);
    assert_eq!(changes("Sun 02:30-05:00 Europe/Berlin"), ["2026-10-25T00:30:00Z", "2026-10-25T04:00:00Z"]);
    assert_eq!(changes("Sun 01:00-02:30 Europe/Berlin"), ["2026-10-24T23:00:00Z", "2026-10-25T01:30:00Z"]);
    assert_eq!(changes("Sun 02:15-02:45 Europe/Berlin"), ["2026-10-25T00:15:00Z", "2026-10-25T01:45:00Z"]);
}

#[test]
fn mistakes_say_what_is_right() {
    let form = "are expected, such as `Mon-Fri 08:00-19:00 Europe/Berlin`";
    for wrong in ["", "Mon", "Mon 08:00-09:00", "08:00-19:00 UTC", "Mon, Tue 08:00-09:00 UTC"] {
        let told = told(wrong);
        assert!(told.starts_with(&format!("`{wrong}` is not a window")) && told.ends_with(form), "{told}");
    }
    for (window, part) in [
        ("Mo 08:00-19:00 UTC", "`Mo` is not a day: Mon, Tue, Wed,"),
        ("Mon-Day 08:00-19:00 UTC", "`Day` is not a day"),
        ("Mon,,Tue 08:00-19:00 UTC", "`` is not a day"),
        ("daily,Mon 08:00-19:00 UTC", "`daily` is not a day"),
        ("Mon 08:00 UTC", "`08:00` are not its times: a start and an end"),
        ("Mon 25:00-26:00 UTC", "`25:00` is not a time: two digits from 00 to 23"),
        ("Mon 24:00-08:00 UTC", "`24:00` is not a time"),
        ("Mon 08:00-24:01 UTC", "`24:01` is not a time"),
        ("Mon 08:60-09:00 UTC", "`08:60` is not a time"),
        ("Mon 8:00-09:00 UTC", "`8:00` is not a time"),
        ("Mon 08:00-+9:00 UTC", "`+9:00` is not a time"),
        ("Mon 08:00-09 UTC", "`09` is not a time"),
        ("Mon 08:00-08:00 UTC", "ends when it begins: another end is expected; a whole day is 00:00-24:00"),
        (
            "Mon 08:00-09:00 Berlin",
            "`Berlin` is not a time zone: `Europe/Berlin`, or another of IANA's names",
        ),
        ("Mon 08:00-09:00 Europe/Berln", "`Europe/Berln` is not a time zone: one of IANA's names, such as"),
        ("Mon 08:00-09:00 UTC+1", "`UTC+1` is not a time zone"),
        ("Mon 08:00-09:00 Etc/Unknown", "`Etc/Unknown` is not a time zone"),
    ] {
        let told = told(window);
        assert!(told.starts_with(&format!("window `{window}`")) && told.contains(part), "{told}");
    }
}

#[test]
fn the_windows_are_shown_as_they_were_written() {
    let schedule = schedule(&["Mon-Fri  08:00-19:00   Europe/Berlin", "Sat 10:00-12:00 UTC"]);
    let shown: Vec<&str> = schedule.windows().collect();
    assert_eq!(shown, ["Mon-Fri 08:00-19:00 Europe/Berlin", "Sat 10:00-12:00 UTC"]);
}

#[test]
fn a_window_ends_with_its_last_minute_though_its_end_occurs_twice() {
    // Half an hour of Lord Howe Island is repeated from 01:30 on 2026-04-05, at 15:00 UTC.
    let changes = |window: &str| changes(&schedule(&[window]), "2026-04-04T00:00:00Z", 2);
    assert_eq!(
        changes("Sun 01:00-01:30 Australia/Lord_Howe"),
        ["2026-04-04T14:00:00Z", "2026-04-04T14:30:00Z"]
    );
    assert_eq!(
        changes("Sun 01:00-01:31 Australia/Lord_Howe"),
        ["2026-04-04T14:00:00Z", "2026-04-04T15:01:00Z"]
    );
    assert_eq!(
        changes("Sun 01:30-02:00 Australia/Lord_Howe"),
        ["2026-04-04T14:30:00Z", "2026-04-04T15:30:00Z"]
    );
}

const DAY: i64 = 1440;

/// What a zone's clock shows at each minute of two years, and the minute before the first, both since 1970.
fn clock(zone: &str) -> (Vec<i64>, i64) {
    let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
    let from = at("2026-01-01T00:00:00Z").as_second() / 60;
    let mut shown = Vec::new();
    // No zone changes its offset other than at a quarter of an hour.
    for quarter in (from..from + 2 * 365 * DAY).step_by(15) {
        let offset = i64::from(zone.to_offset(Timestamp::from_second(quarter * 60).unwrap()).seconds()) / 60;
        shown.extend((quarter..quarter + 15).map(|minute| minute + offset));
    }
    (shown, from)
}

/// Days from Monday, and the first and last minute of a window on them.
type Times<'a> = (&'a [i64], i64, i64);

/// Whether each minute is in a window, from what the clock shows alone: from the first minute that shows the start or
/// later, until the last that shows a time before the end.
fn active_minutes(clock: &[i64], windows: &[Times]) -> Vec<bool> {
    // Clocks are put back by a few hours at most, so a search can begin near the time.
    let near = |time: i64| usize::try_from((time - clock[0]).max(0)).unwrap();
    let first_showing = |time: i64| {
        (near(time).saturating_sub(600)..clock.len())
            .find(|index| clock[*index] >= time)
            .unwrap_or(clock.len())
    };
    let after_last_before = |time: i64| {
        let end = (near(time) + 600).min(clock.len());
        (0..end).rev().find(|index| clock[*index] < time).map_or(0, |index| index + 1)
    };
    let mut active = vec![false; clock.len()];
    for day in clock[0] / DAY - 1..=clock[clock.len() - 1] / DAY {
        // The first day of 1970 was a Thursday.
        for (_, start, end) in windows.iter().filter(|(days, ..)| days.contains(&((day + 3) % 7))) {
            let (start, end) = (first_showing(day * DAY + start), after_last_before(day * DAY + end));
            (start..end).for_each(|minute| active[minute] = true);
        }
    }
    active
}

#[test]
fn every_change_of_two_years_is_found_in_zones_with_odd_rules() {
    let all: &[i64] = &[0, 1, 2, 3, 4, 5, 6];
    let cases: [(&[&str], &[Times]); 4] = [
        (&["Mon-Fri 08:00-19:00"], &[(&[0, 1, 2, 3, 4], 480, 1140)]),
        (&["daily 01:30-02:15", "Sun 02:10-03:05"], &[(all, 90, 135), (&[6], 130, 185)]),
        (&["Sat,Sun 22:45-02:30", "Wed 00:00-24:00"], &[(&[5, 6], 1365, 1590), (&[2], 0, 1440)]),
        (&["daily 02:20-02:00"], &[(all, 140, 1560)]),
    ];
    let zones =
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"];
    for zone in zones {
        let (clock, from) = clock(zone);
        let moment = |index: usize| {
            let minutes = from + i64::try_from(index).unwrap();
            Timestamp::from_second(minutes * 60).unwrap()
        };
        // Whether the clock is changed within two days before or after the minute.
        let is_odd = |index: usize| clock[index + 2880] - clock[index - 2880] != 4 * DAY;
        for (windows, times) in cases {
            let windows: Vec<String> = windows.iter().map(|window| format!("{window} {zone}")).collect();
            let schedule = Schedule::parse(&windows).unwrap();
            let active = active_minutes(&clock, times);
            // The first and the last days lack what the clock showed outside them.
            let (mut index, last) = (3 * 1440, clock.len() - 3 * 1440);
            let mut changes = 0;
            while let Some(minutes) = active[index..last].iter().position(|minute| *minute != active[index]) {
                let change = moment(index + minutes);
                assert!(
                    schedule.is_active(moment(index)) == active[index],
                    "{windows:?} at {}",
                    moment(index)
                );
                for minute in index..index + minutes {
                    let is_last = minute + 1 == index + minutes;
                    if is_last || (is_odd(minute) && minute % 97 == 0) {
                        let now = moment(minute);
                        assert_eq!(schedule.is_active(now), active[index], "{windows:?} at {now}");
                        assert_eq!(schedule.next_change(now), Some(change), "{windows:?} at {now}");
                    }
                }
                changes += 1;
                index += minutes;
            }
            assert!(changes > 300, "{windows:?} changed {changes} times");
        }
    }
}
