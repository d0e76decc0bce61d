//! The fake ECS over HTTP, in AWS JSON 1.1 and with the real clock. Tests control
//! it through the control API below `/_sim/`. [`ecsrunner_world::ecs`] decides its
//! answers.

mod api;
mod control;
mod shared;

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

use ecsrunner_world::ecs::{Ecs, Options};

use shared::Shared;

/// Serves the fake on `listener` until `stop` is ready.
///
/// # Errors
///
/// Fails if the server cannot continue.
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
    // Sends small replies at once.
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

/// A fake ECS in this process, on a free port of 127.0.0.1.
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
    /// Fails if no port is free.
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

    /// Returns its URL for `AWS_ENDPOINT_URL_ECS`, such as `http://127.0.0.1:40001`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls `act` with the state machine and the real time.
    pub fn with<R>(&self, act: impl FnOnce(&mut Ecs, Timestamp) -> R) -> R {
        self.shared.with(act)
    }

    /// Returns the delivered events after the first `known`. Waits until there is one.
    pub async fn events_after(&self, known: usize) -> Vec<Value> {
        let mut delivered = self.shared.delivered.subscribe();
        match delivered.wait_for(|all| all.len() > known).await {
            Ok(all) => all[known..].to_vec(),
            // This process owns the sender, so this does not happen.
            Err(_) => Vec::new(),
        }
    }

    /// Stops serving and closes every connection.
    ///
    /// # Errors
    ///
    /// Fails if the server had failed before.
    pub async fn shut_down(self) -> io::Result<()> {
        // The server may have ended by itself. Its result shows why.
        let _ = self.stop.send(());
        self.served.await.map_err(io::Error::other)?
    }
}
