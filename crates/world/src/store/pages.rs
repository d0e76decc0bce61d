//! Reads what is open as DynamoDB does: page by page in the order of the items' keys. Each page shows the moment at which
//! it was read, so a transaction that is written meanwhile may be seen in part.

use std::time::Duration;

use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::rerun::{RerunKey, RerunRecord};
use ecsrunner_core::records::shared_map::SharedMap;

use crate::outside::Shared;

/// How long a page takes at least.
const PAGE_TAKES: Duration = Duration::from_millis(1);
/// The records of a page. Many records of a kind are one page, which is as long as DynamoDB's.
const PAGE: usize = 20;
const MANY: usize = 200;

/// Reads everything that is open, in the order of the real keys: `budget#`, `hold#`, `image#`, `job#`, `level#`, `rerun#job#`, `rerun#loss#`,
/// `rerun#outcome#`, `runner#`, `warm#`.
pub(super) async fn read(shared: &Shared) -> Open {
    let mut read = Open { ..Open::default() };
    {
        let open = &shared.lock().tables.open;
        (read.unreadable, read.unreadable_runners) = (open.unreadable, open.unreadable_runners);
        (read.unreadable_warm, read.unreadable_images) = (open.unreadable_warm, open.unreadable_images);
        read.overspends = open.overspends.clone();
        read.holds = open.holds.clone();
        read.images = open.images.clone();
    }
    turn(shared).await;
    while next_page(&shared.lock().tables.open.jobs, &mut read.jobs) {
        turn(shared).await;
    }
    read.levels = shared.lock().tables.open.levels.clone();
    turn(shared).await;
    read_reruns(shared, &mut read).await;
    while next_page(&shared.lock().tables.open.runners, &mut read.runners) {
        turn(shared).await;
    }
    read.warm = shared.lock().tables.open.warm.clone();
    turn(shared).await;
    // As the port promises: reruns are not older than jobs and runners.
    if !read.reruns.is_empty() {
        read.reruns.clear();
        read_reruns(shared, &mut read).await;
    }
    read
}

async fn read_reruns(shared: &Shared, read: &mut Open) {
    let kinds: [fn(&RerunKey) -> bool; 3] = [
        |key| matches!(key, RerunKey::Rerun(_)),
        |key| matches!(key, RerunKey::Loss(_)),
        |key| matches!(key, RerunKey::Outcome(_)),
    ];
    for is_of_kind in kinds {
        let records: Vec<RerunRecord> = {
            let open = &shared.lock().tables.open;
            open.reruns.iter().filter(|(key, _)| is_of_kind(key)).map(|(_, record)| record.clone()).collect()
        };
        records.into_iter().for_each(|record| read.add_rerun(record));
        turn(shared).await;
    }
}

/// Waits until the next page is read.
async fn turn(shared: &Shared) {
    let takes = shared.lock().fault_plan.page_takes;
    tokio::time::sleep(takes.max(PAGE_TAKES)).await;
}

/// Adds the records after those that were read. Returns whether there may be more.
fn next_page<K: Ord + Clone, V: Clone>(stored: &SharedMap<K, V>, read: &mut SharedMap<K, V>) -> bool {
    if read.is_empty() && stored.len() > MANY {
        *read = stored.clone();
        return false;
    }
    let last = read.keys().next_back().cloned();
    let later = stored.iter().filter(|(key, _)| last.as_ref().is_none_or(|last| *key > last));
    let page: Vec<(K, V)> = later.take(PAGE).map(|(key, value)| (key.clone(), value.clone())).collect();
    let is_full = page.len() == PAGE;
    page.into_iter().for_each(|(key, value)| read.insert(key, value));
    is_full
}
