//! Asks ECS which task this is, then polls for its boot item.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::time::{Duration, Instant};

use ecsrunner_aws::boot::{
    BootTable, Credentials, Disposition, Http, TakeError, Taken, TaskEndpoints, TaskError,
};

use crate::config::{BootConfig, Identity};
use crate::ending::Ending;
use crate::log::{Log, chain};
use crate::signals::Signals;

const FIRST_DELAY: Duration = Duration::from_millis(15);
const LONGEST_DELAY: Duration = Duration::from_secs(1);
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long to poll after a request without an answer. If the item was not taken
/// by that request, it appears within this time.
const AMBIGUOUS_LIMIT: Duration = Duration::from_secs(10);

/// Polls until the item is taken, a limit has passed or a signal arrives.
pub(crate) fn take(
    config: &BootConfig,
    signals: &Signals,
    log: &mut Log<impl Write>,
) -> Result<Taken, Ending> {
    let http = Http::new(config.ca_bundle.as_deref()).map_err(|error| Ending::failed(&error))?;
    let mut wait = Wait::new(config.limit);
    let (owner, credentials) = match &config.identity {
        Identity::Told { owner, credentials } => (owner.clone(), credentials.clone()),
        Identity::OfTask { role, endpoints } => ask_ecs(role, endpoints, &http, &mut wait, signals, log)?,
    };
    let table = BootTable::new(http, &config.endpoint, &config.region, &config.table, credentials);
    wait.begin();
    loop {
        match table.take(&owner, wait.request_limit()) {
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
        wait.tell_skew(&table, log);
        if signals.stops_within(wait.delay()) {
            return Err(Ending::interrupted());
        }
        wait.check_limits()?;
    }
}

/// Gets the boot item's key and the task role's credentials from ECS.
fn ask_ecs(
    role: &str,
    endpoints: &TaskEndpoints,
    http: &Http,
    wait: &mut Wait,
    signals: &Signals,
    log: &mut Log<impl Write>,
) -> Result<(String, Credentials), Ending> {
    let task = wait.ask(signals, log, |limit| endpoints.task(http, limit))?;
    let credentials = wait.ask(signals, log, |limit| endpoints.credentials(http, limit))?;
    log.info("task known", &[("task", &task), ("elapsed_ms", &wait.elapsed_ms())]);
    Ok((format!("{role}:{task}"), credentials))
}

struct Wait {
    started: Instant,
    limit: Duration,
    requests: u32,
    /// Whether the table has answered at least once that there is no item.
    answered: bool,
    last_fault: Option<TakeError>,
    ambiguous: Option<(Instant, TakeError)>,
    /// Whether the wrong clock was logged.
    skew_told: bool,
}

impl Wait {
    fn new(limit: Duration) -> Self {
        Self {
            started: Instant::now(),
            limit,
            requests: 0,
            answered: false,
            last_fault: None,
            ambiguous: None,
            skew_told: false,
        }
    }

    /// Starts the delays over for another question.
    fn begin(&mut self) {
        self.requests = 0;
    }

    /// Asks until there is an answer, a permanent error or the limit is reached.
    fn ask<T>(
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
            if !error.passes() || self.is_over() {
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

    fn elapsed_ms(&self) -> u128 {
        self.started.elapsed().as_millis()
    }

    fn is_over(&self) -> bool {
        self.started.elapsed() >= self.limit
    }

    fn request_limit(&mut self) -> Duration {
        self.requests += 1;
        let left = self.limit.saturating_sub(self.started.elapsed());
        left.clamp(Duration::from_millis(100), REQUEST_LIMIT)
    }

    /// Doubles with each request. Up to half of it is random, so that the tasks of
    /// a burst do not send their requests at the same time.
    fn delay(&self) -> Duration {
        let doubled = FIRST_DELAY.saturating_mul(1 << (self.requests - 1).min(16)).min(LONGEST_DELAY);
        // The hasher's keys are random enough for this and need no dependency.
        let random = RandomState::new().build_hasher().finish() % 1024;
        let left = self.limit.saturating_sub(self.started.elapsed());
        (doubled / 2 + doubled.mul_f64(random as f64 / 2048.0)).min(left)
    }

    /// Remembers a transient fault; a permanent one is the agent's ending.
    fn note(&mut self, error: TakeError, log: &mut Log<impl Write>) -> Result<(), Ending> {
        match error.disposition() {
            Disposition::Permanent => return Err(Ending::not_taken(&error)),
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

    fn tell_skew(&mut self, table: &BootTable, log: &mut Log<impl Write>) {
        let skew_secs = table.skew().as_secs();
        if skew_secs != 0 && !self.skew_told {
            self.skew_told = true;
            log.warn("this machine's clock is wrong: AWS's time is used", &[("behind_secs", &skew_secs)]);
        }
    }

    fn check_limits(&self) -> Result<(), Ending> {
        let over = self.is_over();
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
