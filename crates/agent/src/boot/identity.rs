//! The key of the boot item, and credentials that are fetched again before they expire.

use std::io::Write;
use std::time::{Duration, Instant};

use ecsrunner_aws::boot::{BootTable, Credentials, Http, TaskEndpoints};
use ecsrunner_core::text::chain;
use jiff::SignedDuration;

use super::wait::Wait;
use crate::config::{BootConfig, Identity};
use crate::ending::Ending;
use crate::log::Log;
use crate::signals::Signals;

/// Credentials that are valid for less time than this are fetched again. ECS has new ones by then.
const RENEWAL: SignedDuration = SignedDuration::from_mins(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Who the agent is for the boot table.
pub(super) struct Known<'a> {
    pub(super) owner: String,
    /// Set if the credentials are a task role's: where to fetch them again, and when they were last asked for.
    renewal: Option<(&'a TaskEndpoints, Instant)>,
}

/// Gets the boot item's key, and credentials: from the environment, or from ECS.
pub(super) fn know<'a>(
    config: &'a BootConfig,
    http: &Http,
    wait: &mut Wait,
    signals: &Signals,
    log: &mut Log<impl Write>,
) -> Result<(Known<'a>, Credentials), Ending> {
    let (role, endpoints) = match &config.identity {
        Identity::Told { owner, credentials } => {
            return Ok((Known { owner: owner.clone(), renewal: None }, credentials.clone()));
        }
        Identity::OfTask { role, endpoints } => (role, endpoints),
    };
    let task = wait.ask(signals, log, |limit| endpoints.task(http, limit))?;
    let credentials = wait.ask(signals, log, |limit| endpoints.credentials(http, limit))?;
    log.info("task known", &[("task", &task), ("elapsed_ms", &wait.elapsed_ms())]);
    let known = Known { owner: format!("{role}:{task}"), renewal: Some((endpoints, Instant::now())) };
    Ok((known, credentials))
}

impl Known<'_> {
    /// Fetches the credentials again if they expire soon, or if the table has refused them as expired. An answer that
    /// fails, or that has no newer credentials, changes nothing: the old ones are used as long as the table takes them.
    pub(super) fn renew(
        &mut self,
        table: &mut BootTable,
        is_refused: bool,
        http: &Http,
        log: &mut Log<impl Write>,
    ) {
        let Some((endpoints, asked)) = &mut self.renewal else { return };
        if !is_refused && !is_due(table.valid_for(), asked.elapsed()) {
            return;
        }
        *asked = Instant::now();
        match endpoints.credentials(http, REQUEST_LIMIT) {
            Ok(credentials) => table.renew(credentials),
            Err(error) => log.warn("credentials not renewed", &[("reason", &chain(&error))]),
        }
    }
}

/// Whether to ask for new credentials: soon before the old ones expire, and again each time that half of the remaining
/// time has passed.
fn is_due(valid_for: Option<SignedDuration>, since_asked: Duration) -> bool {
    valid_for.is_some_and(|left| {
        let waited = SignedDuration::try_from(since_asked).unwrap_or(SignedDuration::MAX);
        left <= RENEWAL && waited >= left
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_fetched_again_before_they_expire_and_not_much_earlier() {
        let due = |left: i64, waited: u64| {
            is_due(Some(SignedDuration::from_secs(left)), Duration::from_secs(waited))
        };
        let hours = 6 * 3600;
        assert!(!due(hours, 0) && !due(301, 6 * 3600 - 301) && due(300, 6 * 3600 - 300));
        // The endpoint still had the old ones: it is asked again at half of the time that is left.
        assert!(!due(299, 1) && due(150, 150) && !due(149, 1) && due(75, 75));
        // Of two seconds, at the first.
        assert!(!due(2, 0) && due(1, 1) && due(0, 0) && due(-9, 0));
        assert!(!is_due(None, Duration::MAX));
    }
}
