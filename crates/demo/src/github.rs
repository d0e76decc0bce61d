//! A stateful fake GitHub over HTTP: REST API, webhooks and the services for
//! runners.
//!
//! It assigns jobs as GitHub does: a job may go to any idle runner that has all
//! of the job's labels. It knows nothing about ecsrunner. Tests control it
//! through the control API below `/_sim/`. It serves the REST API below `/` and,
//! as GitHub Enterprise Server does, below `/api/v3`.

mod api;
mod app_key;
mod apps;
mod assignment;
mod auth;
mod commit;
mod concurrency;
mod control;
mod course;
mod deadlines;
mod delivery;
mod event;
mod faults;
mod git;
mod jit;
mod job;
mod job_log;
mod job_message;
mod lifecycle;
mod manifest;
mod options;
mod pages;
mod representation;
mod runner_key;
mod runner_side;
mod state;
mod template;
mod webhook;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use app_key::{AppKey, app_key};
pub use faults::{Faults, RestFault, RunnerCall, RunnerFault, WebhookFaults};
pub use job::JobPhase;
pub use options::{App, Hook, Options, RepositoryOptions, RunnerGroup};
pub use representation::REPOSITORY_LINKS;

use state::Shared;

/// Serves the fake on `listener` until its future is dropped.
///
/// # Errors
///
/// Fails if the listener has no local address, or the server cannot continue.
pub async fn serve(listener: TcpListener, options: Options) -> io::Result<()> {
    serve_until(listener, options, std::future::pending()).await
}

/// Like [`serve`], until `stop` is ready. Deliveries in progress are then abandoned.
///
/// # Errors
///
/// Fails as [`serve`] does.
pub async fn serve_until(
    listener: TcpListener,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let base = match &options.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", listener.local_addr()?),
    };
    // Runs in the background. A request that needs a key earlier waits for it.
    drop(tokio::task::spawn_blocking(runner_key::prepare));
    let (outgoing, queue) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(options, base, outgoing));
    let router = api::router(Arc::clone(&shared))
        .merge(runner_side::router(Arc::clone(&shared)))
        .merge(pages::router(Arc::clone(&shared)))
        .merge(git::router(Arc::clone(&shared)))
        .merge(control::router(Arc::clone(&shared)));
    // Sends small replies at once, so that a listener reacts within a few milliseconds.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "nodelay not set");
        }
    });
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served,
        () = delivery::send_all(&shared, queue) => Ok(()),
        () = deadlines::watch(&shared) => Ok(()),
        () = stop => Ok(()),
    }
}

/// A fake GitHub in this process, on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct FakeGitHub {
    url: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<io::Result<()>>,
}

impl FakeGitHub {
    /// Starts the fake on the current Tokio runtime.
    ///
    /// # Errors
    ///
    /// Fails if no port is free.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move {
            serve_until(listener, options, async {
                // A dropped handle stops the server too.
                let _ = stopped.await;
            })
            .await
        });
        Ok(Self { url, stop, served })
    }

    /// Returns its URL for `GITHUB_API_URL`, such as `http://127.0.0.1:40001`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
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
