//! Waiting for the boot item.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::time::{Duration, Instant};

use ecsrunner_aws::boot::{BootTable, Disposition, TakeError, Taken};

use crate::config::Config;
use crate::ending::Ending;
use crate::log::{Log, chain};
use crate::signals::Signals;

const FIRST_DELAY: Duration = Duration::from_millis(15);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// After a request without an answer: an item that was not there before it
/// would have shown up by then.
const AMBIGUOUS_LIMIT: Duration = Duration::from_secs(10);

/// Polls until the item is there, a limit has passed or a signal comes.
pub(crate) fn take(config: &Config, signals: &Signals, log: &mut Log<impl Write>) -> Result<Taken, Ending> {
    let boot = &config.boot;
    let table = BootTable::new(&boot.endpoint, &boot.region, &boot.table, boot.credentials.clone());
    let mut wait = Wait::new(config.limits.boot);
    loop {
        match table.take(&boot.owner, wait.request_limit()) {
            Ok(Some(taken)) => {
                let (elapsed_ms, requests) = (wait.elapsed_ms(), wait.requests);
                let runner = &taken.item.runner;
                log.info(
                    "boot item taken",
                    &[("runner", runner), ("elapsed_ms", &elapsed_ms), ("requests", &requests)],
                );
                return Ok(taken);
            }
            Ok(None) => wait.answered = true,
            Err(error) => wait.note(error, log)?,
        }
        if signals.stops_within(wait.delay()) {
            return Err(Ending::interrupted());
        }
        wait.check_limits()?;
    }
}

struct Wait {
    started: Instant,
    limit: Duration,
    requests: u32,
    /// Whether the table ever said that there is no item yet.
    answered: bool,
    last_fault: Option<TakeError>,
    ambiguous: Option<(Instant, TakeError)>,
}

impl Wait {
    fn new(limit: Duration) -> Self {
        let started = Instant::now();
        Self { started, limit, requests: 0, answered: false, last_fault: None, ambiguous: None }
    }

    fn elapsed_ms(&self) -> u128 {
        self.started.elapsed().as_millis()
    }

    fn request_limit(&mut self) -> Duration {
        self.requests += 1;
        let left = self.limit.saturating_sub(self.started.elapsed());
        left.clamp(Duration::from_millis(100), REQUEST_LIMIT)
    }

    /// Doubles with each request, and varies by half, so that a burst of tasks
    /// does not ask in step.
    fn delay(&self) -> Duration {
        let doubled = FIRST_DELAY.saturating_mul(1 << (self.requests - 1).min(16)).min(LONGEST_DELAY);
        // The hasher's keys are random: enough for this, and no dependency.
        let random = RandomState::new().build_hasher().finish() % 1024;
        let left = self.limit.saturating_sub(self.started.elapsed());
        (doubled / 2 + doubled.mul_f64(random as f64 / 2048.0)).min(left)
    }

    /// Remembers a fault that may pass; any other is the end.
    fn note(&mut self, error: TakeError, log: &mut Log<impl Write>) -> Result<(), Ending> {
        match error.disposition() {
            Disposition::Permanent => return Err(Ending::boot_failed(&error)),
            Disposition::PollAgain => {
                if self.last_fault.is_none() {
                    log.info("boot table not ready", &[("reason", &chain(&error))]);
                }
                self.last_fault = Some(error);
            }
            Disposition::Ambiguous if self.ambiguous.is_none() => {
                log.warn("boot request unanswered", &[("reason", &chain(&error))]);
                self.ambiguous = Some((Instant::now(), error));
            }
            Disposition::Ambiguous => {}
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Ending> {
        let over = self.started.elapsed() >= self.limit;
        match (&self.ambiguous, &self.last_fault) {
            (Some((since, error)), _) if over || since.elapsed() >= AMBIGUOUS_LIMIT => {
                Err(Ending::boot_ambiguous(error))
            }
            (None, Some(error)) if over && !self.answered => Err(Ending::boot_failed(error)),
            (None, _) if over => Err(Ending::no_boot_item()),
            _ => Ok(()),
        }
    }
}
