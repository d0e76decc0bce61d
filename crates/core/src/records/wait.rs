//! Where the wait of a job went: from GitHub's `queued` to its first step, split into parts that add up.
//!
//! A runner's record keeps the times that it is computed from, so that nothing else has to be read to show it. A part
//! whose beginning or end is not known is empty, and its time counts as unknown.

use jiff::{SignedDuration, Timestamp};

use crate::records::runner::{EndedRunner, Runner, RunnerFacts, RunnerStage};
use crate::records::timeline::Timeline;
use crate::records::times::{HeldBy, JobTimes, Times};
use crate::wire::exit_record::AgentTimes;
use crate::wire_form::by_wire_form;

/// A part of a job's wait.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// From GitHub's time of the job to its record here.
    Webhook,
    /// From its record to the reservation of its runner, with nothing in the way.
    Decision,
    /// The same time, if a limit, a pace, a hold or missing capacity was in the way.
    Held,
    /// From the reservation to the task's acceptance.
    Launch,
    /// From the task's acceptance to the pull: a network interface and a machine.
    Provision,
    /// The pull of the image. On one machine, the runner's own copy of GitHub's runner.
    Pull,
    /// From the pull to the agent's start.
    Container,
    /// From the agent's start to the moment when it has its boot item. For a warm task, from the reservation.
    HandOver,
    /// From the boot item to the listener's start.
    Agent,
    /// From the listener's start to its connection.
    Listener,
    /// From the connection to a session with GitHub.
    Session,
    /// From the session to the job's start.
    Assignment,
}

impl Part {
    pub const ALL: [Self; 12] = [
        Self::Webhook,
        Self::Decision,
        Self::Held,
        Self::Launch,
        Self::Provision,
        Self::Pull,
        Self::Container,
        Self::HandOver,
        Self::Agent,
        Self::Listener,
        Self::Session,
        Self::Assignment,
    ];

    /// The wire form, pinned.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Decision => "decision",
            Self::Held => "held",
            Self::Launch => "launch",
            Self::Provision => "provision",
            Self::Pull => "pull",
            Self::Container => "container",
            Self::HandOver => "hand_over",
            Self::Agent => "agent",
            Self::Listener => "listener",
            Self::Session => "session",
            Self::Assignment => "assignment",
        }
    }

    /// The word in text for people. It differs from the wire form only where that has two words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::HandOver => "hand-over",
            other => other.as_str(),
        }
    }

    /// A few words for a person.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Webhook => "until GitHub's webhook was recorded",
            Self::Decision => "until a runner was reserved",
            Self::Held => "held back before a runner was reserved",
            Self::Launch => "until the task was accepted",
            Self::Provision => "until the pull began: network interface and machine",
            Self::Pull => "pulling the image",
            Self::Container => "starting the container",
            Self::HandOver => "until the agent had its configuration",
            Self::Agent => "starting the listener",
            Self::Listener => "until the listener was connected",
            Self::Session => "until GitHub gave it a session",
            Self::Assignment => "until GitHub had assigned and started the job",
        }
    }
}

by_wire_form!(Part, "part of a wait");

/// The wait of one job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wait {
    /// From GitHub's `queued` to the job's start.
    pub total: SignedDuration,
    parts: [Option<SignedDuration>; Part::ALL.len()],
    /// Whether its runner took over a warm task, so that no task was started for it.
    pub warm: bool,
    /// What held it back.
    pub held_by: Option<HeldBy>,
}

impl Wait {
    #[must_use]
    pub fn part(&self, part: Part) -> Option<SignedDuration> {
        self.parts[part as usize]
    }

    /// The parts that are known, in their order.
    pub fn parts(&self) -> impl Iterator<Item = (Part, SignedDuration)> {
        Part::ALL.into_iter().filter_map(|part| Some((part, self.part(part)?)))
    }

    /// The time that belongs to no known part.
    #[must_use]
    pub fn unknown(&self) -> SignedDuration {
        self.parts().fold(self.total, |left, (_, length)| left - length)
    }
}

