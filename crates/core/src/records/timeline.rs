//! The stages that a job or a runner has reached, and when.

use jiff::Timestamp;

/// Stages in the order in which they were recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timeline<S>(Vec<(S, Timestamp)>);

impl<S: Copy + PartialEq> Timeline<S> {
    /// Returns a timeline that begins with this stage.
    #[must_use]
    pub fn begin(stage: S, at: Timestamp) -> Self {
        Self(vec![(stage, at)])
    }

    /// Adds a stage. Times in a timeline never decrease, although GitHub's clock
    /// has whole seconds and ours does not.
    pub fn push(&mut self, stage: S, at: Timestamp) {
        let at = self.0.last().map_or(at, |(_, last)| at.max(*last));
        self.0.push((stage, at));
    }

    /// When a stage was first reached.
    #[must_use]
    pub fn at(&self, stage: S) -> Option<Timestamp> {
        self.0.iter().find(|(have, _)| *have == stage).map(|(_, at)| *at)
    }

    /// When a stage was last reached: a runner can be brought back from its ending.
    #[must_use]
    pub fn last_at(&self, stage: S) -> Option<Timestamp> {
        self.0.iter().rev().find(|(have, _)| *have == stage).map(|(_, at)| *at)
    }

    #[must_use]
    pub fn began(&self) -> Timestamp {
        self.0.first().map_or(Timestamp::UNIX_EPOCH, |(_, at)| *at)
    }

    /// When the last stage was reached.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        self.0.last().map_or(Timestamp::UNIX_EPOCH, |(_, at)| *at)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (S, Timestamp)> {
        self.0.iter().copied()
    }
}

impl<S> FromIterator<(S, Timestamp)> for Timeline<S> {
    fn from_iter<I: IntoIterator<Item = (S, Timestamp)>>(stages: I) -> Self {
        Self(stages.into_iter().collect())
    }
}
