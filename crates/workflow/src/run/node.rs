//! One job of a workflow within a run, with the jobs that its matrix makes.

use crate::expression::Value;

use super::{JobIndex, Outcome};

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) scope: usize,
    /// Its number among the jobs of its workflow.
    pub(super) at: usize,
    /// The nodes that it needs.
    pub(super) needs: Vec<usize>,
    pub(super) stage: Stage,
    /// At least one. While it is blocked, the first stands for all.
    pub(super) instances: Vec<Instance>,
    /// What its jobs have given so far.
    pub(super) outputs: Value,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Stage {
    /// Jobs that it needs have not ended.
    Blocked,
    /// Its jobs are made.
    Expanded { fail_fast: bool, max_parallel: usize },
    /// All of its jobs have ended.
    Over(Outcome),
}

/// One job of a node.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) job: JobIndex,
    /// Its id among the jobs of its matrix.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) matrix: Value,
    pub(super) strategy: Value,
    pub(super) stage: InstanceStage,
    pub(super) has_group: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum InstanceStage {
    /// It has not begun.
    Held,
    /// It needs a concurrency group.
    Acquiring,
    /// It is queued, or a runner has it.
    Open {
        /// Whether its failure is no failure of the run.
        continue_on_error: bool,
        cancelling: bool,
    },
    /// It is a call, whose jobs are in this scope.
    Called(usize),
    Ended {
        /// The outcome as others see it.
        result: Outcome,
    },
}

impl Node {
    pub(super) fn blocked(scope: usize, at: usize, needs: Vec<usize>, placeholder: Instance) -> Self {
        Self {
            scope,
            at,
            needs,
            stage: Stage::Blocked,
            instances: vec![placeholder],
            outputs: Value::Map(Vec::new()),
        }
    }

    /// Returns the result that others see, once it is over.
    pub(super) const fn result(&self) -> Option<Outcome> {
        match self.stage {
            Stage::Over(outcome) => Some(outcome),
            Stage::Blocked | Stage::Expanded { .. } => None,
        }
    }

    /// Returns its entry in the context `needs`.
    pub(super) fn context(&self) -> Value {
        Value::from([
            ("result", self.result().map_or(Value::Null, |result| result.as_str().into())),
            ("outputs", self.outputs.clone()),
        ])
    }

    /// Returns the common result of its jobs, if all have ended.
    pub(super) fn combined(&self) -> Option<Outcome> {
        let results: Vec<Outcome> = self
            .instances
            .iter()
            .map(|instance| match instance.stage {
                InstanceStage::Ended { result } => Some(result),
                _ => None,
            })
            .collect::<Option<_>>()?;
        Some(combined(&results))
    }

    /// How many of its jobs have begun and not ended.
    pub(super) fn open(&self) -> usize {
        let is_open = |instance: &&Instance| {
            !matches!(instance.stage, InstanceStage::Held | InstanceStage::Ended { .. })
        };
        self.instances.iter().filter(is_open).count()
    }
}

/// Returns the common result of several jobs.
pub(super) fn combined(results: &[Outcome]) -> Outcome {
    if results.contains(&Outcome::Failure) {
        Outcome::Failure
    } else if results.contains(&Outcome::Cancelled) {
        Outcome::Cancelled
    } else if results.iter().all(|result| *result == Outcome::Skipped) {
        Outcome::Skipped
    } else {
        Outcome::Success
    }
}

impl Instance {
    /// Returns what stands for the jobs of a node that is not expanded yet.
    pub(super) fn placeholder(job: JobIndex) -> Self {
        Self {
            job,
            id: String::new(),
            name: String::new(),
            matrix: Value::Null,
            strategy: Value::Null,
            stage: InstanceStage::Held,
            has_group: false,
        }
    }
}
