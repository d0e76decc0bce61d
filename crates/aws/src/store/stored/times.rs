//! The stored form of the times from which the wait of a runner's job is computed. All of it is optional: earlier releases
//! stored none.

use ecsrunner_core::records::times::{AgentReport, HeldBy, JobTimes, Times};
use ecsrunner_core::rules::image::RunnerVersion;
use ecsrunner_core::wire::event::TaskTimes;
use ecsrunner_core::wire::exit_record::AgentTimes;
use ecsrunner_core::wire::peaks::Peaks;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::UnreadableError;

/// Milliseconds since the runner was reserved.
type Millis = i64;

/// The times of a runner. Each array may become longer at its end: what a later release adds is left out.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredTimes {
    /// The steps of its task.
    #[serde(rename = "k", default, skip_serializing_if = "Vec::is_empty")]
    task: Vec<Option<Millis>>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    agent: Option<StoredReport>,
    #[serde(rename = "j", default, skip_serializing_if = "Option::is_none")]
    job: Option<StoredJobTimes>,
}

/// When the exit record was written, the steps of the agent, the version of GitHub's runner, and what the job used.
#[derive(PartialEq)]
struct StoredReport(Millis, Vec<Option<Millis>>, Option<String>, Vec<Option<u64>>);

impl Serialize for StoredReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(written_at, steps, version, peaks) = self;
        match (version, peaks.is_empty()) {
            (None, true) => (written_at, steps).serialize(serializer),
            (Some(version), true) => (written_at, steps, version).serialize(serializer),
            (version, false) => (written_at, steps, version, peaks).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for StoredReport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut parts = Vec::<Value>::deserialize(deserializer)?.into_iter();
        let (written_at, steps, version) = (next(&mut parts)?, next(&mut parts)?, next(&mut parts)?);
        // Earlier releases stored none.
        let peaks: Option<Vec<Option<u64>>> = next(&mut parts)?;
        Ok(Self(written_at, steps, version, peaks.unwrap_or_default()))
    }
}

/// When the job was queued, recorded and started, and what held it back.
#[derive(PartialEq, Serialize)]
struct StoredJobTimes(
    Millis,
    Option<Millis>,
    Millis,
    #[serde(skip_serializing_if = "Option::is_none")] Option<String>,
);

impl<'de> Deserialize<'de> for StoredJobTimes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut parts = Vec::<Value>::deserialize(deserializer)?.into_iter();
        Ok(Self(next(&mut parts)?, next(&mut parts)?, next(&mut parts)?, next(&mut parts)?))
    }
}

/// Reads the next part of an array. One that is not there is `null`.
fn next<T: DeserializeOwned, E: Error>(parts: &mut impl Iterator<Item = Value>) -> Result<T, E> {
    serde_json::from_value(parts.next().unwrap_or_default()).map_err(E::custom)
}

impl StoredTimes {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the stored form of the times of a runner that was reserved at `began`.
    pub(super) fn of(times: &Times, began: Timestamp) -> Self {
        let millis = |at: Timestamp| at.as_millisecond() - began.as_millisecond();
        let steps = |steps: &[Option<Timestamp>]| -> Vec<Option<Millis>> {
            let known = steps.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            steps[..known].iter().map(|step| step.map(millis)).collect()
        };
        Self {
            task: steps(&times.task.steps()),
            agent: times.agent.as_ref().map(|report| {
                let version = report.runner_version.map(|version| version.to_string());
                let peaks = report.peaks.map(|peaks| peaks.values().to_vec()).unwrap_or_default();
                StoredReport(millis(report.written_at), steps(&report.times.steps()), version, peaks)
            }),
            job: times.job.as_ref().map(|job| {
                let held_by = job.held_by.map(|by| by.as_str().to_owned());
                let recorded_at = job.recorded_at.map(millis);
                StoredJobTimes(millis(job.queued_at), recorded_at, millis(job.started_at), held_by)
            }),
        }
    }

    pub(super) fn read(self, began: Timestamp) -> Result<Times, UnreadableError> {
        let at = |millis: Millis| Timestamp::from_millisecond(began.as_millisecond().saturating_add(millis));
        let steps = |stored: Vec<Option<Millis>>| stored.into_iter().map(|step| step.map(at).transpose());
        let agent = self.agent.map(|StoredReport(written_at, stored, version, peaks)| {
            Ok::<_, UnreadableError>(AgentReport {
                written_at: at(written_at)?,
                times: AgentTimes::from_steps(first(steps(stored))?),
                runner_version: version.and_then(|version| RunnerVersion::parse(&version).ok()),
                peaks: (!peaks.is_empty()).then(|| Peaks::from_values(first_values(&peaks))),
            })
        });
        let job = self.job.map(|StoredJobTimes(queued_at, recorded_at, started_at, held_by)| {
            Ok::<_, UnreadableError>(JobTimes {
                queued_at: at(queued_at)?,
                recorded_at: recorded_at.map(at).transpose()?,
                started_at: at(started_at)?,
                // One of a newer release is an obstacle that this one does not know.
                held_by: held_by.map(|by| HeldBy::parse(&by).unwrap_or(HeldBy::Hold)),
            })
        });
        Ok(Times {
            task: TaskTimes::from_steps(first(steps(self.task))?),
            agent: agent.transpose()?,
            job: job.transpose()?,
        })
    }
}

/// Returns the first values; those that are not there were not measured.
fn first_values<const N: usize>(stored: &[Option<u64>]) -> [Option<u64>; N] {
    std::array::from_fn(|index| stored.get(index).copied().flatten())
}

/// Returns the first steps; those that are not there were not reached.
fn first<const N: usize>(
    mut steps: impl Iterator<Item = Result<Option<Timestamp>, jiff::Error>>,
) -> Result<[Option<Timestamp>; N], jiff::Error> {
    let mut all = [None; N];
    for step in &mut all {
        *step = steps.next().transpose()?.flatten();
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_that_a_later_release_made_longer_are_read_and_their_ends_left_out() {
        let now = r#"{"k":[1,null,3],"a":[9,[4,5],"2.337.0"],"j":[0,1,8,"limit"]}"#;
        let later = r#"{"k":[1,null,3,null,null,null,null,null,7],"a":[9,[4,5],"2.337.0",null,{"x":1}],"j":[0,1,8,"limit",true]}"#;
        let read = |text: &str| {
            let stored: StoredTimes = serde_json::from_str(text).unwrap();
            stored.read(Timestamp::UNIX_EPOCH).unwrap()
        };
        assert_eq!(read(later), read(now));
        let peaks = |text: &str| read(text).agent.unwrap().peaks.unwrap();
        let (now, later) =
            (r#"{"a":[9,[],null,[1,null,3]]}"#, r#"{"a":[9,[],null,[1,null,3,null,null,null,null,8]]}"#);
        assert_eq!(
            peaks(now),
            Peaks { measured_ms: Some(1), throttled_percent: Some(3), ..Peaks::default() }
        );
        assert_eq!(peaks(later), peaks(now));
    }
}
