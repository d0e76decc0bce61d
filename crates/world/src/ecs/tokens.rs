//! Client tokens and the requests that used them.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::reply::Refusal;

/// "Ensuring idempotency": a token is remembered for the lesser of 24 hours
/// and the task's lifetime plus one hour, in its cluster.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
const AFTER_STOP: SignedDuration = SignedDuration::from_hours(1);

/// A cluster and a token.
type Key = (String, String);

#[derive(Debug, Default)]
pub(super) struct Tokens {
    remembered: HashMap<Key, Remembered>,
    /// The token that started a task, by the task's ARN.
    by_task: HashMap<String, Key>,
}

#[derive(Debug)]
struct Remembered {
    parameters: Value,
    answer: Value,
    tasks: Vec<String>,
    alive: usize,
    expires_at: Timestamp,
}

impl Tokens {
    /// Returns the earlier answer to the same request.
    ///
    /// # Errors
    ///
    /// `ConflictException` if the token was used with other parameters.
    pub(super) fn recall(
        &mut self,
        cluster: &str,
        token: &str,
        parameters: &Value,
        now: Timestamp,
    ) -> Result<Option<Value>, Refusal> {
        let key = (cluster.to_owned(), token.to_owned());
        let Some(remembered) = self.remembered.get(&key) else { return Ok(None) };
        if now >= remembered.expires_at {
            for task in &remembered.tasks {
                self.by_task.remove(task);
            }
            self.remembered.remove(&key);
            return Ok(None);
        }
        if remembered.parameters == *parameters {
            return Ok(Some(remembered.answer.clone()));
        }
        let mut conflict = Refusal::new(
            "ConflictException",
            "The provided clientToken is already in use with a different RunTask request.",
        );
        conflict.resource_ids.clone_from(&remembered.tasks);
        Err(conflict)
    }

    pub(super) fn remember(
        &mut self,
        cluster: &str,
        token: &str,
        parameters: Value,
        answer: Value,
        tasks: Vec<String>,
        now: Timestamp,
    ) {
        let key = (cluster.to_owned(), token.to_owned());
        for task in &tasks {
            self.by_task.insert(task.clone(), key.clone());
        }
        let alive = tasks.len();
        let remembered = Remembered { parameters, answer, tasks, alive, expires_at: now + LONGEST };
        self.remembered.insert(key, remembered);
    }

    /// Records that a task has stopped. The token's hour starts with the stop of its last task.
    pub(super) fn task_stopped(&mut self, arn: &str, at: Timestamp) {
        let Some(key) = self.by_task.remove(arn) else { return };
        if let Some(remembered) = self.remembered.get_mut(&key) {
            remembered.alive = remembered.alive.saturating_sub(1);
            if remembered.alive == 0 {
                remembered.expires_at = remembered.expires_at.min(at + AFTER_STOP);
            }
        }
    }
}
