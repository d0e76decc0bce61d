//! Virtual time: it jumps to the next step when nothing is left to do. It needs no
//! runtime, so a step costs a fraction of a microsecond.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ecsrunner_engine::ports::Clock;
use jiff::Timestamp;

use super::happening::Happening;
use super::state::Shared;

/// Milliseconds since 1970.
pub(super) type Millis = i64;

/// What is due at a time.
#[derive(Debug)]
pub(super) enum Due {
    /// A sleep of the engine ends.
    Timer(usize),
    Happening(Happening),
}

/// Entries at the same time keep the order in which they were added.
#[derive(Debug)]
struct Entry {
    at: Millis,
    number: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest entry is the greatest, since the heap returns the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// What is due and when.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BinaryHeap<Entry>,
    added: u64,
    /// The wakers of sleeping futures; `None` for a slot whose sleep was dropped.
    timers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Agenda {
    pub(super) fn add(&mut self, at: Millis, happening: Happening) {
        self.push(at, Due::Happening(happening));
    }

    /// Takes the earliest entry with its time.
    pub(super) fn next(&mut self) -> Option<(Millis, Due)> {
        self.entries.pop().map(|entry| (entry.at, entry.due))
    }

    /// Returns the waker of a timer that is due, unless its sleep was dropped.
    pub(super) fn expire(&mut self, timer: usize) -> Option<Waker> {
        self.free.push(timer);
        self.timers.get_mut(timer).and_then(Option::take)
    }

    fn push(&mut self, at: Millis, due: Due) {
        self.added += 1;
        self.entries.push(Entry { at, number: self.added, due });
    }

    fn sleep(&mut self, at: Millis, waker: Waker) -> usize {
        let timer = match self.free.pop() {
            Some(timer) => timer,
            None => {
                self.timers.push(None);
                self.timers.len() - 1
            }
        };
        self.timers[timer] = Some(waker);
        self.push(at, Due::Timer(timer));
        timer
    }

    fn cancel(&mut self, timer: usize) {
        self.timers[timer] = None;
    }
}

/// The engine's clock.
#[derive(Clone, Debug)]
pub struct LoadClock(pub(super) Shared);

impl Clock for LoadClock {
    fn now(&self) -> Timestamp {
        timestamp(self.0.now())
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self.0.sleep(duration)
    }
}

pub(super) fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(super) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX / 4)
}

/// A sleep in virtual time.
#[derive(Debug)]
pub(super) struct Sleep {
    shared: Shared,
    at: Millis,
    timer: Option<usize>,
}

impl Sleep {
    pub(super) fn until(shared: &Shared, at: Millis) -> Self {
        Self { shared: shared.clone(), at, timer: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.shared.now() >= self.at {
            // The timer of a sleep that is over has expired, and may be another's by now.
            self.timer = None;
            return Poll::Ready(());
        }
        let timer = match self.timer {
            Some(timer) => {
                self.shared.lock().agenda.timers[timer] = Some(context.waker().clone());
                timer
            }
            None => self.shared.lock().agenda.sleep(self.at, context.waker().clone()),
        };
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer
            && self.shared.now() < self.at
        {
            self.shared.lock().agenda.cancel(timer);
        }
    }
}
