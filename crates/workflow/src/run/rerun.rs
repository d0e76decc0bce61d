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
    /// Runs a job again, and all jobs that need it. Returns the jobs that are replaced, the job itself first.
    ///
    /// Returns nothing for an unknown job, and for a job of a called workflow, which GitHub runs again as a whole.
    pub fn rerun(&mut self, job: JobIndex) -> Vec<Replaced> {
        let Some((node, instance)) = self.find(job) else { return Vec::new() };
        let mut replaced = Vec::new();
        let again = self.next_job();
        let old = &mut self.nodes[node].instances[instance];
        replaced.push(Replaced { job: old.job, by: Some(again) });
        old.job = again;
        old.stage = InstanceStage::Held;
        self.nodes[node].stage = Stage::Expanded { fail_fast: false, max_parallel: usize::MAX };
        for dependent in self.dependents(node) {
            let index = self.next_job();
            let node = &mut self.nodes[dependent];
            for (at, instance) in node.instances.iter().enumerate() {
                replaced.push(Replaced { job: instance.job, by: (at == 0).then_some(index) });
            }
            node.instances = vec![Instance::placeholder(index)];
            node.stage = Stage::Blocked;
            let (scope, job) = (self.nodes[dependent].scope, self.job(dependent));
            let (key, name, needs) = (job.id.clone(), self.plain_name(scope, job), job.needs.clone());
            self.decisions.push(Decision::Block { job: index, key, name, needs });
        }
        self.cancelled = false;
        self.advance();
        replaced
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
