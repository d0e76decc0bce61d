//! Weekly schedules: windows of wall-clock time in a time zone.
//!
//! The zone data is compiled in. Nothing here reads the machine's zone data, its zone or its clock.

mod window;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use window::Window;
pub use window::WindowError;

/// The times at which something is wanted: any number of windows, which may overlap.
///
/// A window begins at the first moment at which the zone's clock shows its start or a later time. It ends after the last
/// moment at which the clock shows a time before its end. So a start or end that daylight saving time skips is the
/// moment of the change, and one that occurs twice is the first for a start and the second for an end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    windows: Vec<Window>,
    /// Whether it has no windows, or those of one zone leave no minute of a week out.
    always: bool,
}

/// A mistake in a schedule.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScheduleError {
    #[error(transparent)]
    Window(#[from] WindowError),
    #[error("it has {0} windows, at most {max} are possible", max = Schedule::MAX_WINDOWS)]
    TooMany(usize),
}

impl Schedule {
    /// The most windows of a schedule, so that asking it stays cheap.
    pub const MAX_WINDOWS: usize = 20;

    /// How far ahead the next change is looked for: a year and the longest window.
    const HORIZON: SignedDuration = SignedDuration::from_hours(24 * 370);

    /// Reads windows such as `Mon-Fri 08:00-19:00 Europe/Berlin`. Without windows, the schedule is always active.
    ///
    /// # Errors
    ///
    /// Returns the first mistake.
    pub fn parse(windows: &[String]) -> Result<Self, ScheduleError> {
        if windows.len() > Self::MAX_WINDOWS {
            return Err(ScheduleError::TooMany(windows.len()));
        }
        let windows =
            windows.iter().map(|text| Window::parse(text)).collect::<Result<Vec<_>, WindowError>>()?;
        let always = windows.is_empty() || windows.iter().any(|window| fills_a_week(&windows, window.zone()));
        Ok(Self { windows, always })
    }

    /// Returns the windows as they were written.
    pub fn windows(&self) -> impl Iterator<Item = &str> {
        self.windows.iter().map(Window::text)
    }

    /// Whether the moment is in one of the windows.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.always || self.end_of_windows_at(now).is_some()
    }

    /// Returns the next moment after `now` at which [`Self::is_active`] changes, or `None` if it does not change within
    /// a year.
    #[must_use]
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        if self.always {
            return None;
        }
        let Some(mut end) = self.end_of_windows_at(now) else {
            return self.next_start(now);
        };
        let horizon = now.checked_add(Self::HORIZON).ok()?;
        // Each step passes the end of a window, so there are at most a few for each day.
        while let Some(later) = self.end_of_windows_at(end) {
            end = later;
            if end > horizon {
                return None;
            }
        }
        Some(end)
    }

    /// Returns the latest end of the windows that the moment is in.
    fn end_of_windows_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.windows.iter().filter_map(|window| window.end_at(now)).max()
    }

    /// Returns the first start of a window after the moment.
    fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        self.windows.iter().filter_map(|window| window.start_after(now)).min()
    }
}

/// Whether the windows of the zone have every minute of a week. The clock of a zone shows no other times, so there is no
/// moment outside the windows.
fn fills_a_week(windows: &[Window], zone: &TimeZone) -> bool {
    let mut minutes = vec![false; window::WEEK_MINUTES];
    for window in windows.iter().filter(|window| window.zone() == zone) {
        window.mark(&mut minutes);
    }
    minutes.into_iter().all(|minute| minute)
}

#[cfg(test)]
mod tests;
