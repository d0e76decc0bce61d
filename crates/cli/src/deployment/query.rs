//! Which records a list has, and reading them page by page.

use std::collections::HashMap;

use anyhow::anyhow;
use ecsrunner_api::job::JobView;
use ecsrunner_api::list::OPEN_CURSOR;
use ecsrunner_api::runner::RunnerView;
use ecsrunner_core::records::job::JobStage;
use ecsrunner_core::records::runner::RunnerStage;
use jiff::Timestamp;

use crate::exit::Failure;

/// The most records of history that a list, or one of its slices, reads.
const MAX_RECORDS: usize = 200_000;

#[derive(Clone, Default, Debug)]
pub(crate) struct Query {
    pub(crate) repository: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) state: Option<State>,
    /// Omits records that ended earlier.
    pub(crate) since: Option<Timestamp>,
    /// The maximum number of records; all by default.
    pub(crate) limit: Option<usize>,
    /// Omits history.
    pub(crate) open_only: bool,
}

impl Query {
    /// Restricts the query to open records.
    pub(crate) fn open(self) -> Self {
        Self { open_only: true, ..self }
    }

    pub(super) fn admits(&self, record: &impl Listed) -> bool {
        let admits = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| have.is_some_and(|have| have.eq_ignore_ascii_case(wanted)))
        };
        let is_late = self.since.is_none_or(|since| record.last().is_none_or(|last| last >= since));
        admits(&self.repository, Some(record.repository()))
            && admits(&self.class, record.class())
            && self.state.is_none_or(|state| record.state() == state)
            && (is_late || !record.is_past())
            && !(self.open_only && record.is_past())
    }

    /// Returns whether no further page of history is needed. `last` is when the last record read ended.
    fn is_enough(&self, admitted: usize, last: Option<Timestamp>) -> bool {
        self.open_only
            || self.limit.is_some_and(|limit| admitted >= limit)
            || self.since.is_some_and(|since| last.is_some_and(|last| last < since))
    }
}

pub(super) trait Listed {
    /// Returns the record's id among those of its kind.
    fn key(&self) -> String;
    /// Returns when the record last changed.
    fn last(&self) -> Option<Timestamp>;
    fn repository(&self) -> &str;
    fn class(&self) -> Option<&str>;
    fn state(&self) -> State;

    fn is_past(&self) -> bool {
        self.state().is_past()
    }
}

/// The state of a job or of a runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Job(JobStage),
    Runner(RunnerStage),
}

impl State {
    /// Returns whether records in this state are history.
    pub(super) fn is_past(self) -> bool {
        matches!(self, Self::Job(JobStage::Completed | JobStage::Refused) | Self::Runner(RunnerStage::Gone))
    }
}

impl Listed for JobView {
    fn key(&self) -> String {
        self.id.to_string()
    }

    fn last(&self) -> Option<Timestamp> {
        self.timeline.last().map(|stage| stage.at)
    }

    fn repository(&self) -> &str {
        &self.repository
    }

    fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }

    fn state(&self) -> State {
        State::Job(self.state)
    }
}

impl Listed for RunnerView {
    fn key(&self) -> String {
        self.name.clone()
    }

    fn last(&self) -> Option<Timestamp> {
        self.timeline.last().map(|stage| stage.at)
    }

    fn repository(&self) -> &str {
        self.repository.as_deref().unwrap_or_default()
    }

    fn class(&self) -> Option<&str> {
        Some(&self.class)
    }

    fn state(&self) -> State {
        State::Runner(self.state)
    }
}

/// Reads page by page, the latest first, until the query is satisfied.
pub(super) async fn gather<T: Listed>(
    query: &Query,
    mut read: impl AsyncFnMut(Option<String>) -> Result<(Vec<T>, Option<String>), Failure>,
) -> Result<Vec<T>, Failure> {
    let (mut admitted, mut records, mut after): (Vec<Option<T>>, _, _) = (Vec::new(), 0, None);
    let mut places = HashMap::new();
    loop {
        let (page, next) = read(after).await?;
        records += page.len();
        let last = page.last().and_then(Listed::last);
        for record in page {
            // A record that ends while pages are read is listed open and then ended: the later one is right.
            let key = record.key();
            let record = query.admits(&record).then_some(record);
            match places.get(&key) {
                Some(place) => admitted[*place] = record,
                None if record.is_some() => {
                    places.insert(key, admitted.len());
                    admitted.push(record);
                }
                None => {}
            }
        }
        after = next;
        let is_history = after.as_deref().is_none_or(|after| !after.starts_with(OPEN_CURSOR));
        if after.is_none() || (is_history && query.is_enough(admitted.len(), last)) {
            return Ok(admitted.into_iter().flatten().collect());
        }
        if records >= MAX_RECORDS {
            // A part of the records could be mistaken for all of them.
            return Err(Failure::from(anyhow!("more than {records} records match"))
                .hint("use `--since` or `--repository` to select fewer"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record: state, class, and the second of its last change.
    struct Record(State, Option<&'static str>, i64);

    impl Listed for Record {
        fn key(&self) -> String {
            format!("{:?} {}", self.1, self.2)
        }

        fn last(&self) -> Option<Timestamp> {
            Some(Timestamp::from_second(self.2).unwrap())
        }

        fn repository(&self) -> &str {
            "acme/app"
        }

        fn class(&self) -> Option<&str> {
            self.1
        }

        fn state(&self) -> State {
            self.0
        }
    }

    #[tokio::test]
    async fn a_record_that_ends_while_pages_are_read_is_listed_once_as_it_ended() {
        let (queued, completed) = (State::Job(JobStage::Queued), State::Job(JobStage::Completed));
        let listed = async |query: &Query| {
            let mut pages = vec![
                (vec![Record(completed, Some("a"), 1), Record(completed, Some("b"), 2)], None),
                (vec![Record(queued, Some("c"), 3)], Some("history".to_owned())),
                (vec![Record(queued, Some("a"), 1)], Some(format!("{OPEN_CURSOR}1"))),
            ];
            let listed = gather(query, async |_| Ok(pages.pop().unwrap())).await.unwrap();
            listed.iter().map(|record| (record.1.unwrap(), record.0)).collect::<Vec<_>>()
        };
        assert_eq!(listed(&Query::default()).await, [("a", completed), ("c", queued), ("b", completed)]);
        // A page of open records that are old, or that match nothing, ends no list.
        assert_eq!(listed(&Query::default().open()).await, [("a", queued), ("c", queued)]);
        let late = Query { since: Some(Timestamp::from_second(2).unwrap()), ..Query::default() };
        assert_eq!(listed(&late).await, [("c", queued), ("b", completed)]);
    }

    #[test]
    fn what_is_open_is_listed_however_old_and_what_ended_before_is_not() {
        let (queued, completed) = (State::Job(JobStage::Queued), State::Job(JobStage::Completed));
        let query = Query { since: Some(Timestamp::from_second(100).unwrap()), ..Query::default() };
        assert!(query.admits(&Record(queued, None, 1)));
        assert!(query.admits(&Record(completed, None, 100)));
        assert!(!query.admits(&Record(completed, None, 99)));
        let query = Query { class: Some("Small".to_owned()), ..query };
        assert!(query.admits(&Record(State::Runner(RunnerStage::Gone), Some("small"), 200)));
        assert!(!query.admits(&Record(queued, None, 200)));
    }
}
