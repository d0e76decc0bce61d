//! The stored form of a sweep's progress. It is one item, so the code that fills
//! its lists limits them. Times are stored exactly, to the nanosecond.

use std::collections::BTreeMap;

use ecsrunner_core::decide::sweep::{Backlog, DeliveryMark, DeliveryProgress, KnownScope, SweepProgress};
use ecsrunner_core::id::RunnerName;
use ecsrunner_core::rules::pool::Scope;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A sweep's progress. If a field is missing, the sweep starts over there.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredProgress {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    missing: BTreeMap<RunnerName, Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<StoredScope>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handled: Option<StoredMark>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backlog: Option<StoredBacklog>,
    #[serde(default)]
    repositories_asked: u32,
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
        let SweepProgress { began_at, missing, scopes, deliveries, repositories_asked } = progress.clone();
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
            repositories_asked,
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
            },
            repositories_asked: self.repositories_asked,
        }
    }
}
