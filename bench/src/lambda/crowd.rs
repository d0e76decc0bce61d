//! Our function with many open jobs: 50 are running, the others wait for a slot.

use std::collections::VecDeque;

use anyhow::{Context, ensure};

use super::fakes::Fakes;
use super::function::Function;
use super::job::{Action, Job};
use super::ours::{Runner, Told};

/// Number of open jobs.
pub(crate) const OPEN_JOBS: usize = 1000;
/// The deployment's limit: the default.
const PLACES: usize = 50;

/// The open jobs, the oldest first.
pub(crate) struct Crowd {
    executed: VecDeque<(Job, Runner)>,
    waiting: VecDeque<Job>,
}

impl Crowd {
    /// Queues them, one webhook after the other.
    pub(crate) async fn gather(function: &mut Function, fakes: &Fakes) -> anyhow::Result<Self> {
        let mut crowd = Self { executed: VecDeque::new(), waiting: VecDeque::new() };
        fakes.world().forget_launch();
        for _ in 0..OPEN_JOBS {
            let job = Job::new();
            function.invoke(&job.webhook(Action::Queued).event_bridge()).await?;
            match Runner::launched(fakes) {
                Some(runner) => crowd.executed.push_back((job, runner)),
                None => crowd.waiting.push_back(job),
            }
        }
        ensure!(crowd.executed.len() == PLACES, "{} jobs have a runner", crowd.executed.len());
        Ok(crowd)
    }

    /// Queues a job and ends another one, whose slot goes to the job that has waited longest.
    pub(crate) async fn turn(&mut self, function: &mut Function, fakes: &Fakes) -> anyhow::Result<Vec<Told>> {
        let job = Job::new();
        fakes.calls.take();
        let answer = function.invoke(&job.webhook(Action::Queued).event_bridge()).await?;
        let mut told = vec![(answer, fakes.calls.take())];
        ensure!(Runner::launched(fakes).is_none(), "a runner was launched beyond the limit");
        self.waiting.push_back(job);
        let (job, runner) = self.executed.pop_front().context("no job is executed")?;
        told.extend(runner.serve(function, fakes, &job).await?);
        let next = Runner::launched(fakes).context("the place that was freed is not taken")?;
        self.executed.push_back((self.waiting.pop_front().context("no job waits")?, next));
        Ok(told)
    }
}
