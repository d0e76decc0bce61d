//! A time in the past, as a span before now or an RFC 3339 time.

use std::str::FromStr;

use jiff::{Span, SpanRelativeTo, Timestamp};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Since {
    Before(jiff::SignedDuration),
    At(Timestamp),
}

impl Since {
    /// Returns the absolute time.
    pub(crate) fn time(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Before(span) => now.checked_sub(span).unwrap_or(Timestamp::UNIX_EPOCH),
            Self::At(at) => at,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let span = text.parse::<Span>().ok();
        let span = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        match span.filter(|span| span.is_positive()) {
            Some(span) => Ok(Self::Before(span)),
            None => {
                Err("expected a span such as 90m, 2h or 30d, or a time such as 2026-09-01T00:00:00Z"
                    .to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_are_read_and_nothing_else() {
        let now: Timestamp = "2026-09-30T12:00:00Z".parse().unwrap();
        let time = |text: &str| text.parse::<Since>().map(|since| since.time(now).to_string());
        assert_eq!(time("90m").unwrap(), "2026-09-30T10:30:00Z");
        assert_eq!(time("2d").unwrap(), "2026-09-28T12:00:00Z");
        assert_eq!(time("2026-09-01T00:00:00Z").unwrap(), "2026-09-01T00:00:00Z");
        for wrong in ["", "yesterday", "-2h", "0s", "30", "1mo"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
