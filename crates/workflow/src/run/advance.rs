//! Goes on with a run until nothing more follows.

use crate::expression::{Value, evaluate};
use crate::matrix::Strategy;
use crate::model::{Body, Job};

use super::node::{Instance, InstanceStage, Stage};
use super::ready::Ready;
use super::{Decision, Outcome, Run};

impl Run {
    /// Decides everything that follows from what is known.
    pub(super) fn advance(&mut self) {
        loop {
            let mut changed = false;
            let mut node = 0;
            // A call adds nodes at the end.
            while node < self.nodes.len() {
                changed |= self.look_at(node);
                node += 1;
            }
            if !changed {
                return;
            }
        }
    }

    /// Returns whether something changed.
    fn look_at(&mut self, node: usize) -> bool {
        match self.nodes[node].stage.clone() {
            Stage::Over(_) => false,
            Stage::Blocked => {
                if self.nodes[node].needs.iter().any(|need| self.nodes[*need].result().is_none()) {
                    return false;
                }
                self.begin(node);
                true
            }
            Stage::Expanded { max_parallel, .. } => {
                let mut changed = self.close_calls(node);
                while let Some(held) = self.next_held(node, max_parallel) {
                    self.begin_instance(node, held);
                    changed = true;
                }
                if let Some(result) = self.nodes[node].combined() {
                    self.nodes[node].stage = Stage::Over(result);
                    changed = true;
                }
                changed
            }
        }
    }

    pub(super) fn job(&self, node: usize) -> &Job {
        let node = &self.nodes[node];
        &self.scopes[node.scope].workflow.jobs[node.at]
    }

    fn next_held(&self, node: usize, max_parallel: usize) -> Option<usize> {
        let node = &self.nodes[node];
        let held = node.instances.iter().position(|instance| instance.stage == InstanceStage::Held)?;
        (node.open() < max_parallel).then_some(held)
    }

    /// Evaluates the condition and the matrix of a node whose needs have ended.
    fn begin(&mut self, node: usize) {
        let contexts = self.contexts(node).with_status(self.status(node));
        let job = self.job(node);
        let condition = evaluate(&job.condition, &contexts);
        let name = self.plain_name(self.nodes[node].scope, job);
        let strategy = match condition {
            Ok(value) if !value.is_truthy() => {
                let cancelled = self.is_cancelled(node);
                let outcome = if cancelled { Outcome::Cancelled } else { Outcome::Skipped };
                return self.end_node(node, name, outcome, None);
            }
            Ok(_) => match job.strategy.as_ref().map(|strategy| strategy.value(&self.contexts(node))) {
                None => Strategy::expand(&Value::Map(Vec::new())),
                Some(value) => {
                    value.map_err(|fault| fault.to_string()).and_then(|value| Strategy::expand(&value))
                }
            },
            Err(fault) => Err(format!("`if`: {fault}")),
        };
        let expanded = strategy.and_then(|strategy| self.expand(node, &strategy));
        if let Err(why) = expanded {
            self.end_node(node, name, Outcome::Failure, Some(why));
        }
    }

    /// Makes the jobs of a node. Fails if one of them gets no name; the node is then as before.
    fn expand(&mut self, node: usize, strategy: &Strategy) -> Result<(), String> {
        let first = self.nodes[node].instances[0].job;
        let mut instances = Vec::with_capacity(strategy.combinations.len());
        for (at, combination) in strategy.combinations.iter().enumerate() {
            instances.push(Instance {
                id: combination.id.clone(),
                matrix: combination.matrix.clone(),
                strategy: strategy.context(at),
                ..Instance::placeholder(if at == 0 { first } else { self.next_job() })
            });
        }
        for (instance, combination) in instances.iter_mut().zip(&strategy.combinations) {
            let contexts = self.contexts(node);
            let contexts =
                contexts.with("matrix", instance.matrix.clone()).with("strategy", instance.strategy.clone());
            instance.name = self.instance_name(node, combination, &contexts)?;
        }
        let stage = Stage::Expanded { fail_fast: strategy.fail_fast, max_parallel: strategy.max_parallel };
        self.nodes[node].instances = instances;
        self.nodes[node].stage = stage;
        Ok(())
    }

    /// Ends a node that is not expanded, as one job.
    fn end_node(&mut self, node: usize, name: String, outcome: Outcome, why: Option<String>) {
        let key = self.job(node).id.clone();
        let first = &mut self.nodes[node].instances[0];
        first.stage = InstanceStage::Ended { result: outcome };
        self.decisions.push(Decision::End { job: first.job, key, name, outcome, why });
        self.nodes[node].stage = Stage::Over(outcome);
    }

