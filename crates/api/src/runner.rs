//! Runners.

use ecsrunner_core::id::JobId;
use ecsrunner_core::records::change::Records;
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::{
    EndedRunner, EndingKind, Runner, RunnerFacts, RunnerStage, RunnerState, Served,
};
use ecsrunner_core::records::task::EndedTask;
use ecsrunner_core::records::timeline::Timeline;
use ecsrunner_core::records::times::Times;
use ecsrunner_core::records::warm::{EndedWarm, WarmEnd, WarmFacts, WarmStage, WarmState, WarmTask};
use ecsrunner_core::rules::class::size::Size;
use ecsrunner_core::rules::hosted::{billed_minutes, hosted_machine};
use ecsrunner_core::wire::peaks::Peaks;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::reason::ReasonView;
use crate::stage::{StageView, reached, stages};
use crate::wait::WaitView;

/// A runner as the API shows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunnerView {
    pub name: String,
    /// `None` for a warm task.
    pub repository: Option<String>,
    pub class: String,
    /// `None` for a warm task.
    pub pool: Option<String>,
    pub state: RunnerStage,
    pub ending: Option<EndingKind>,
    pub reason: Option<ReasonView>,
    pub job: Option<u64>,
    /// `None` for a warm task.
    pub launched_for: Option<u64>,
    /// Whether it was launched to fail that job with the reason in its log, because nothing can serve it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fails: bool,
    /// The warm task that the runner took over, or the runner that took over this warm task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<String>,
    pub task: Option<String>,
    /// The version of GitHub's runner: as its agent said at its end, or else, in a single runner's view, as the image says
    /// from which it started.
    #[serde(default)]
    pub runner_version: Option<String>,
    pub capacity_provider: String,
    /// The CPU units and the memory in MiB that its task was launched with. Its class may have others by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
    pub task_seconds: Option<f64>,
    /// When its task stopped: from then on it takes no place in the limits of runners. `None` before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
    pub cost_usd: Option<f64>,
    /// Where the wait of its job went; `None` until the job has started.
    #[serde(default)]
    pub wait: Option<WaitView>,
    /// The minutes of its job as GitHub bills them: rounded up to full ones. `None` without a job.
    #[serde(default)]
    pub job_minutes: Option<u64>,
    /// What these would cost on the smallest machine that GitHub hosts with as many CPUs and as much memory. `None` without
    /// a job, or if there is no such machine.
    #[serde(default)]
    pub hosted_usd: Option<f64>,
    /// What its job used, as its agent measured it; `None` if it was not measured, as on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peaks: Option<Peaks>,
    pub timeline: Vec<StageView<RunnerStage>>,
}

impl RunnerView {
    /// Returns the view of an open runner, with its cost so far.
    #[must_use]
    pub fn open(runner: &Runner, now: Timestamp) -> Self {
        let (ending, note) = match &runner.state {
            RunnerState::Ending(ending) => (Some(ending.kind), ending.note.as_ref()),
            _ => (None, None),
        };
        Self {
            state: runner.stage(),
            ending,
            reason: note.map(ReasonView::of),
            job: runner.names_job().map(JobId::get),
            task: runner.task().map(ToString::to_string),
            capacity_provider: runner.placement.provider(),
            task_seconds: seconds(runner.launched_at(), Some(runner.stopped_at().unwrap_or(now))),
            stopped_at: runner.stopped_at(),
            cost_usd: runner.cost_usd(now),
            runner_version: version(&runner.times),
            peaks: peaks(&runner.times),
            wait: runner.wait().as_ref().map(WaitView::of),
            ..Self::new(&runner.facts, &runner.timeline)
        }
        .with_hosted(&runner.times, runner.facts.size, now)
    }

    /// Returns the view of an ended runner.
    #[must_use]
    pub fn gone(runner: &EndedRunner) -> Self {
        let job = match runner.served {
            Served::Job(job) => Some(job.get()),
            Served::Unnamed | Served::Nothing => None,
        };
        Self {
            state: RunnerStage::Gone,
            ending: Some(runner.kind),
            reason: runner.note.as_ref().map(ReasonView::of),
            job,
            task: runner.task.as_ref().map(ToString::to_string),
            capacity_provider: runner.placement.provider(),
            task_seconds: seconds(runner.launched_at(), runner.stopped_at),
            stopped_at: runner.stopped_at,
            cost_usd: runner.cost_usd,
            runner_version: version(&runner.times),
            peaks: peaks(&runner.times),
            wait: runner.wait().as_ref().map(WaitView::of),
            ..Self::new(&runner.facts, &runner.timeline)
        }
        .with_hosted(&runner.times, runner.facts.size, Timestamp::MAX)
    }

