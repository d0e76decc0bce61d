//! Stopping the listener: INT to the listener alone, then KILL to its whole
//! process tree when the grace period is over.
//!
//! INT is never sent to the listener's group. It would end the running step, and
//! the job's next `always()` step, or the first action's `pre:` step, would
//! start before the worker is told to shut down (seen with the official runner
//! 2.336). GitHub shows a job that ends this way as failed, although the
//! listener's line says `Canceled`.

use std::time::{Duration, Instant};

use crate::ending::Cause;
use crate::hook;
use crate::phase::Phase;

/// The time from INT to KILL, if the container's stopTimeout allows it. A step
/// that ignores signals takes 13.6 s to end (seen with the official runner
/// 2.336), so a job needs at least 20 s to end.
const LONGEST_GRACE: Duration = Duration::from_secs(60);
/// The part of stopTimeout that is reserved for the agent itself.
const STOP_RESERVE: Duration = Duration::from_secs(5);
/// How long a killed listener may take to end.
const KILL_LIMIT: Duration = Duration::from_secs(10);

// A worker that is handling a cancellation at GitHub ignores a shutdown. If the
// refusing hook ended by itself, the job's `always()` steps would run. So the
// whole process tree must be killed before that.
const _: () = assert!(LONGEST_GRACE.as_secs() + KILL_LIMIT.as_secs() < hook::BLOCK_LIMIT.as_secs());

/// The state of a listener that is being stopped.
pub(crate) struct Stop {
    pub(crate) cause: Cause,
    /// The listener's phase when the stop was decided.
    pub(crate) then: Phase,
    step: Step,
}

enum Step {
    /// INT was sent.
    Interrupted { kill_at: Instant },
    /// KILL was sent.
    Killed { give_up_at: Instant },
}

impl Stop {
    /// Starts with INT, which was sent just now. `stop_timeout` is the container's.
    pub(crate) fn interrupted(cause: Cause, then: Phase, stop_timeout: Duration) -> Self {
        let kill_at = Instant::now() + grace(&cause, stop_timeout);
        Self { cause, then, step: Step::Interrupted { kill_at } }
    }

    /// Applies another cause's grace period if it ends earlier.
    pub(crate) fn hasten(&mut self, cause: &Cause, stop_timeout: Duration) {
        if let Step::Interrupted { kill_at } = &mut self.step {
            *kill_at = (*kill_at).min(Instant::now() + grace(cause, stop_timeout));
        }
    }

    /// Records that the hook refused the job while the listener was being stopped.
    /// The refusal becomes the cause, unless the cause is the job limit.
    pub(crate) fn refused(&mut self, refusal: String, stop_timeout: Duration) {
        let cause = Cause::Refused(refusal);
        self.hasten(&cause, stop_timeout);
        if !matches!(self.cause, Cause::JobLimit | Cause::Refused(_)) {
            self.cause = cause;
        }
    }

    /// Records that KILL was sent just now.
    pub(crate) fn killed(&mut self) {
        self.step = Step::Killed { give_up_at: Instant::now() + KILL_LIMIT };
    }

    /// When the next step is due.
    pub(crate) fn deadline(&self) -> Instant {
        match self.step {
            Step::Interrupted { kill_at } => kill_at,
            Step::Killed { give_up_at } => give_up_at,
        }
    }

    /// Whether KILL was sent.
    pub(crate) fn is_killed(&self) -> bool {
        matches!(self.step, Step::Killed { .. })
    }
}

/// The time from INT to KILL.
fn grace(cause: &Cause, stop_timeout: Duration) -> Duration {
    let left = stop_timeout.saturating_sub(STOP_RESERVE);
    if *cause == Cause::Signal { left } else { left.min(LONGEST_GRACE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: Duration = Duration::from_secs(600);

    #[test]
    fn the_grace_of_a_signal_is_the_containers_and_that_of_every_other_cause_at_most_a_minute() {
        assert_eq!(grace(&Cause::Signal, MINUTES), Duration::from_secs(595));
        assert_eq!(grace(&Cause::JobLimit, MINUTES), LONGEST_GRACE);
        assert_eq!(grace(&Cause::JobLimit, Duration::from_secs(25)), Duration::from_secs(20));
    }

    #[test]
    fn a_refusal_after_a_signal_still_comes_to_kill_before_the_hook_ends() {
        let mut stop = Stop::interrupted(Cause::Signal, Phase::Starting, MINUTES);
        stop.refused("no".into(), MINUTES);
        assert!(stop.deadline() <= Instant::now() + LONGEST_GRACE);
        assert_eq!(stop.cause, Cause::Refused("no".into()));
        let mut stop = Stop::interrupted(Cause::JobLimit, Phase::Starting, MINUTES);
        stop.refused("no".into(), MINUTES);
        assert_eq!(stop.cause, Cause::JobLimit, "the limit came first");
    }

    #[test]
    fn another_cause_never_puts_off_the_kill() {
        let mut stop = Stop::interrupted(Cause::JobLimit, Phase::Starting, Duration::from_secs(6));
        let before = stop.deadline();
        stop.hasten(&Cause::Signal, MINUTES);
        assert_eq!(stop.deadline(), before);
    }
}
