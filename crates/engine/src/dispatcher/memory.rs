//! What a dispatcher remembers between two rounds, and may forget at any time:
//! when to try again what failed, and where GitHub refuses registrations.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ecsrunner_core::id::{ClassName, RunnerName};
use ecsrunner_core::plan::{Broken, Budgets, Question};
use ecsrunner_core::pool::Scope;
use ecsrunner_core::reason::{Code, Reason};
use ecsrunner_core::record::Change;
use ecsrunner_core::runner::{EndingKind, RunnerState, Served};
use jiff::Timestamp;
use tracing::error;

/// An effect that is under way, or was.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum EffectKey {
    Runner(RunnerName),
    Question(Question),
    Probe(Scope),
}

#[derive(Default, Debug)]
pub(crate) struct Memory(Mutex<Remembered>);

#[derive(Default, Debug)]
struct Remembered {
    backoffs: HashMap<EffectKey, Backoff>,
    held: HashMap<Scope, Hold>,
    broken: HashMap<ClassName, Faults>,
    github_not_before: Option<Timestamp>,
}

#[derive(Debug)]
struct Backoff {
    failures: u32,
    not_before: Timestamp,
}

/// Faults of a class's runners in a row.
#[derive(Debug)]
struct Faults {
    in_a_row: u32,
    words: String,
    probe_at: Timestamp,
}

#[derive(Debug)]
struct Hold {
    words: String,
    probe_at: Timestamp,
}

/// The first wait after a failure; doubled with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// How long GitHub's refusal of a scope stands before it is asked again.
const PROBE_AFTER: Duration = Duration::from_secs(5 * 60);
/// Faults in a row after which a class gets one probe each [`PROBE_AFTER`].
const BREAKER_FAULTS: u32 = 5;
/// How long what is due again is remembered.
const REMEMBER: Duration = Duration::from_secs(10 * 60);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When an effect may be tried, if not now.
    pub(crate) fn not_before(&self, key: &EffectKey, now: Timestamp) -> Option<Timestamp> {
        let memory = self.lock();
        memory.backoffs.get(key).map(|backoff| backoff.not_before).filter(|at| *at > now)
    }

    /// An effect failed: the next try comes later, with `jitter` in 0..1.
    pub(crate) fn failed(
        &self,
        key: EffectKey,
        after: Option<Duration>,
        jitter: f64,
        now: Timestamp,
    ) -> Timestamp {
        let mut memory = self.lock();
        let failures = memory.backoffs.get(&key).map_or(0, |backoff| backoff.failures);
        let wait = after.unwrap_or_else(|| {
            let full = FIRST_BACKOFF.saturating_mul(1 << failures.min(16)).min(LONGEST_BACKOFF);
            full.mul_f64(0.5 + jitter / 2.0)
        });
        let not_before = now + wait;
        memory.backoffs.retain(|_, backoff| now < backoff.not_before + REMEMBER);
        memory.backoffs.insert(key, Backoff { failures: failures + 1, not_before });
        not_before
    }

    /// An effect succeeded, or its subject is gone.
    pub(crate) fn succeeded(&self, key: &EffectKey) {
        self.lock().backoffs.remove(key);
    }

    /// GitHub's rate limit holds for every registration.
    pub(crate) fn hold_github(&self, until: Timestamp) {
        let mut memory = self.lock();
        memory.github_not_before = memory.github_not_before.max(Some(until));
    }

    pub(crate) fn github_not_before(&self, now: Timestamp) -> Option<Timestamp> {
        self.lock().github_not_before.filter(|at| *at > now)
    }

    /// GitHub refuses registrations in this scope; says whether that is news.
    pub(crate) fn hold_scope(&self, scope: Scope, words: String, now: Timestamp) -> bool {
        self.lock().held.insert(scope, Hold { words, probe_at: now + PROBE_AFTER }).is_none()
    }

    pub(crate) fn release_scope(&self, scope: &Scope) {
        self.lock().held.remove(scope);
    }

    /// Learns from what was recorded. What failed for a runner may succeed now
    /// that more is known of it; and runners of a class that do not come up,
    /// one after the other, are our own fault or the image's, and the next one
    /// would fare no better.
    pub(crate) fn learn(&self, changes: &[Change], now: Timestamp) {
        for change in changes {
            let Change::Runner(runner) = change else { continue };
            self.succeeded(&EffectKey::Runner(runner.name().clone()));
            match &runner.state {
                RunnerState::Busy { .. } => {
                    self.lock().broken.remove(&runner.facts.class);
                }
                RunnerState::Ending(ending) if ending.served == Served::Nothing => {
                    let ours = matches!(ending.kind, EndingKind::BootFailed | EndingKind::AgentCrashed);
                    if ours && runner.stopped_at() == Some(runner.timeline.latest()) {
                        let words = ending.note.as_ref().map_or_else(String::new, Reason::text);
                        self.broke(&runner.facts.class, words, now);
                    }
                }
                _ => {}
            }
        }
    }

    fn broke(&self, class: &ClassName, words: String, now: Timestamp) {
        let mut memory = self.lock();
        let faults = memory.broken.entry(class.clone()).or_insert_with(|| Faults {
            in_a_row: 0,
            words: String::new(),
            probe_at: now,
        });
        faults.in_a_row += 1;
        faults.words = words;
        let wait = if faults.in_a_row < BREAKER_FAULTS {
            FIRST_BACKOFF.saturating_mul(1 << faults.in_a_row)
        } else {
            PROBE_AFTER
        };
        faults.probe_at = now + wait;
        if faults.in_a_row == BREAKER_FAULTS {
            error!(%class, reason = Code::ClassHeld.as_str(), words = faults.words, "holding launches of class");
        }
    }

    /// What the plan is to know of all this.
    pub(crate) fn budgets(&self, now: Timestamp) -> Budgets {
        let memory = self.lock();
        let broken = memory.broken.iter().map(|(class, faults)| {
            (class.clone(), Broken { words: faults.words.clone(), probe: now >= faults.probe_at })
        });
        Budgets {
            held: memory.held.iter().map(|(scope, hold)| (scope.clone(), hold.words.clone())).collect(),
            broken: broken.collect(),
        }
    }

    /// When the next class may be probed.
    pub(crate) fn next_class_probe(&self, now: Timestamp) -> Option<Timestamp> {
        self.lock().broken.values().map(|faults| faults.probe_at).filter(|at| *at > now).min()
    }

    /// Each held scope, and when it is probed.
    pub(crate) fn probes(&self) -> Vec<(Scope, Timestamp)> {
        self.lock().held.iter().map(|(scope, hold)| (scope.clone(), hold.probe_at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_each_failure_up_to_a_minute_and_ends_with_success() {
        let (memory, now) = (Memory::default(), Timestamp::UNIX_EPOCH);
        let key =
            EffectKey::Runner(RunnerName::parse("ecsr-ci-abcdefg234-01arz3ndektsv4rrffq69g5fav").unwrap());
        let wait =
            |memory: &Memory| memory.failed(key.clone(), None, 1.0, now).duration_since(now).as_millis();
        assert_eq!([wait(&memory), wait(&memory), wait(&memory)], [250, 500, 1000]);
        for _ in 0..30 {
            wait(&memory);
        }
        assert_eq!(wait(&memory), 60_000);
        assert!(memory.not_before(&key, now).is_some());
        memory.succeeded(&key);
        assert_eq!(memory.not_before(&key, now), None);
    }
}
