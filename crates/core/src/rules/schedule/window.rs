//! One window of a schedule, as text and as moments.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

const DAY_MINUTES: u16 = 24 * 60;

pub(super) const WEEK_MINUTES: usize = 7 * DAY_MINUTES as usize;

/// The names of days, from Monday.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Times of day on some days of the week, in a zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Window {
    text: String,
    /// Whether it begins on a day, from Monday.
    days: [bool; 7],
    /// The minute of the day at which it begins.
    start: u16,
    /// The minute at which it ends, counted from the midnight before its start: above 1440 on the next day.
    end: u16,
    zone: TimeZone,
}

/// A mistake in a window.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WindowError {
    #[error(
        "`{0}` is not a window: days, times and a time zone are expected, such as `Mon-Fri 08:00-19:00 Europe/Berlin`"
    )]
    Form(String),
    #[error(
        "window `{window}`: `{day}` is not a day: Mon, Tue, Wed, Thu, Fri, Sat, Sun, a range such as Mon-Fri, or daily is expected"
    )]
    Day { window: String, day: String },
    #[error(
        "window `{window}`: `{times}` are not its times: a start and an end from 00:00 to 24:00 are expected, such as 08:00-19:00"
    )]
    Times { window: String, times: String },
    #[error(
        "window `{window}`: `{time}` is not a time: two digits from 00 to 23 for the hour and from 00 to 59 for the minute are expected; only an end may be 24:00"
    )]
    Time { window: String, time: String },
    #[error("window `{window}` ends when it begins: another end is expected; a whole day is 00:00-24:00")]
    Empty { window: String },
    #[error("window `{window}`: `{zone}` is not a time zone: {expected} is expected")]
    Zone {
        window: String,
        zone: String,
        /// What is expected instead.
        expected: String,
    },
}

impl Window {
    pub(super) fn parse(text: &str) -> Result<Self, WindowError> {
        let window = || text.to_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        let [days, times, zone] = words[..] else {
            return Err(WindowError::Form(window()));
        };
        let days = read_days(days).map_err(|day| WindowError::Day { window: window(), day })?;
        let (from, to) = times
            .split_once('-')
            .ok_or_else(|| WindowError::Times { window: window(), times: times.to_owned() })?;
        let time = |time: &str| WindowError::Time { window: window(), time: time.to_owned() };
        let start = read_time(from).filter(|start| *start < DAY_MINUTES).ok_or_else(|| time(from))?;
        let end = read_time(to).ok_or_else(|| time(to))?;
        if start == end {
            return Err(WindowError::Empty { window: window() });
        }
        let end = if end < start { end + DAY_MINUTES } else { end };
        let zone = read_zone(zone).map_err(|expected| WindowError::Zone {
            window: window(),
            zone: zone.to_owned(),
            expected,
        })?;
        Ok(Self { text: words.join(" "), days, start, end, zone })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Marks its minutes of a week that begins on Monday.
    pub(super) fn mark(&self, minutes: &mut [bool]) {
        let begins = self.days.iter().enumerate().filter(|(_, begins)| **begins);
        for midnight in begins.map(|(day, _)| day * usize::from(DAY_MINUTES)) {
            for minute in self.start..self.end {
                let index = (midnight + usize::from(minute)) % WEEK_MINUTES;
                if let Some(mark) = minutes.get_mut(index) {
                    *mark = true;
                }
            }
        }
    }

    /// Returns the latest end of those of its times that the moment is in.
    pub(super) fn end_at(&self, now: Timestamp) -> Option<Timestamp> {
        // One that began up to a day ago may still last, or longer where a zone skips a day. A clock that is put back at
        // midnight has shown the beginning of tomorrow before.
        self.times(now, -2, 1).filter(|(start, end)| *start <= now && now < *end).map(|(_, end)| end).max()
    }

    /// Returns the first of its starts after the moment.
    pub(super) fn start_after(&self, now: Timestamp) -> Option<Timestamp> {
        // The next day of the week, or the one after it if a zone skips that day or its times.
        self.times(now, -1, 15).find(|(start, end)| now < *start && start < end).map(|(start, _)| start)
    }

    /// Returns starts and ends that begin on days near the moment, in order.
    fn times(&self, now: Timestamp, first: i64, last: i64) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = self.zone.to_datetime(now).date();
        (first..=last)
            .filter_map(move |day| today.checked_add(SignedDuration::from_hours(24 * day)).ok())
            .filter(|date| self.begins_on(date.weekday()))
            .filter_map(|date| {
                let start = self.moment(date, self.start, first_moment)?;
                Some((start, self.moment(date, self.end, last_moment)?))
            })
    }

