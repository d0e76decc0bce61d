//! How long the agent waits, and when it asks again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::time::{Duration, Instant};

use ecsrunner_aws::boot::{BootTable, Disposition, TakeError, TaskError};
use ecsrunner_core::text::chain;

use crate::config::{BootConfig, Identity};
use crate::ending::Ending;
use crate::log::Log;
use crate::signals::Signals;

const FIRST_DELAY: Duration = Duration::from_millis(15);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long to poll after a request without an answer. If the item was not taken
/// by that request, it appears within this time.
const AMBIGUOUS_LIMIT: Duration = Duration::from_secs(10);
/// The shortest time between two log lines about the table. A warm task sees many faults pass.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Wait {
    started: Instant,
    /// The limit of the table's first answer, and of the item if the task is not warm.
    limit: Duration,
    warm_limit: Option<Duration>,
    pub(super) requests: u32,
    asked: Instant,
    /// Whether new credentials can be fetched.
    can_renew: bool,
    /// Whether the table has answered at least once that there is no item.
    answered: bool,
    last_fault: Option<TakeError>,
    fault_told: Option<Instant>,
    /// Since when the table has refused each request for expired credentials.
    expired: Option<Instant>,
    ambiguous: Option<(Instant, TakeError)>,
    /// Whether the wrong clock was logged.
    skew_told: bool,
}

/// What to do before the next request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Ask,
    /// Fetch new credentials, since the table has refused these as expired.
    Renew,
}