impl Runner {
    /// Returns the wait of the job that it executes.
    #[must_use]
    pub fn wait(&self) -> Option<Wait> {
        split(&self.facts, &self.timeline, &self.times)
    }
}

impl EndedRunner {
    /// Returns the wait of the job that it executed.
    #[must_use]
    pub fn wait(&self) -> Option<Wait> {
        split(&self.facts, &self.timeline, &self.times)
    }
}

/// Splits the wait of a runner's job; `None` as long as no job has started on it.
///
/// Clocks differ, and a runner may have been there before its job. So no moment counts as earlier than the one before it,
/// and none as later than the start of the job.
#[must_use]
pub fn split(facts: &RunnerFacts, timeline: &Timeline<RunnerStage>, times: &Times) -> Option<Wait> {
    let Intervals { queued_at, started_at, known } = intervals(facts, timeline, times)?;
    let mut parts = [None; Part::ALL.len()];
    for Interval { part, from, to } in known {
        parts[part as usize] = Some(to.duration_since(from));
    }
    let held_by = times.job.as_ref().and_then(|job| job.held_by);
    Some(Wait { total: started_at.duration_since(queued_at), parts, warm: facts.warm.is_some(), held_by })
}

/// The wait of a job as moments: when it was queued and started, and the parts whose beginning and end are known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intervals {
    pub queued_at: Timestamp,
    pub started_at: Timestamp,
    pub known: Vec<Interval>,
}

/// A part of a wait, from when until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    pub part: Part,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Returns the parts of the wait as [`split`] does, with their times.
#[must_use]
pub fn intervals(facts: &RunnerFacts, timeline: &Timeline<RunnerStage>, times: &Times) -> Option<Intervals> {
    let job = times.job.as_ref()?;
    let agent = times.agent.as_ref().map(|report| &report.times);
    let queued_at = queued_at(job);
    let (task, warm) = (&times.task, facts.warm.is_some());
    let of_agent = |step: fn(&AgentTimes) -> Option<Timestamp>| agent.and_then(step);
    let until_reserved = if job.held_by.is_some() { Part::Held } else { Part::Decision };
    let mut moments =
        vec![(Part::Webhook, job.recorded_at), (until_reserved, timeline.at(RunnerStage::Reserved))];
    // A warm task was started before, for no job.
    if !warm {
        let accepted = task.created.or_else(|| timeline.at(RunnerStage::Starting));
        moments.extend([
            (Part::Launch, accepted),
            (Part::Provision, task.pull_started),
            (Part::Pull, task.pull_stopped),
            (Part::Container, of_agent(|times| times.started).or(task.started)),
        ]);
    }
    moments.extend([
        (Part::HandOver, of_agent(|times| times.boot_item_taken)),
        (Part::Agent, of_agent(|times| times.listener_started)),
        (Part::Listener, of_agent(|times| times.connected)),
        (Part::Session, of_agent(|times| times.session_made)),
        (Part::Assignment, Some(job.started_at)),
    ]);
    let started_at = job.started_at.max(queued_at);
    let mut known = Vec::new();
    let (mut last, mut is_known) = (queued_at, true);
    for (part, moment) in moments {
        if let Some(at) = moment {
            let at = at.clamp(last, started_at);
            known.extend(is_known.then_some(Interval { part, from: last, to: at }));
            last = at;
        }
        is_known = moment.is_some();
    }
    Some(Intervals { queued_at, started_at, known })
}

/// GitHub tells the time of a job in whole seconds. The end of that second counts, but no time after the record: a wait is
/// rather too short than too long.
fn queued_at(job: &JobTimes) -> Timestamp {
    if job.queued_at.subsec_nanosecond() != 0 {
        return job.queued_at;
    }
    let end = job.queued_at.checked_add(SignedDuration::from_secs(1)).unwrap_or(job.queued_at);
    let known = job.recorded_at.unwrap_or(job.started_at);
    end.min(known).max(job.queued_at)
}

#[cfg(test)]
mod tests;
