//! How many tasks of a class wait for a job, and when.

use std::slice;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::rules::schedule::{Schedule, ScheduleError};

/// The key `warm` of a class as it is written, unchecked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmEntry {
    /// How many tasks wait for a job.
    pub count: u32,
    /// Windows such as `Mon-Fri 08:00-19:00 Europe/Berlin`; default: always.
    #[serde(default)]
    pub schedule: Vec<String>,
    /// Hours after which a waiting task is replaced; default [`Warm::DEFAULT_AGE_HOURS`].
    #[serde(default)]
    pub max_age_hours: Option<u32>,
}

/// The warm tasks of a class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warm {
    /// How many tasks wait for a job while the schedule is active.
    pub count: u32,
    pub schedule: Schedule,
    /// The age at which a waiting task is replaced.
    pub max_age: SignedDuration,
}

/// A mistake in a class's key `warm`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WarmError {
    #[error("warm.count is 0: at least 1 is expected, or a class without `warm`")]
    NoTask,
    /// More than the class may have at all.
    #[error("warm.count is {count}: at most max_runners is expected, which is {max_runners}")]
    AboveMaxRunners { count: u32, max_runners: u32 },
    #[error("warm.max_age_hours is {0}: 1 to {max} is expected", max = Warm::MAX_AGE_HOURS)]
    Age(u32),
    #[error("warm.schedule: {0}")]
    Schedule(#[from] ScheduleError),
}

impl Warm {
    pub const DEFAULT_AGE_HOURS: u32 = 12;

    /// A week.
    pub const MAX_AGE_HOURS: u32 = 168;

    /// Checks the key `warm` of a class with this `max_runners`.
    ///
    /// # Errors
    ///
    /// Lists every mistake.
    pub fn read(entry: &WarmEntry, max_runners: Option<u32>) -> Result<Self, Vec<WarmError>> {
        let mut errors = Vec::new();
        let count = entry.count;
        if count == 0 {
            errors.push(WarmError::NoTask);
        }
        if let Some(max_runners) = max_runners.filter(|max_runners| count > *max_runners) {
            errors.push(WarmError::AboveMaxRunners { count, max_runners });
        }
        let hours = entry.max_age_hours.unwrap_or(Self::DEFAULT_AGE_HOURS);
        if !(1..=Self::MAX_AGE_HOURS).contains(&hours) {
            errors.push(WarmError::Age(hours));
        }
        let schedule = Schedule::parse(&entry.schedule);
        if let Err(error @ ScheduleError::TooMany(_)) = &schedule {
            errors.push(error.clone().into());
        }
        // Each window alone, so that every mistake is reported.
        let windows = entry.schedule.iter().map(|window| Schedule::parse(slice::from_ref(window)));
        errors.extend(windows.filter_map(Result::err).map(WarmError::Schedule));
        match schedule {
            Ok(schedule) if errors.is_empty() => {
                Ok(Self { count, schedule, max_age: SignedDuration::from_hours(hours.into()) })
            }
            _ => Err(errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, max_runners: Option<u32>) -> Result<Warm, Vec<String>> {
        let entry: WarmEntry = serde_json::from_str(json).unwrap();
        Warm::read(&entry, max_runners)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_count_alone_keeps_tasks_at_all_times_for_half_a_day() {
        let warm = read(r#"{"count": 2}"#, None).unwrap();
        assert_eq!((warm.count, warm.max_age), (2, SignedDuration::from_hours(12)));
        assert!(warm.schedule.is_active("2026-12-05T03:00:00Z".parse().unwrap()));
        assert_eq!(warm.schedule.next_change("2026-12-05T03:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let told = read(
            r#"{"count": 0, "max_age_hours": 0, "schedule": ["Mon 8-9 UTC", "Mon 08:00-09:00 UTC", "Mon"]}"#,
            None,
        )
        .unwrap_err();
        assert_eq!(told.len(), 4, "{told:#?}");
        assert_eq!(told[0], "warm.count is 0: at least 1 is expected, or a class without `warm`");
        assert_eq!(told[1], "warm.max_age_hours is 0: 1 to 168 is expected");
        assert!(told[2].starts_with("warm.schedule: window `Mon 8-9 UTC`: `8` is not a time"), "{}", told[2]);
        assert!(told[3].starts_with("warm.schedule: `Mon` is not a window"), "{}", told[3]);
        let many = format!(r#"{{"count": 1, "schedule": {:?}}}"#, vec!["daily 08:00-09:00 UTC"; 21]);
        assert_eq!(
            read(&many, None).unwrap_err(),
            ["warm.schedule: it has 21 windows, at most 20 are possible"]
        );
    }

    #[test]
    fn limits_themselves_are_allowed() {
        assert_eq!(read(r#"{"count": 3, "max_age_hours": 168}"#, Some(3)).unwrap().count, 3);
        assert_eq!(read(r#"{"count": 3, "max_age_hours": 1}"#, Some(3)).unwrap().count, 3);
        let told = read(r#"{"count": 4, "max_age_hours": 169}"#, Some(3)).unwrap_err();
        assert_eq!(
            told,
            [
                "warm.count is 4: at most max_runners is expected, which is 3",
                "warm.max_age_hours is 169: 1 to 168 is expected"
            ]
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let told = serde_json::from_str::<WarmEntry>(r#"{"count": 1, "hours": 2}"#).unwrap_err();
        assert!(told.to_string().starts_with("unknown field `hours`"), "{told}");
    }
}
