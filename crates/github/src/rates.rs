//! Reads GitHub's primary and secondary rate limits from its replies.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The wait if GitHub gives no time, by its best practices.
const UNTOLD: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_secs(1);
/// GitHub's primary limits last an hour. A longer wait comes from a wrong clock.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Returns how long a reply asks to wait, if it reports a rate limit.
///
/// A 403 reports a rate limit only if a header or the message says so.
pub(crate) fn wait(status: u16, headers: &HeaderMap, message: &str, now: Timestamp) -> Option<Duration> {
    if !matches!(status, 403 | 429) {
        return None;
    }
    let after = if headers.contains_key(RETRY_AFTER) {
        number(headers, RETRY_AFTER.as_str()).map_or(UNTOLD, Duration::from_secs)
    } else if remaining(headers) == Some(0) {
        until_reset(headers, now).unwrap_or(UNTOLD)
    } else if status == 429 || message.to_ascii_lowercase().contains("rate limit") {
        UNTOLD
    } else {
        return None;
    };
    Some(after.clamp(SHORTEST, LONGEST))
}

/// Returns `x-ratelimit-remaining`. A GHES without rate limits sends none.
pub(crate) fn remaining(headers: &HeaderMap) -> Option<u64> {
    number(headers, "x-ratelimit-remaining")
}

/// Uses GitHub's own clock if the reply has a `date` header.
fn until_reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let reset = i64::try_from(number(headers, "x-ratelimit-reset")?).ok()?;
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let now = date.and_then(|date| rfc2822::parse(date).ok()).map_or(now, |date| date.timestamp());
    let secs = reset.saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(secs).unwrap_or(0)))
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, headers: &[(&'static str, &str)], message: &str) -> Option<u64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let now = Timestamp::from_second(1_000).unwrap();
        wait(status, &map, message, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_kept_before_anything_else() {
        let headers = [("retry-after", "7"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2000")];
        assert_eq!(told(403, &headers, ""), Some(7));
        assert_eq!(told(429, &headers, ""), Some(7));
    }

    #[test]
    fn a_spent_limit_is_waited_for_until_its_reset() {
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1090")];
        assert_eq!(told(403, &spent, ""), Some(90));
    }

    #[test]
    fn a_reset_is_reckoned_from_githubs_clock() {
        let spent = [
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "3690"),
            ("date", "Thu, 01 Jan 1970 01:00:00 GMT"),
        ];
        assert_eq!(told(403, &spent, ""), Some(90));
    }

    #[test]
    fn a_limit_without_a_time_is_waited_for_a_minute() {
        assert_eq!(told(429, &[], ""), Some(60));
        assert_eq!(told(403, &[], "You have exceeded a secondary rate limit."), Some(60));
        assert_eq!(told(403, &[("x-ratelimit-remaining", "0")], ""), Some(60));
        assert_eq!(told(403, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], ""), Some(60));
    }

    #[test]
    fn no_wait_is_shorter_than_a_second_or_longer_than_an_hour() {
        assert_eq!(told(429, &[("retry-after", "0")], ""), Some(1));
        assert_eq!(told(429, &[("retry-after", "999999")], ""), Some(3600));
        let past = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")];
        assert_eq!(told(403, &past, ""), Some(1));
    }

    #[test]
    fn a_missing_permission_and_githubs_own_faults_are_no_rate_limit() {
        assert_eq!(told(403, &[("x-ratelimit-remaining", "12")], "Resource not accessible"), None);
        assert_eq!(told(404, &[("retry-after", "5")], ""), None);
        assert_eq!(told(503, &[("retry-after", "5")], ""), None);
    }
}