impl Wait {
    pub(super) fn new(config: &BootConfig) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            limit: config.limit,
            warm_limit: config.warm_limit,
            requests: 0,
            asked: now,
            can_renew: matches!(config.identity, Identity::OfTask { .. }),
            answered: false,
            last_fault: None,
            fault_told: None,
            expired: None,
            ambiguous: None,
            skew_told: false,
        }
    }

    /// Starts the delays over for another question.
    pub(super) fn begin(&mut self) {
        self.requests = 0;
    }

    /// Asks until there is an answer, a permanent error or the limit is reached.
    pub(super) fn ask<T>(
        &mut self,
        signals: &Signals,
        log: &mut Log<impl Write>,
        question: impl Fn(Duration) -> Result<T, TaskError>,
    ) -> Result<T, Ending> {
        self.begin();
        loop {
            let error = match question(self.request_limit()) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !error.passes() || self.is_over(self.limit) {
                return Err(Ending::task_unknown(&error));
            }
            if self.requests == 1 {
                log.info("ECS not ready", &[("reason", &chain(&error))]);
            }
            if signals.stops_within(self.delay()) {
                return Err(Ending::interrupted());
            }
        }
    }

    pub(super) fn elapsed_ms(&self) -> u128 {
        self.started.elapsed().as_millis()
    }

    fn is_over(&self, limit: Duration) -> bool {
        self.started.elapsed() >= limit
    }

    fn left(&self) -> Duration {
        let limit = if self.answered { self.warm_limit.unwrap_or(self.limit) } else { self.limit };
        limit.saturating_sub(self.started.elapsed())
    }

    pub(super) fn request_limit(&mut self) -> Duration {
        self.requests = self.requests.saturating_add(1);
        self.asked = Instant::now();
        self.left().clamp(Duration::from_millis(100), REQUEST_LIMIT)
    }

    /// Doubles with each request. Up to half of it is random, so that the tasks of
    /// a burst do not send their requests at the same time. A warm task then asks once a second, counted from the start
    /// of its last request, so a table that holds a request back is asked again at once.
    pub(super) fn delay(&self) -> Duration {
        let doubled = FIRST_DELAY.saturating_mul(1 << (self.requests - 1).min(16)).min(LONGEST_DELAY);
        // The hasher's keys are random enough for this and need no dependency.
        let random = (RandomState::new().build_hasher().finish() % 1024) as f64 / 1024.0;
        let delay = if self.warm_limit.is_some() && doubled == LONGEST_DELAY {
            let period = LONGEST_DELAY.mul_f64(0.95 + random / 20.0);
            period.saturating_sub(self.asked.elapsed()).max(FIRST_DELAY)
        } else {
            doubled / 2 + doubled.mul_f64(random / 2.0)
        };
        delay.min(self.left())
    }

    /// Remembers that there is no item yet.
    pub(super) fn answered(&mut self) {
        self.answered = true;
        self.expired = None;
    }

    /// Remembers a transient fault; a permanent one is the agent's ending.
    pub(super) fn note(&mut self, error: TakeError, log: &mut Log<impl Write>) -> Result<Next, Ending> {
        let mut next = Next::Ask;
        match error.disposition() {
            Disposition::Permanent => return Err(Ending::not_taken(&error)),
            Disposition::PollAgain => {
                self.tell_fault(&error, log);
                self.last_fault = Some(error);
            }
            Disposition::Renew => {
                let since = *self.expired.get_or_insert_with(Instant::now);
                if !self.can_renew || since.elapsed() >= self.limit {
                    return Err(Ending::not_taken(&error));
                }
                self.tell_fault(&error, log);
                self.last_fault = Some(error);
                next = Next::Renew;
            }
            Disposition::Ambiguous if self.ambiguous.is_none() => {
                log.warn("boot request unanswered", &[("reason", &chain(&error))]);
                self.ambiguous = Some((Instant::now(), error));
            }
            Disposition::Ambiguous => {}
        }
        Ok(next)
    }

    fn tell_fault(&mut self, error: &TakeError, log: &mut Log<impl Write>) {
        if self.fault_told.is_none_or(|told| told.elapsed() >= LOG_INTERVAL) {
            self.fault_told = Some(Instant::now());
            log.info("boot table not ready", &[("reason", &chain(error))]);
        }
    }

    pub(super) fn tell_skew(&mut self, table: &BootTable, log: &mut Log<impl Write>) {
        let skew_secs = table.skew().as_secs();
        if skew_secs != 0 && !self.skew_told {
            self.skew_told = true;
            log.warn("this machine's clock is wrong: AWS's time is used", &[("behind_secs", &skew_secs)]);
        }
    }

    pub(super) fn check_limits(&self) -> Result<(), Ending> {
        let over = self.left().is_zero();
        match (&self.ambiguous, &self.last_fault) {
            (Some((since, error)), _) if over || since.elapsed() >= AMBIGUOUS_LIMIT => {
                Err(Ending::boot_ambiguous(error))
            }
            (None, Some(error)) if over && !self.answered => Err(Ending::boot_failed(error)),
            (None, _) if over && self.warm_limit.is_some() => Err(Ending::not_needed()),
            (None, _) if over => Err(Ending::no_boot_item()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ecsrunner_aws::boot::Credentials;

    use super::*;

    fn wait(warm_limit: Option<u64>) -> Wait {
        let credentials = Credentials {
            access_key_id: String::new(),
            secret_access_key: String::new().into(),
            session_token: None,
            expires_at: None,
        };
        let mut wait = Wait::new(&BootConfig {
            table: String::new(),
            identity: Identity::Told { owner: String::new(), credentials },
            endpoint: String::new(),
            region: String::new(),
            ca_bundle: None,
            limit: Duration::from_secs(300),
            warm_limit: warm_limit.map(Duration::from_secs),
        });
        wait.answered();
        wait
    }

    /// The shortest and the longest of many delays after so many requests, in milliseconds. The last request has taken
    /// this time.
    fn delays(wait: &mut Wait, requests: u32, took: Duration) -> (u128, u128) {
        wait.requests = requests;
        let delays = (0..500).map(|_| {
            wait.asked = Instant::now().checked_sub(took).unwrap();
            wait.delay().as_millis()
        });
        let delays: Vec<u128> = delays.collect();
        (*delays.iter().min().unwrap(), *delays.iter().max().unwrap())
    }

    #[test]
    fn a_warm_task_asks_once_a_second_after_the_first_requests() {
        let within = |(shortest, longest): (u128, u128), least: u128, most: u128| {
            assert!(least <= shortest && longest <= most, "{shortest} to {longest}: {least} to {most}");
        };
        let none = Duration::ZERO;
        let (mut warm, mut cold) = (wait(Some(3600)), wait(None));
        for wait in [&mut warm, &mut cold] {
            within(delays(wait, 1, none), 7, 15);
            within(delays(wait, 4, none), 60, 120);
        }
        // On average, an item waits for less than half a second.
        within(delays(&mut warm, 8, none), 900, 1000);
        within(delays(&mut warm, 40_000, Duration::from_millis(300)), 600, 700);
        within(delays(&mut warm, 40_000, Duration::from_secs(3)), 15, 15);
        within(delays(&mut cold, 8, none), 500, 1000);
    }

    #[test]
    fn no_delay_is_longer_than_the_time_that_is_left() {
        let mut warm = wait(Some(3600));
        warm.started = Instant::now().checked_sub(Duration::from_millis(3_599_800)).unwrap();
        assert!(delays(&mut warm, 8, Duration::ZERO).1 <= 200);
    }
}