    fn begins_on(&self, weekday: Weekday) -> bool {
        let day = usize::try_from(weekday.to_monday_zero_offset()).ok();
        day.and_then(|day| self.days.get(day)).is_some_and(|begins| *begins)
    }

    /// Returns the moment of a minute, counted from the midnight of the date. There is none at the end of the calendar.
    fn moment(
        &self,
        date: Date,
        minute: u16,
        choose: fn(&TimeZone, DateTime) -> Option<Timestamp>,
    ) -> Option<Timestamp> {
        let midnight = date.to_datetime(jiff::civil::Time::midnight());
        let time = midnight.checked_add(SignedDuration::from_mins(i64::from(minute))).ok()?;
        choose(&self.zone, time)
    }
}

/// Returns the first moment at which the zone's clock shows the time or a later one.
fn first_moment(zone: &TimeZone, time: DateTime) -> Option<Timestamp> {
    let found = zone.to_ambiguous_timestamp(time);
    match found.offset() {
        AmbiguousOffset::Gap { .. } => end_of_gap(zone, time),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => found.earlier().ok(),
    }
}

/// Returns the end of the last moment at which the zone's clock shows an earlier time.
fn last_moment(zone: &TimeZone, time: DateTime) -> Option<Timestamp> {
    const LEAST: SignedDuration = SignedDuration::from_nanos(1);
    let last = time.checked_sub(LEAST).ok()?;
    let found = zone.to_ambiguous_timestamp(last);
    match found.offset() {
        AmbiguousOffset::Gap { .. } => end_of_gap(zone, last),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
            found.later().ok()?.checked_add(LEAST).ok()
        }
    }
}

/// Returns the moment at which a clock skips the time.
fn end_of_gap(zone: &TimeZone, time: DateTime) -> Option<Timestamp> {
    // With the offset from after the gap, the time is before the gap.
    let before = zone.to_ambiguous_timestamp(time).earlier().ok()?;
    zone.following(before).next().map(|transition| transition.timestamp())
}

/// Reads days such as `Mon-Wed,Fri`, and returns the part that is wrong.
fn read_days(text: &str) -> Result<[bool; 7], String> {
    if text.eq_ignore_ascii_case("daily") {
        return Ok([true; 7]);
    }
    let day = |text: &str| {
        DAYS.iter().position(|day| day.eq_ignore_ascii_case(text)).ok_or_else(|| text.to_owned())
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let count = (last + 7 - first) % 7 + 1;
        for index in (first..).take(count) {
            if let Some(day) = days.get_mut(index % 7) {
                *day = true;
            }
        }
    }
    Ok(days)
}

/// Reads a time from `00:00` to `24:00` as a minute of the day.
fn read_time(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let two_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| two_digits)
    };
    let (hour, minute) = (number(hour)?, number(minute).filter(|minute| *minute < 60)?);
    Some(hour * 60 + minute).filter(|minute| *minute <= DAY_MINUTES)
}

/// Finds a zone in the data that is compiled in, and returns what is expected if it is not there.
fn read_zone(name: &str) -> Result<TimeZone, String> {
    let zones = TimeZoneDatabase::bundled();
    if let Some(zone) = zones.get(name).ok().filter(|zone| !zone.is_unknown()) {
        return Ok(zone);
    }
    let city = name.rsplit('/').next().unwrap_or(name).replace(' ', "_");
    let similar = zones
        .available()
        .map(|zone| zone.as_str().to_owned())
        .find(|zone| zone.rsplit_once('/').is_some_and(|(_, known)| known.eq_ignore_ascii_case(&city)));
    Err(match similar {
        Some(zone) => format!("`{zone}`, or another of IANA's names,"),
        None => "one of IANA's names, such as `Europe/Berlin`, `America/New_York` or `UTC`,".to_owned(),
    })
}
