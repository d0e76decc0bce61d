//! The contexts and the status functions of a job's condition.

use std::collections::BTreeSet;

use crate::expression::{Contexts, Status, Value};

use super::{Outcome, Run};

impl Run {
    /// Returns the contexts of a node before its matrix is known.
    pub(super) fn contexts(&self, node: usize) -> Contexts {
        let scope = &self.scopes[self.nodes[node].scope];
        self.given.contexts(&scope.inputs).with("needs", self.needs(node))
    }

    /// Returns the context `needs`: the jobs that it names itself.
    pub(super) fn needs(&self, node: usize) -> Value {
        let needs = self.nodes[node].needs.iter().map(|need| {
            let needed = &self.nodes[*need];
            let id = self.scopes[needed.scope].workflow.jobs[needed.at].id.clone();
            (id, needed.context())
        });
        Value::Map(needs.collect())
    }

    /// Returns the results of the status functions. They look at all jobs before this one, also those that are needed
    /// through others.
    pub(super) fn status(&self, node: usize) -> Status {
        let mut before = BTreeSet::new();
        let mut open = self.nodes[node].needs.clone();
        while let Some(need) = open.pop() {
            if before.insert(need) {
                open.extend(&self.nodes[need].needs);
            }
        }
        let results: Vec<Option<Outcome>> = before.iter().map(|need| self.nodes[*need].result()).collect();
        let cancelled = self.is_cancelled(node);
        Status {
            success: !cancelled && results.iter().all(|result| *result == Some(Outcome::Success)),
            failure: !cancelled && results.contains(&Some(Outcome::Failure)),
            cancelled,
        }
    }

    /// Whether the run was cancelled, or the call that a node belongs to.
    pub(super) fn is_cancelled(&self, node: usize) -> bool {
        self.cancelled || self.scopes[self.nodes[node].scope].cancelled
    }
}
