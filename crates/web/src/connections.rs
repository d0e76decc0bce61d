//! Accepts HTTP connections within bounds, so that no client keeps the others out.
//!
//! If there are too many connections, the one is closed whose request, or whose wait for a request, began first. A
//! request of GitHub's or of a task takes milliseconds, so connections that are held open are closed before it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use ecsrunner_engine::chain;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;
use tracing::warn;

use crate::form;

/// How long a client may take to send a request's head, also the next one of a kept connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client may read nothing of an answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// A request's head. Hyper refuses a longer one with 431.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Pause after the kernel could not give a connection, such as for want of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves at most `limit` connections at once. Never returns.
///
/// # Errors
///
/// None so far: what happens to one connection ends that connection alone.
pub async fn serve(listener: TcpListener, router: Router, limit: usize) -> anyhow::Result<()> {
    let seats = Seats::new(limit);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if let Some(seat) = seats.take() {
                        connections.spawn(hold(stream, seat, router.clone()));
                    }
                }
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    warn!(error = %chain(&error), "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection until its client, a timeout or its seat ends it.
async fn hold(stream: TcpStream, seat: Seat, router: Router) {
    // Answers are small, and a client may wait for the rest of one.
    let _best_effort = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let seat = Arc::new(seat);
    let at = Arc::clone(&seat);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (seat, mut router) = (Arc::clone(&at), router.clone());
        async move {
            seat.begin();
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(Arc::clone(&seat));
            let answer = match form::refusal(&request) {
                Some(refused) => refused,
                None => router.call(request).await.unwrap_or_else(|never| match never {}),
            };
            let answer = form::in_json(answer).await;
            seat.begin();
            Ok::<_, Infallible>(answer)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::select! {
        // A client that leaves in the middle of a request is no event of ours.
        _ended = connection => {}
        () = seat.given_up.notified() => {}
    }
}

/// The connections of one listener.
#[derive(Clone, Debug)]
struct Seats(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    limit: usize,
    count: usize,
    next: u64,
    /// Connections that may be closed for others, the one that waits longest first.
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// The place of one connection. Dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    state: Mutex<State>,
    given_up: Arc<Notify>,
}

#[derive(Debug)]
enum State {
    /// Its key among those that wait. If the key is not there, the seat was given to another connection.
    Waits(u64),
    Kept,
}

/// Keeps a connection open although others wait for a place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Kept(Arc<Seat>);

impl Seats {
    fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken { limit, count: 0, next: 0, waiting: BTreeMap::new() })))
    }

    /// Returns a seat, if need be that of the connection that waits longest. Returns `None` if all are kept.
    fn take(&self) -> Option<Seat> {
        let mut taken = lock(&self.0);
        if taken.count >= taken.limit {
            let (_, longest) = taken.waiting.pop_first()?;
            longest.notify_one();
        }
        taken.count += 1;
        let given_up = Arc::new(Notify::new());
        let key = taken.wait(Arc::clone(&given_up));
        Some(Seat { seats: self.clone(), state: Mutex::new(State::Waits(key)), given_up })
    }
}

impl Taken {
    fn wait(&mut self, given_up: Arc<Notify>) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, given_up);
        self.next
    }
}

impl Seat {
    /// Notes that a request, or the wait for one, begins.
    fn begin(&self) {
        let (mut state, mut taken) = (lock(&self.state), lock(&self.seats.0));
        if let State::Waits(key) = *state
            && taken.waiting.remove(&key).is_some()
        {
            *state = State::Waits(taken.wait(Arc::clone(&self.given_up)));
        }
    }

    /// The caller bounds how many connections are kept.
    pub(crate) fn keep(self: &Arc<Self>) -> Kept {
        let (mut state, mut taken) = (lock(&self.state), lock(&self.seats.0));
        if let State::Waits(key) = *state
            && taken.waiting.remove(&key).is_some()
        {
            *state = State::Kept;
        }
        Kept(Arc::clone(self))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let (mut state, mut taken) = (lock(&self.0.state), lock(&self.0.seats.0));
        if let State::Kept = *state {
            *state = State::Waits(taken.wait(Arc::clone(&self.0.given_up)));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let (state, mut taken) = (lock(&self.state), lock(&self.seats.0));
        taken.count -= 1;
        if let State::Waits(key) = *state {
            taken.waiting.remove(&key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_given_up(seat: &Seat) -> bool {
        use futures::FutureExt;
        seat.given_up.notified().now_or_never().is_some()
    }

    #[test]
    fn the_connection_that_waits_longest_makes_room() {
        let seats = Seats::new(2);
        let [first, second] = [seats.take().unwrap(), seats.take().unwrap()];
        first.begin();
        let third = seats.take().unwrap();
        assert_eq!([&first, &second, &third].map(is_given_up), [false, true, false]);
        drop(second);
        // A seat that was given away is not given a second time.
        let _fourth = seats.take().unwrap();
        assert_eq!([&first, &third].map(is_given_up), [true, false]);
    }

    #[test]
    fn a_kept_connection_makes_no_room_until_it_is_released() {
        let seats = Seats::new(1);
        let only = Arc::new(seats.take().unwrap());
        let kept = only.keep();
        only.begin();
        assert!(seats.take().is_none());
        drop(kept);
        assert!(seats.take().is_some());
        assert!(is_given_up(&only));
    }

    #[test]
    fn a_closed_connection_makes_room_without_closing_another() {
        let seats = Seats::new(2);
        let first = seats.take().unwrap();
        drop(seats.take().unwrap());
        let _third = seats.take().unwrap();
        assert!(!is_given_up(&first));
    }
}
