//! Finds changes by reading the records at intervals and comparing them, for a deployment that does not report changes.
//!
//! Records are read only while a client is connected. All clients share one reading.

mod known;

use std::convert::Infallible;
use std::time::Duration;

use ecsrunner_api::event::EventView;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, watch};

use crate::backend::{Refusal, Source};
use known::Known;

/// Changes that a listener can lag behind before it has to read the lists again.
const CHANGES_KEPT: usize = 1024;
/// After a time without clients, records that were read longer ago are not compared with: a new client reads the lists
/// anyway.
const MAX_AGE: Duration = Duration::from_secs(60);

/// How often records are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// While something is open.
    pub busy: Duration,
    /// While nothing is.
    pub quiet: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { busy: Duration::from_secs(2), quiet: Duration::from_secs(5) }
    }
}

/// Reads records while a client is connected.
#[derive(Debug)]
pub struct Poller {
    pace: Pace,
    told: broadcast::Sender<Told>,
    /// The result of the last reading; `None` while nobody listens.
    read: watch::Sender<Option<Result<(), Refusal>>>,
    wanted: Notify,
}

#[derive(Clone, Debug)]
enum Told {
    Change(EventView),
    /// The records could not be read. A client that connects again is told why.
    End,
}

impl Poller {
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            told: broadcast::channel(CHANGES_KEPT).0,
            read: watch::channel(None).0,
            wanted: Notify::new(),
        }
    }

    /// Returns the changes from now on. It waits for a reading, with which later ones are compared.
    ///
    /// # Errors
    ///
    /// The records cannot be read.
    pub async fn listen(&self) -> Result<BoxStream<'static, EventView>, Refusal> {
        let told = self.told.subscribe();
        let mut read = self.read.subscribe();
        self.wanted.notify_one();
        let first = read.wait_for(Option::is_some).await.map(|read| read.clone());
        if let Ok(Some(Err(refusal))) = first {
            return Err(refusal);
        }
        let changes = stream::unfold(told, |mut told| async move {
            let change = match told.recv().await {
                Ok(Told::Change(change)) => change,
                Err(RecvError::Lagged(_)) => EventView::Lagged,
                Ok(Told::End) | Err(RecvError::Closed) => return None,
            };
            Some((change, told))
        });
        Ok(changes.boxed())
    }

    /// Waits until nobody listens and nothing is read.
    #[cfg(test)]
    pub(crate) async fn rests(&self) {
        let mut read = self.read.subscribe();
        assert!(read.wait_for(Option::is_none).await.is_ok());
    }

    /// Reads records for the listeners.
    pub async fn run<B: Source>(&self, backend: &B) -> Infallible {
        let mut known: Option<Known> = None;
        loop {
            while self.told.receiver_count() == 0 {
                self.read.send_replace(None);
                self.wanted.notified().await;
                known = known.filter(|known| known.is_younger(MAX_AGE));
            }
            let pause = match Known::read(known.take(), backend).await {
                Ok((now, changes)) => {
                    let pause = if now.is_quiet() { self.pace.quiet } else { self.pace.busy };
                    known = Some(now);
                    self.read.send_replace(Some(Ok(())));
                    for change in changes {
                        let _no_listener = self.told.send(Told::Change(change));
                    }
                    pause
                }
                Err(refusal) => {
                    self.read.send_replace(Some(Err(refusal)));
                    let _no_listener = self.told.send(Told::End);
                    self.pace.quiet
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}
