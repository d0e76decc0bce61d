//! A stateful fake of ECS on Fargate: the part of its API that starts, stops
//! and shows tasks, and the events of their life.
//!
//! [`Ecs`] is a plain state machine with the time given in; [`FakeEcs`] serves
//! it over HTTP (AWS JSON 1.1) with the real clock, driven through the control
//! API below `/_sim/`. It says what AWS says, with AWS's words: no emulator
//! honours `clientToken`, answers `failures[]`, throttles, or emits a task's
//! whole life. Nothing of ecsrunner is known here, and no container runs: a
//! test plays what is in a task, by the environment that [`Ecs::tasks`] shows.

mod api;
mod control;
mod events;
mod faults;
mod launch;
mod life;
mod options;
mod rate;
mod reads;
mod reply;
mod representation;
mod request;
mod run_task;
mod setup;
mod shared;
mod state;
mod task;
mod tokens;
mod view;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::serve::ListenerExt;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use faults::{CallFault, EventFaults, FaultAnswer, Faults, Shortage, StartFault, ThrottleForm};
pub use life::PlayError;
pub use options::{Durations, Lags, Options, Rate, Rates, TaskDefinition};
pub use reply::{Refusal, Reply};
pub use run_task::{CAPACITY_UNAVAILABLE, VCPU_LIMIT_REACHED};
pub use state::Ecs;
pub use task::{Provider, Status, StopCode};
pub use view::TaskView;

use shared::Shared;

/// Serves the fake on `listener` until `stop` is ready.
///
/// # Errors
///
/// The server cannot go on.
pub async fn serve_until(
    listener: TcpListener,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (outgoing, queue) = mpsc::unbounded_channel();
    run(listener, Arc::new(Shared::new(options, outgoing)), queue, stop).await
}

async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    queue: mpsc::UnboundedReceiver<Value>,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let router = api::router(Arc::clone(&shared)).merge(control::router(Arc::clone(&shared)));
    // Small replies are to leave at once.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "nodelay not set");
        }
    });
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served,
        () = shared.watch_clock() => Ok(()),
        () = shared.post_all(queue) => Ok(()),
        () = stop => Ok(()),
    }
}

/// A fake ECS of this process, on a free port of 127.0.0.1.
pub struct FakeEcs {
    url: String,
    shared: Arc<Shared>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<io::Result<()>>,
}

impl fmt::Debug for FakeEcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeEcs").field("url", &self.url).finish_non_exhaustive()
    }
}

impl FakeEcs {
    /// Starts the fake on the current Tokio runtime.
    ///
    /// # Errors
    ///
    /// No port can be had.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (outgoing, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(options, outgoing));
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(run(listener, Arc::clone(&shared), queue, async {
            // A dropped handle stops the server too.
            let _ = stopped.await;
        }));
        Ok(Self { url, shared, stop, served })
    }

    /// Where it serves, such as `http://127.0.0.1:40001`: what `AWS_ENDPOINT_URL_ECS` takes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Does something with the state machine, at the real time.
    pub fn with<R>(&self, act: impl FnOnce(&mut Ecs, Timestamp) -> R) -> R {
        self.shared.with(act)
    }

    /// The events that were delivered, but for the first `known`; waits for one where there is none.
    pub async fn events_after(&self, known: usize) -> Vec<Value> {
        let mut delivered = self.shared.delivered.subscribe();
        match delivered.wait_for(|all| all.len() > known).await {
            Ok(all) => all[known..].to_vec(),
            // The sender is ours, so it is still there.
            Err(_) => Vec::new(),
        }
    }

    /// Stops serving and closes every connection.
    ///
    /// # Errors
    ///
    /// The server had failed before.
    pub async fn shut_down(self) -> io::Result<()> {
        // The server may have ended by itself; its result tells.
        let _ = self.stop.send(());
        self.served.await.map_err(io::Error::other)?
    }
}
