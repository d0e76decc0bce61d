//! A stateful fake GitHub over HTTP: REST API, webhooks and the runner's side.
//!
//! It decides as GitHub does: any idle runner whose labels contain a job's may
//! be given that job. Nothing of ecsrunner is known here. It is driven through
//! the control API below `/_sim/` and serves the REST API below `/` and, as
//! GitHub Enterprise Server does, `/api/v3`.

mod api;
mod app_key;
mod assignment;
mod auth;
mod control;
mod deadlines;
mod delivery;
mod faults;
mod jit;
mod job;
mod job_message;
mod lifecycle;
mod options;
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
pub use options::{App, Hook, Options, RepositoryOptions};
pub use representation::REPOSITORY_LINKS;

use state::Shared;

/// Serves the fake on `listener` until its future is dropped.
///
/// # Errors
///
/// The listener has no local address, or the server cannot go on.
pub async fn serve(listener: TcpListener, options: Options) -> io::Result<()> {
    serve_until(listener, options, std::future::pending()).await
}

/// As [`serve`], until `stop` is ready. Deliveries under way are given up then.
///
/// # Errors
///
/// As [`serve`].
pub async fn serve_until(
    listener: TcpListener,
    options: Options,
    stop: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let base = match &options.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", listener.local_addr()?),
    };
    // Nothing waits for it here. A request that needs a key earlier waits for that key.
    drop(tokio::task::spawn_blocking(runner_key::prepare));
    let (outgoing, queue) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(options, base, outgoing));
    let router = api::router(Arc::clone(&shared))
        .merge(runner_side::router(Arc::clone(&shared)))
        .merge(control::router(Arc::clone(&shared)));
    // A listener reacts within a few milliseconds only if small replies leave at once.
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

/// A fake GitHub of this process, on a free port of 127.0.0.1.
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
    /// No port can be had.
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

    /// Where it serves, such as `http://127.0.0.1:40001`: what `GITHUB_API_URL` takes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
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
