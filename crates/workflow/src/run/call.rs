//! Jobs that call another workflow: what they give to it, and what they get back.

use std::sync::Arc;

use crate::expression::{Contexts, Value};
use crate::model::{Body, Call, Callee, Secrets, Workflow};
use crate::token::Token;
use crate::trigger;

use super::node::{InstanceStage, combined};
use super::ready::Concurrency;
use super::{Decision, JOB_TOKEN, Node, Outcome, Run, Scope};

/// Evaluates a mapping that may be missing.
fn mapping(token: Option<&Token>, contexts: &Contexts) -> Result<Value, String> {
    let value = token.map_or(Ok(Value::Map(Vec::new())), |token| token.value(contexts));
    value.map_err(|fault| fault.to_string())
}

impl Run {
    fn callee(&self, node: usize, call: &Call) -> Result<Arc<Workflow>, String> {
        let origin = self.scopes[self.nodes[node].scope].origin.as_ref();
        let called = self.program.called(&call.uses, origin);
        called.ok_or_else(|| format!("the workflow `{}` is not known", call.uses))
    }

    fn inputs_of(
        &self,
        node: usize,
        instance: usize,
        call: &Call,
        callee: &Workflow,
    ) -> Result<Value, String> {
        let contexts = self.instance_contexts(node, instance);
        let given = mapping(call.inputs.as_ref(), &contexts)?;
        let inputs = callee.triggers.call.as_ref().map(|call| call.inputs.as_slice());
        trigger::called(inputs.unwrap_or_default(), &given, &contexts)
    }

    /// Returns the concurrency group of a job. A job that calls a workflow has the group of that workflow, unless it
    /// has one itself.
    pub(super) fn group_of(&self, node: usize, instance: usize) -> Option<Result<Concurrency, String>> {
        let job = self.job(node);
        if let Some(token) = &job.concurrency {
            return Some(Concurrency::evaluate(token, &self.instance_contexts(node, instance)));
        }
        let Body::Call(call) = &job.body else { return None };
        let callee = self.callee(node, call).ok()?;
        let token = callee.concurrency.as_ref()?;
        let inputs = self.inputs_of(node, instance, call, &callee);
        Some(inputs.and_then(|inputs| Concurrency::evaluate(token, &self.given.contexts(&inputs))))
    }

    fn secrets_of(&self, node: usize, instance: usize, call: &Call) -> Result<Vec<(String, String)>, String> {
        let known = &self.scopes[self.nodes[node].scope].secrets;
        match &call.secrets {
            Secrets::Inherit => Ok(known.clone()),
            Secrets::Given(token) => {
                let values = known.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
                let mut values = Value::Map(values.collect());
                values.set("GITHUB_TOKEN", JOB_TOKEN.into());
                let contexts = self.instance_contexts(node, instance).with("secrets", values);
                let given = mapping(token.as_ref(), &contexts)?;
                let given = given.entries().iter().map(|(name, value)| (name.clone(), value.text()));
                // An empty secret is none.
                Ok(given.filter(|(_, value)| !value.is_empty()).collect())
            }
        }
    }

    /// Starts the workflow that a job calls.
    pub(super) fn call(&mut self, node: usize, instance: usize) -> Result<(), String> {
        let job = self.job(node);
        let Body::Call(call) = &job.body else { return Ok(()) };
        let workflow = self.callee(node, call)?;
        let inputs = self.inputs_of(node, instance, call, &workflow)?;
        let secrets = self.secrets_of(node, instance, call)?;
        let outer = &self.scopes[self.nodes[node].scope];
        let made = &self.nodes[node].instances[instance];
        let path = match made.id.as_str() {
            "__default" => format!("{}{}.", outer.path, job.id),
            id => format!("{}{}.{id}.", outer.path, job.id),
        };
        let origin = match &call.uses {
            local @ Callee::Local { .. } => outer.origin.clone().unwrap_or_else(|| local.clone()),
            remote @ Callee::Remote { .. } => remote.clone(),
        };
        let prefix = format!("{} / ", made.name);
        let (cancelled, permissions) = (outer.cancelled, outer.permissions_of(job));
        let number = self.scopes.len();
        let caller = &mut self.nodes[node].instances[instance];
        caller.stage = InstanceStage::Called(number);
        self.decisions.push(Decision::Replace { job: caller.job });
        let caller = Some((node, instance));
        let origin = Some(origin);
        self.open_scope(Scope {
            workflow,
            origin,
            inputs,
            secrets,
            permissions,
            prefix,
            path,
            caller,
            cancelled,
        });
        Ok(())
    }

    /// Ends the calls of a node whose jobs have all ended. Returns whether there was one.
    pub(super) fn close_calls(&mut self, node: usize) -> bool {
        let mut changed = false;
        for instance in 0..self.nodes[node].instances.len() {
            let InstanceStage::Called(scope) = self.nodes[node].instances[instance].stage else { continue };
            let results: Option<Vec<Outcome>> =
                self.nodes.iter().filter(|inner| inner.scope == scope).map(Node::result).collect();
            let Some(results) = results else { continue };
            let outputs = self.call_outputs(scope);
            self.close(node, instance, combined(&results), outputs);
            changed = true;
        }
        changed
    }

    /// Evaluates the outputs of a called workflow. One whose expression has no value is empty.
    fn call_outputs(&self, scope: usize) -> Vec<(String, String)> {
        let opened = &self.scopes[scope];
        let jobs = self
            .nodes
            .iter()
            .filter(|node| node.scope == scope)
            .map(|node| (opened.workflow.jobs[node.at].id.clone(), node.context()));
        let contexts = self.given.contexts(&opened.inputs).with("jobs", Value::Map(jobs.collect()));
        let outputs = opened.workflow.triggers.call.iter().flat_map(|call| &call.outputs);
        outputs
            .map(|(name, value)| {
                (name.clone(), value.value(&contexts).map(|value| value.text()).unwrap_or_default())
            })
            .collect()
    }
}