    /// Asks for the concurrency group of a job, or opens it.
    fn begin_instance(&mut self, node: usize, instance: usize) {
        let group = self.group_of(node, instance);
        match group {
            None => self.open_instance(node, instance),
            Some(Ok(group)) => {
                let instance = &mut self.nodes[node].instances[instance];
                instance.stage = InstanceStage::Acquiring;
                instance.has_group = true;
                self.decisions.push(Decision::Acquire { job: instance.job, group });
            }
            Some(Err(why)) => self.fail_instance(node, instance, format!("`concurrency`: {why}")),
        }
    }

    /// Queues a job, or starts the workflow that it calls.
    pub(super) fn open_instance(&mut self, node: usize, instance: usize) {
        if !matches!(
            self.nodes[node].instances[instance].stage,
            InstanceStage::Held | InstanceStage::Acquiring
        ) {
            return;
        }
        let opened = match self.job(node).body {
            Body::Steps(_) => self.queue(node, instance),
            Body::Call(_) => self.call(node, instance),
        };
        if let Err(why) = opened {
            self.fail_instance(node, instance, why);
        }
    }

    fn queue(&mut self, node: usize, instance: usize) -> Result<(), String> {
        let ready = Ready::of(self, node, instance)?;
        let stage = InstanceStage::Open { continue_on_error: ready.continue_on_error, cancelling: false };
        let instance = &mut self.nodes[node].instances[instance];
        instance.stage = stage;
        self.decisions.push(Decision::Queue { job: instance.job, ready: Box::new(ready) });
        Ok(())
    }

    fn fail_instance(&mut self, node: usize, instance: usize, why: String) {
        let key = self.job(node).id.clone();
        let failed = &self.nodes[node].instances[instance];
        let (job, name) = (failed.job, failed.name.clone());
        self.decisions.push(Decision::End { job, key, name, outcome: Outcome::Failure, why: Some(why) });
        self.close(node, instance, Outcome::Failure, Vec::new());
    }

    /// Records the end of a job, and cancels the others of its matrix if it is the first failure.
    pub(super) fn close(
        &mut self,
        node: usize,
        instance: usize,
        outcome: Outcome,
        outputs: Vec<(String, String)>,
    ) {
        let ending = &mut self.nodes[node].instances[instance];
        let result = match &ending.stage {
            InstanceStage::Ended { .. } => return,
            InstanceStage::Open { continue_on_error: true, .. } if outcome == Outcome::Failure => {
                Outcome::Success
            }
            _ => outcome,
        };
        ending.stage = InstanceStage::Ended { result };
        if std::mem::take(&mut ending.has_group) {
            self.decisions.push(Decision::Release { job: ending.job });
        }
        let known = &mut self.nodes[node].outputs;
        for (name, value) in outputs {
            // The last job of a matrix that gives a value has the say.
            if !value.is_empty() || known.get(&name).is_none() {
                known.set(&name, value.into());
            }
        }
        if result == Outcome::Failure
            && matches!(self.nodes[node].stage, Stage::Expanded { fail_fast: true, .. })
        {
            self.cancel_instances(node);
        }
    }

    /// Cancels all jobs of a node that have not ended.
    pub(super) fn cancel_instances(&mut self, node: usize) {
        if self.nodes[node].stage == Stage::Blocked {
            return;
        }
        for instance in 0..self.nodes[node].instances.len() {
            self.cancel_instance(node, instance);
        }
    }

    pub(super) fn cancel_instance(&mut self, node: usize, instance: usize) {
        let key = self.job(node).id.clone();
        let cancelled = &mut self.nodes[node].instances[instance];
        match &mut cancelled.stage {
            InstanceStage::Open { cancelling, .. } => {
                if !std::mem::replace(cancelling, true) {
                    self.decisions.push(Decision::Cancel { job: cancelled.job });
                }
            }
            InstanceStage::Held | InstanceStage::Acquiring => {
                let (job, name) = (cancelled.job, cancelled.name.clone());
                self.decisions.push(Decision::End { job, key, name, outcome: Outcome::Cancelled, why: None });
                self.close(node, instance, Outcome::Cancelled, Vec::new());
            }
            InstanceStage::Called(scope) => {
                let scope = *scope;
                self.cancel_scope(scope);
            }
            InstanceStage::Ended { .. } => {}
        }
    }

    /// Cancels the jobs of a called workflow. Those that are blocked are looked at when their needs have ended.
    fn cancel_scope(&mut self, scope: usize) {
        self.scopes[scope].cancelled = true;
        for node in 0..self.nodes.len() {
            if self.nodes[node].scope == scope {
                self.cancel_instances(node);
            }
        }
    }
}
