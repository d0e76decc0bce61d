//! Asks ECS which task this is, then polls for its boot item.

mod identity;
mod wait;

use std::io::Write;

use ecsrunner_aws::boot::{BootTable, Http, Taken};

use crate::config::BootConfig;
use crate::ending::Ending;
use crate::log::Log;
use crate::signals::Signals;
use wait::{Next, Wait};

/// Polls until the item is taken, a limit has passed or a signal arrives.
pub(crate) fn take(
    config: &BootConfig,
    signals: &Signals,
    log: &mut Log<impl Write>,
) -> Result<Taken, Ending> {
    let http = Http::new(config.ca_bundle.as_deref()).map_err(|error| Ending::failed(&error))?;
    let mut wait = Wait::new(config);
    let (mut known, credentials) = identity::know(config, &http, &mut wait, signals, log)?;
    let mut table =
        BootTable::new(http.clone(), &config.endpoint, &config.region, &config.table, credentials);
    if let Some(limit) = config.warm_limit {
        log.info("waiting for a job", &[("limit_secs", &limit.as_secs())]);
    }
    wait.begin();
    loop {
        let mut next = Next::Ask;
        match table.take(&known.owner, wait.request_limit()) {
            Ok(Some(taken)) => {
                let (elapsed_ms, requests) = (wait.elapsed_ms(), wait.requests);
                let runner = &taken.item.runner;
                log.info(
                    "boot item taken",
                    &[("runner", runner), ("elapsed_ms", &elapsed_ms), ("requests", &requests)],
                );
                return Ok(taken);
            }
            Ok(None) => wait.answered(),
            Err(error) => next = wait.note(error, log)?,
        }
        wait.tell_skew(&table, log);
        if signals.stops_within(wait.delay()) {
            return Err(Ending::interrupted());
        }
        wait.check_limits()?;
        known.renew(&mut table, next == Next::Renew, &http, log);
    }
}
