//! The HTTP server of the local mode: the webhook, beside the page and its API (`ecsrunner-web`).

mod api;
mod log;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::wire::webhook::MAX_BODY_BYTES;
use ecsrunner_engine::ports::images::NoImages;
use ecsrunner_engine::{Engine, World};
use ecsrunner_github::Client;
use ecsrunner_web::{Access, limit_time};
use secrecy::SecretString;

use crate::brake::Brake;
use crate::compute::Processes;
use crate::machine::{NoQueue, OsRandomness, SystemClock};

/// The adapters of one machine.
#[derive(Debug)]
pub(crate) struct Local;

impl World for Local {
    type Store = DynamoStore;
    type Compute = Processes;
    type GitHub = Client;
    type Images = NoImages;
    type Queue = NoQueue;
    type Rulebook = Brake;
    type Clock = SystemClock;
    type Randomness = OsRandomness;
}

/// State that all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Engine<Local>,
    pub(crate) secrets: Vec<SecretString>,
}

pub(crate) type App = Arc<Shared>;

/// Returns the routes of the server. `hosts` are names other than this machine's own under which the API may be reached.
pub(crate) fn router(app: App, token: SecretString, hosts: Vec<String>) -> Router {
    // Reads a little beyond the limit, so that a body that is too large gets an answer that names the limit.
    let body_limit = DefaultBodyLimit::max(MAX_BODY_BYTES + 1024);
    let access = Access {
        token,
        token_of: "the server's state directory",
        hosts,
        hint: "use its address, or name the host in `server.hosts`",
    };
    let counts = Router::new().route("/api/v1/counts", get(api::counts));
    // GitHub's requests come through proxies under any name, and their signature proves where they are from.
    let webhook = post(webhook::receive).layer(body_limit).layer(from_fn(limit_time));
    let webhook = Router::new().route("/webhook", webhook).with_state(Arc::clone(&app));
    ecsrunner_web::router(app, access, counts).merge(webhook)
}
