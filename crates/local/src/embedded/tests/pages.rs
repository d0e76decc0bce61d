//! Reads of all open records that take several pages, while records change.

use std::sync::Mutex;

use ecsrunner_aws::store::{Answer, Transport};
use ecsrunner_core::records::rerun::{Loss, Outcome, RerunId, RerunRecord};
use ecsrunner_engine::ports::store::{History, Page};

use super::*;

/// The embedded database with one record in each page. A transaction is written before the page after a key that begins
/// with this text is read.
#[derive(Clone)]
struct Paged {
    inner: Embedded,
    before: Arc<Mutex<Option<Meanwhile>>>,
}

/// A transaction, the store that writes it, and the key after which it is written.
type Meanwhile = (&'static str, DynamoStore, Vec<Change>);

impl Transport for Paged {
    async fn call(&self, operation: &str, body: &[u8]) -> Answer {
        if operation != "Query" {
            return self.inner.call(operation, body).await;
        }
        let mut query: Value = serde_json::from_slice(body).unwrap();
        query["Limit"] = json!(1);
        let after = query["ExclusiveStartKey"]["sk"]["S"].as_str().unwrap_or_default();
        let due = self.before.lock().unwrap().take_if(|(key, ..)| after.starts_with(*key));
        if let Some((_, store, changes)) = due {
            store.commit(Transaction::of(&changes)).await.unwrap();
        }
        self.inner.call(operation, query.to_string().as_bytes()).await
    }
}

#[tokio::test]
async fn a_loss_that_is_written_while_the_open_records_are_read_is_seen_with_its_stopped_runner() {
    let fixture = Fixture::new().await;
    let busy = runner();
    let (name, cause) = (busy.name().clone(), Reason::from(Code::SpotInterrupted));
    let id = RerunId {
        repository: Repository::parse("acme/application").unwrap(),
        run: RunId::new(17_000_000_001),
        name: "build".into(),
    };
    let outcome = Outcome {
        id,
        job: JobId::new(7),
        attempt: 1,
        class: None,
        runner: Some(name.clone()),
        failed: true,
        at: at(10),
    };
    fixture.write(Change::Rerun(Box::new(RerunRecord::Outcome(outcome)))).await.unwrap();
    fixture.write(Change::Runner(Runner { version: Version::FIRST, ..busy.clone() })).await.unwrap();

    let stopped = Runner {
        version: Version::FIRST.next(),
        ..busy.end(ecsrunner_core::records::runner::EndingKind::SpotInterrupted, None, at(20))
    };
    let loss = RerunRecord::Loss(Loss { runner: name, job: Some(JobId::new(7)), cause, at: at(20) });
    let changes = vec![Change::Runner(stopped.clone()), Change::Rerun(Box::new(loss.clone()))];
    let store = DynamoStore::embedded(fixture.database.clone(), fixture.tables.clone());
    let before = Arc::new(Mutex::new(Some(("rerun#outcome#", store, changes))));
    let paged = DynamoStore::embedded(
        Paged { inner: fixture.database.clone(), before: Arc::clone(&before) },
        fixture.tables.clone(),
    );
    let open = paged.open().await.unwrap();
    assert!(before.lock().unwrap().is_none(), "it was written between two pages");
    assert_eq!(open.runners.values().next(), Some(&stopped));
    assert!(open.reruns.contains_key(&loss.key()), "{:?}", open.reruns);
    assert_eq!(open.reruns.len(), 2);
}

#[tokio::test]
async fn a_cursor_that_no_page_gave_is_a_callers_mistake_and_a_record_of_a_newer_release_is_none() {
    let fixture = Fixture::new().await;
    // No base64, and another JSON.
    for after in ["given out by none", "e30"] {
        let page = Page { limit: 9, after: Some(after.to_owned()), ..Page::default() };
        let refused = fixture.store.jobs(&page).await;
        assert!(matches!(refused, Err(StoreError::Cursor { .. })), "{refused:?}");
    }
    fixture.put(
        &json!({"pk": {"S": "job#7"}, "sk": {"S": "ended"}, "s": {"N": "99"}, "v": {"N": "1"}, "d": {"S": "{}"}}),
    );
    let refused = fixture.store.job(JobId::new(7)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    let words = ecsrunner_engine::chain(&refused);
    assert!(words.contains("schema 99"), "{words}");
}
