//! The stored form of warm tasks.

use ecsrunner_core::id::{ClassName, Epoch, RunnerName, Version, WarmName};
use ecsrunner_core::records::warm::{
    EndedWarm, WarmEnd, WarmEnding, WarmFacts, WarmStage, WarmState, WarmTask,
};
use ecsrunner_core::wire::fault::Fault;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::placement::{StoredPlacement, StoredRetry};
use super::task::{
    StoredSize, StoredTask, StoredTaskLeft, StoredWaits, read_size, read_waits, store_size, store_waits,
};
use super::{StoredTimeline, UnreadableError, known, read_timeline, store_timeline};

#[derive(Serialize, Deserialize)]
struct StoredFacts {
    class: ClassName,
    size: StoredSize,
    max_job_minutes: u32,
    waits: StoredWaits,
    /// In seconds.
    hook: u32,
    /// In seconds.
    max_age: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    exec: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    services: Option<String>,
}

impl StoredFacts {
    fn of(facts: &WarmFacts) -> Self {
        Self {
            class: facts.class.clone(),
            size: store_size(facts.size),
            max_job_minutes: facts.max_job_minutes,
            waits: store_waits(facts.wait_limits),
            hook: facts.hook_limit_secs,
            max_age: facts.max_age.as_secs(),
            image: facts.image.clone(),
            digest: facts.digest.clone(),
            exec: facts.exec,
            services: facts.services.clone(),
        }
    }

    /// Adds the name, which comes from the item's key.
    fn read(self, name: WarmName) -> Result<WarmFacts, UnreadableError> {
        Ok(WarmFacts {
            name,
            class: self.class,
            size: read_size(self.size),
            max_job_minutes: self.max_job_minutes,
            wait_limits: read_waits(self.waits),
            hook_limit_secs: self.hook,
            max_age: SignedDuration::from_secs(self.max_age),
            image: self.image,
            digest: self.digest,
            exec: self.exec,
            services: self.services,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredState {
    Reserved,
    Starting(StoredTask),
    Warm(StoredTask),
    Used(RunnerName),
    Ending(StoredEnding),
}

#[derive(Serialize, Deserialize)]
struct StoredEnding {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    task: StoredTaskLeft,
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredWarm {
    facts: StoredFacts,
    epoch: u64,
    timeline: StoredTimeline,
    #[serde(default, skip_serializing_if = "StoredPlacement::is_default")]
    placement: StoredPlacement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<StoredRetry>,
    state: StoredState,
}

impl StoredWarm {
    pub(in crate::store) fn of(warm: &WarmTask) -> Self {
        let state = match &warm.state {
            WarmState::Reserved => StoredState::Reserved,
            WarmState::Starting(task) => StoredState::Starting(StoredTask::of(task)),
            WarmState::Warm(task) => StoredState::Warm(StoredTask::of(task)),
            WarmState::Used(runner) => StoredState::Used(runner.clone()),
            WarmState::Ending(ending) => StoredState::Ending(StoredEnding {
                kind: ending.kind.as_str().to_owned(),
                words: ending.words.clone(),
                fault: ending.fault.map(|fault| fault.as_str().to_owned()),
                task: StoredTaskLeft::of(&ending.task),
            }),
        };
        Self {
            facts: StoredFacts::of(&warm.facts),
            epoch: warm.epoch.get(),
            timeline: store_timeline(&warm.timeline, WarmStage::as_str),
            placement: StoredPlacement::of(&warm.placement),
            retry: warm.retry.as_ref().map(StoredRetry::of),
            state,
        }
    }

    pub(in crate::store) fn read(
        self,
        name: WarmName,
        version: Version,
    ) -> Result<WarmTask, UnreadableError> {
        let state = match self.state {
            StoredState::Reserved => WarmState::Reserved,
            StoredState::Starting(task) => WarmState::Starting(task.read()),
            StoredState::Warm(task) => WarmState::Warm(task.read()),
            StoredState::Used(runner) => WarmState::Used(runner),
            StoredState::Ending(ending) => WarmState::Ending(WarmEnding {
                kind: known("ending", &ending.kind, &WarmEnd::ALL, WarmEnd::as_str)?,
                words: ending.words,
                // A kind of a newer release is a fault too.
                fault: ending.fault.map(|fault| Fault::parse(&fault).unwrap_or(Fault::Unknown)),
                task: ending.task.read()?,
            }),
        };
        Ok(WarmTask {
            facts: self.facts.read(name)?,
            version,
            epoch: Epoch::new(self.epoch),
            timeline: read_timeline(&self.timeline, &WarmStage::ALL, WarmStage::as_str)?,
            placement: self.placement.read()?,
            retry: self.retry.map(StoredRetry::read).transpose()?,
            state,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredEndedWarm {
    facts: StoredFacts,
    timeline: StoredTimeline,
    #[serde(default, skip_serializing_if = "StoredPlacement::is_default")]
    placement: StoredPlacement,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runner: Option<RunnerName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usd: Option<f64>,
}

impl StoredEndedWarm {
    pub(in crate::store) fn of(warm: &EndedWarm) -> Self {
        Self {
            facts: StoredFacts::of(&warm.facts),
            timeline: store_timeline(&warm.timeline, WarmStage::as_str),
            placement: StoredPlacement::of(&warm.placement),
            kind: warm.kind.as_str().to_owned(),
            words: warm.words.clone(),
            runner: warm.runner.clone(),
            usd: warm.cost_usd,
        }
    }

    pub(in crate::store) fn read(
        self,
        name: WarmName,
        version: Version,
    ) -> Result<EndedWarm, UnreadableError> {
        Ok(EndedWarm {
            facts: self.facts.read(name)?,
            version,
            timeline: read_timeline(&self.timeline, &WarmStage::ALL, WarmStage::as_str)?,
            placement: self.placement.read()?,
            kind: known("ending", &self.kind, &WarmEnd::ALL, WarmEnd::as_str)?,
            words: self.words,
            runner: self.runner,
            cost_usd: self.usd,
        })
    }
}
