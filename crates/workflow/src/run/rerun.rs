//! Runs jobs of a run again.

use super::node::{Instance, InstanceStage, Stage};
use super::{Decision, JobIndex, Run};

/// The jobs that a new attempt replaces.
#[derive(Clone, Debug)]
pub struct Replaced {
    pub job: JobIndex,
    /// `None` for a job that does not exist until its needs have ended again.
    pub by: Option<JobIndex>,
}

impl Run {
    /// Runs a job again, and all jobs that need it. A job of a called workflow takes along those that need the call.
    /// Returns the jobs that are replaced, the job itself first; none for an unknown job.
    pub fn rerun(&mut self, job: JobIndex) -> Vec<Replaced> {
        let Some((node, instance)) = self.find(job) else { return Vec::new() };
        let mut replaced = Vec::new();
        let again = self.next_job();
        let old = &mut self.nodes[node].instances[instance];
        replaced.push(Replaced { job: old.job, by: Some(again) });
        old.job = again;
        old.stage = InstanceStage::Held;
        self.cancelled = false;
        self.scopes.iter_mut().for_each(|scope| scope.cancelled = false);
        let mut opened = Some(node);
        while let Some(node) = opened {
            self.nodes[node].stage = Stage::Expanded { fail_fast: false, max_parallel: usize::MAX };
            for dependent in self.dependents(node) {
                self.block_again(dependent, &mut replaced);
            }
            let scope = self.nodes[node].scope;
            opened = self.scopes[scope].caller.map(|(caller, instance)| {
                self.nodes[caller].instances[instance].stage = InstanceStage::Called(scope);
                caller
            });
        }
        self.advance();
        replaced
    }

    /// Lets a node wait for its needs again.
    fn block_again(&mut self, at: usize, replaced: &mut Vec<Replaced>) {
        self.drop_calls(at, replaced);
        let index = self.next_job();
        let node = &mut self.nodes[at];
        for (number, instance) in node.instances.iter().enumerate() {
            replaced.push(Replaced { job: instance.job, by: (number == 0).then_some(index) });
        }
        node.instances = vec![Instance::placeholder(index)];
        node.stage = Stage::Blocked;
        let (scope, job) = (self.nodes[at].scope, self.job(at));
        let (key, name, needs) = (job.id.clone(), self.plain_name(scope, job), job.needs.clone());
        self.decisions.push(Decision::Block { job: index, key, name, needs });
    }

    /// Forgets the calls that a node has made, with all of their jobs.
    fn drop_calls(&mut self, node: usize, replaced: &mut Vec<Replaced>) {
        for scope in 0..self.scopes.len() {
            if self.scopes[scope].caller.is_none_or(|(caller, _)| caller != node) {
                continue;
            }
            self.scopes[scope].caller = None;
            for inner in 0..self.nodes.len() {
                if self.nodes[inner].scope == scope {
                    self.drop_calls(inner, replaced);
                    let jobs = self.nodes[inner].instances.iter();
                    replaced.extend(jobs.map(|instance| Replaced { job: instance.job, by: None }));
                }
            }
        }
    }

    /// Returns all nodes that need a node, directly or through others.
    fn dependents(&self, node: usize) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        loop {
            let more: Vec<usize> = (0..self.nodes.len())
                .filter(|at| !found.contains(at))
                .filter(|at| self.nodes[*at].needs.iter().any(|need| *need == node || found.contains(need)))
                .collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }
}