    /// Returns the view of a warm task, with its cost so far.
    #[must_use]
    pub fn warm(warm: &WarmTask, now: Timestamp) -> Self {
        let reason = match &warm.state {
            WarmState::Ending(ending) => Some(ReasonView::of_warm(ending.kind, ending.words.as_deref())),
            WarmState::Used(_) => Some(ReasonView::of_warm(WarmEnd::Used, None)),
            _ => None,
        };
        let until = warm.timeline.at(WarmStage::Used).or_else(|| warm.stopped_at()).unwrap_or(now);
        Self {
            reason,
            warm: match &warm.state {
                WarmState::Used(runner) => Some(runner.to_string()),
                _ => None,
            },
            task: warm.task().map(ToString::to_string),
            capacity_provider: warm.placement.provider(),
            task_seconds: seconds(warm.launched_at(), Some(until)),
            stopped_at: warm.stopped_at(),
            cost_usd: warm.cost_usd(now),
            ..Self::new_warm(&warm.facts, &warm.timeline)
        }
    }

    /// Returns the view of the runner or the warm task among these records.
    #[must_use]
    pub fn of(records: &Records, now: Timestamp) -> Option<Self> {
        let runner = records.runner.as_ref().map(|runner| Self::open(runner, now));
        runner.or_else(|| records.warm.as_ref().map(|warm| Self::warm(warm, now)))
    }

    /// Returns the views of all open runners and warm tasks.
    pub fn all(open: &Open, now: Timestamp) -> impl Iterator<Item = Self> {
        let runners = open.runners.values().map(move |runner| Self::open(runner, now));
        runners.chain(open.warm.values().map(move |warm| Self::warm(warm, now)))
    }

    /// Returns the view of what is gone.
    #[must_use]
    pub fn past(task: &EndedTask) -> Self {
        match task {
            EndedTask::Runner(runner) => Self::gone(runner),
            EndedTask::Warm(warm) => Self::gone_warm(warm),
        }
    }

    /// Returns the view of an ended warm task.
    #[must_use]
    pub fn gone_warm(warm: &EndedWarm) -> Self {
        let stage = |stage| warm.timeline.at(stage);
        let until = stage(WarmStage::Used).or_else(|| stage(WarmStage::Gone));
        Self {
            reason: Some(ReasonView::of_warm(warm.kind, warm.words.as_deref())),
            warm: warm.runner.as_ref().map(ToString::to_string),
            capacity_provider: warm.placement.provider(),
            task_seconds: seconds(warm.launched_at(), until),
            cost_usd: warm.cost_usd,
            ..Self::new_warm(&warm.facts, &warm.timeline)
        }
    }

    /// Compares its job with a runner that GitHub hosts. A job that has not ended counts until `now`.
    fn with_hosted(self, times: &Times, size: Size, now: Timestamp) -> Self {
        // Without webhooks, a runner can be gone before anything says that it was busy.
        let by_github = || times.job.as_ref().map(|job| job.started_at);
        let began = self.first_reached(RunnerStage::Busy).or_else(by_github).filter(|_| self.job.is_some());
        let Some(began) = began else { return self };
        // A runner may get its job just when it was to end. That first ending was not the job's.
        let ends = |stage: &&StageView<RunnerStage>| {
            matches!(stage.state, RunnerStage::Ending | RunnerStage::Gone) && stage.at >= began
        };
        let ended = self.timeline.iter().find(ends).map(|stage| stage.at);
        let ran = ended.unwrap_or(now).duration_since(began);
        Self {
            job_minutes: Some(billed_minutes(ran)),
            hosted_usd: hosted_machine(size).map(|machine| machine.usd(ran)),
            ..self
        }
    }

    fn new_warm(facts: &WarmFacts, timeline: &Timeline<WarmStage>) -> Self {
        let timeline = stages(timeline).into_iter();
        let mut timeline: Vec<_> =
            timeline.map(|stage| StageView { at: stage.at, state: shown(stage.state) }).collect();
        // One that was used is gone from then on.
        timeline.dedup_by_key(|stage| stage.state);
        Self {
            name: facts.name.to_string(),
            repository: None,
            class: facts.class.to_string(),
            pool: None,
            state: timeline.last().map_or(RunnerStage::Reserved, |stage| stage.state),
            ending: None,
            reason: None,
            job: None,
            launched_for: None,
            fails: false,
            warm: None,
            task: None,
            capacity_provider: String::new(),
            cpu: Some(facts.size.cpu()),
            memory: Some(facts.size.memory()),
            task_seconds: None,
            stopped_at: None,
            cost_usd: None,
            job_minutes: None,
            hosted_usd: None,
            peaks: None,
            runner_version: None,
            wait: None,
            timeline,
        }
    }

