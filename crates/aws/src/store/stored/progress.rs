//! The stored form of a sweep's progress. It is one item, so the code that fills
//! its lists limits them. Times are stored exactly, to the nanosecond.

use std::collections::BTreeMap;

use ecsrunner_core::decide::sweep::{
    Backlog, DeliveryMark, DeliveryProgress, KnownScope, NextPage, RepositoryProgress, Sight, SweepProgress,
};
use ecsrunner_core::id::{Repository, RunId, TaskName};
use ecsrunner_core::rules::pace::Level;
use ecsrunner_core::rules::pool::Scope;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A sweep's progress. If a field is missing, the sweep starts over there.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredProgress {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    missing: BTreeMap<TaskName, Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<StoredScope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handled: Option<StoredMark>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backlog: Option<StoredBacklog>,
    /// When the App's webhook last reported a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown_at: Option<Timestamp>,
    /// Whether later jobs became known without its deliveries.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
    #[serde(default)]
    repositories_asked: u32,
    #[serde(default, skip_serializing_if = "StoredRotation::is_empty")]
    rotation: StoredRotation,
}

/// The rotation through the repositories, without the number of those that were asked.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct StoredRotation {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<StoredPage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    page: Vec<Repository>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    partial: BTreeMap<Repository, RunId>,
    /// When the budget will be whole again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used: Option<Timestamp>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct StoredPage {
    source: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

impl StoredRotation {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn of(progress: RepositoryProgress) -> (u32, Self) {
        let RepositoryProgress { began_at, next, page, asked, partial, used } = progress;
        let next = next.map(|NextPage { source, cursor }| StoredPage { source, cursor });
        (asked, Self { began_at, next, page, partial, used: used.map(|Level(at)| at) })
    }

    fn read(self, asked: u32) -> RepositoryProgress {
        let Self { began_at, next, page, partial, used } = self;
        let next = next.map(|StoredPage { source, cursor }| NextPage { source, cursor });
        RepositoryProgress { began_at, next, page, asked, partial, used: used.map(Level) }
    }
}

#[derive(Serialize, Deserialize)]
struct StoredScope {
    scope: Scope,
    seen_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looked_at: Option<Timestamp>,
    next_page: u32,
}

/// A delivery's number and time.
#[derive(Serialize, Deserialize)]
struct StoredMark(u64, Timestamp);

#[derive(Serialize, Deserialize)]
struct StoredBacklog {
    from: StoredMark,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    down_to: StoredMark,
}

impl StoredMark {
    fn of(mark: DeliveryMark) -> Self {
        Self(mark.number, mark.at)
    }

    fn read(self) -> DeliveryMark {
        DeliveryMark { number: self.0, at: self.1 }
    }
}

impl StoredProgress {
    pub(in crate::store) fn of(progress: &SweepProgress) -> Self {
        let SweepProgress { began_at, missing, scopes, deliveries, repositories } = progress.clone();
        let (shown_at, stopped) = match deliveries.sight {
            Sight::Never => (None, false),
            Sight::Shown(at) => (Some(at), false),
            Sight::Stopped(at) => (Some(at), true),
        };
        let (repositories_asked, rotation) = StoredRotation::of(repositories);
        let backlog = |Backlog { from, cursor, down_to }: Backlog| StoredBacklog {
            from: StoredMark::of(from),
            cursor,
            down_to: StoredMark::of(down_to),
        };
        Self {
            began_at,
            missing,
            scopes: scopes
                .into_iter()
                .map(|KnownScope { scope, seen_at, looked_at, next_page }| StoredScope {
                    scope,
                    seen_at,
                    looked_at,
                    next_page,
                })
                .collect(),
            handled: deliveries.handled.map(StoredMark::of),
            backlog: deliveries.backlog.map(backlog),
            shown_at,
            stopped,
            repositories_asked,
            rotation,
        }
    }

    pub(in crate::store) fn read(self) -> SweepProgress {
        let backlog = |StoredBacklog { from, cursor, down_to }: StoredBacklog| Backlog {
            from: from.read(),
            cursor,
            down_to: down_to.read(),
        };
        SweepProgress {
            began_at: self.began_at,
            missing: self.missing,
            scopes: self
                .scopes
                .into_iter()
                .map(|StoredScope { scope, seen_at, looked_at, next_page }| KnownScope {
                    scope,
                    seen_at,
                    looked_at,
                    next_page,
                })
                .collect(),
            deliveries: DeliveryProgress {
                handled: self.handled.map(StoredMark::read),
                backlog: self.backlog.map(backlog),
                sight: match self.shown_at {
                    None => Sight::Never,
                    Some(at) if self.stopped => Sight::Stopped(at),
                    Some(at) => Sight::Shown(at),
                },
            },
            repositories: self.rotation.read(self.repositories_asked),
        }
    }
}