    fn new(facts: &RunnerFacts, timeline: &Timeline<RunnerStage>) -> Self {
        Self {
            name: facts.name.to_string(),
            repository: Some(facts.repository.to_string()),
            class: facts.class.to_string(),
            pool: Some(facts.pool.to_string()),
            state: RunnerStage::Gone,
            ending: None,
            reason: None,
            job: None,
            launched_for: Some(facts.launched_for.get()),
            fails: facts.fails,
            warm: facts.warm.as_ref().map(ToString::to_string),
            task: None,
            runner_version: None,
            capacity_provider: String::new(),
            cpu: Some(facts.size.cpu()),
            memory: Some(facts.size.memory()),
            task_seconds: None,
            stopped_at: None,
            cost_usd: None,
            wait: None,
            job_minutes: None,
            hosted_usd: None,
            peaks: None,
            timeline: stages(timeline),
        }
    }

    /// Returns when it last changed.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.timeline.last().map(|stage| stage.at)
    }

    /// Returns when a state was reached last.
    #[must_use]
    pub fn reached(&self, state: RunnerStage) -> Option<Timestamp> {
        reached(&self.timeline, state)
    }

    fn first_reached(&self, state: RunnerStage) -> Option<Timestamp> {
        self.timeline.iter().find(|stage| stage.state == state).map(|stage| stage.at)
    }

    /// Returns when the runner was first recorded.
    #[must_use]
    pub fn began(&self) -> Option<Timestamp> {
        self.timeline.first().map(|stage| stage.at)
    }

    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.state == RunnerStage::Gone
    }
}

/// The state in which a warm task is shown. One that a runner took over is gone: what its task does is that runner's.
fn shown(stage: WarmStage) -> RunnerStage {
    match stage {
        WarmStage::Reserved => RunnerStage::Reserved,
        WarmStage::Starting => RunnerStage::Starting,
        WarmStage::Warm => RunnerStage::Warm,
        WarmStage::Ending => RunnerStage::Ending,
        WarmStage::Used | WarmStage::Gone => RunnerStage::Gone,
    }
}

fn peaks(times: &Times) -> Option<Peaks> {
    times.agent.as_ref()?.peaks
}

fn version(times: &Times) -> Option<String> {
    times.agent.as_ref()?.runner_version.map(|version| version.to_string())
}

fn seconds(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<f64> {
    Some(to?.duration_since(from?).as_secs_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::records::times::JobTimes;
    use ecsrunner_core::rules::class::size::Arch;
    use serde_json::{Value, json};

    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_764_000_000 + secs).unwrap()
    }

    /// The minutes of a job whose runner had these stages, and that began then by GitHub's word.
    fn minutes(stages: &[(&str, i64)], began: Option<i64>) -> Option<u64> {
        let stages: Vec<Value> =
            stages.iter().map(|(state, secs)| json!({"state": state, "at": at(*secs)})).collect();
        let view: RunnerView = serde_json::from_value(json!({
            "name": "r", "repository": "acme/app", "class": "small", "pool": "p", "state": "gone", "ending": null,
            "reason": null, "job": 7, "launched_for": 7, "task": null, "capacity_provider": "FARGATE",
            "task_seconds": null, "cost_usd": null, "timeline": stages,
        }))
        .unwrap();
        let job = began.map(|secs| JobTimes {
            queued_at: at(0),
            recorded_at: None,
            started_at: at(secs),
            held_by: None,
        });
        let size = Size::new(1024, 2048, None, Arch::X64).unwrap();
        view.with_hosted(&Times { job, ..Times::default() }, size, at(9000)).job_minutes
    }

    #[test]
    fn a_job_lasts_until_the_ending_that_is_its_own() {
        assert_eq!(minutes(&[("reserved", 0), ("busy", 60), ("ending", 180), ("gone", 999)], None), Some(2));
        assert_eq!(minutes(&[("busy", 60)], None), Some(149), "it goes on");
        assert_eq!(minutes(&[("reserved", 0), ("gone", 999)], None), None);
        // Nothing said that it was busy.
        assert_eq!(minutes(&[("reserved", 0), ("ending", 180), ("gone", 999)], Some(60)), Some(2));
        // It was to end, and then got a job.
        let back = [("reserved", 0), ("ending", 59), ("busy", 60), ("ending", 180), ("gone", 999)];
        assert_eq!(minutes(&back, None), Some(2));
        assert_eq!(minutes(&[("reserved", 0), ("ending", 59), ("gone", 180)], Some(60)), Some(2));
    }
}
