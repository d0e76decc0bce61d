//! Posts webhooks as GitHub does: signed, once, with a timeout of ten seconds.
//!
//! HTTP is written by hand because GitHub's header names are in mixed case.
//! Receivers may depend on that, and HTTP libraries do not keep it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use ecsrunner_core::id::JobId;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::apps::AppHook;
use super::options::Hook;
use super::state::{Shared, State};

/// GitHub waits this long for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Connections open at once to the webhook's receiver.
const MAX_CONNECTIONS: usize = 128;

/// How much of an answer is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// How many deliveries are kept. GitHub keeps those of three days.
const MAX_REMEMBERED: usize = 5_000;

/// A delivery to be sent.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub id: u64,
    pub guid: String,
    pub event: &'static str,
    pub action: Option<&'static str>,
    pub repository: Option<u64>,
    /// The App whose webhook it is for.
    pub app: Option<u64>,
    pub installation: Option<u64>,
    pub job: Option<JobId>,
    pub body: Bytes,
    pub delay: Duration,
    pub redelivery: bool,
    /// It is sent, but its answer is not awaited.
    pub times_out: bool,
}

/// A delivery and its result.
#[derive(Debug)]
pub(super) struct Delivery {
    pub outgoing: Outgoing,
    pub headers: Vec<(&'static str, String)>,
    pub delivered_at: Timestamp,
    /// When the last byte of the request was written.
    pub sent_at: Option<Timestamp>,
    pub duration: Duration,
    pub status: String,
    pub status_code: u16,
    pub answer: String,
}

impl Delivery {
    pub(super) fn dropped(outgoing: Outgoing) -> Self {
        Self {
            outgoing,
            headers: Vec::new(),
            delivered_at: Timestamp::now(),
            sent_at: None,
            duration: Duration::ZERO,
            status: "failed to connect to host".to_owned(),
            status_code: 502,
            answer: String::new(),
        }
    }
}

/// Sends queued deliveries concurrently for as long as it is polled.
pub(super) async fn send_all(shared: &Arc<Shared>, mut queue: mpsc::UnboundedReceiver<Outgoing>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            Some(outgoing) = queue.recv() => {
                under_way.spawn(send(Arc::clone(shared), Arc::clone(&connections), outgoing));
            }
            Some(_) = under_way.join_next() => {}
            else => return,
        }
    }
}

async fn send(shared: Arc<Shared>, connections: Arc<Semaphore>, outgoing: Outgoing) {
    if !outgoing.delay.is_zero() {
        tokio::time::sleep(outgoing.delay).await;
    }
    let permit = connections.acquire().await;
    let receiver = shared.state().receiver(&outgoing);
    let mut delivery = Delivery::dropped(outgoing);
    if let Some((hook, app)) = receiver {
        deliver(&mut delivery, &hook, app).await;
    }
    drop(permit);
    let mut state = shared.state();
    state.in_flight -= 1;
    state.record_delivery(delivery);
}

async fn deliver(delivery: &mut Delivery, hook: &Hook, app: Option<u64>) {
    delivery.headers = headers(&delivery.outgoing, &hook.secret, app);
    delivery.delivered_at = Timestamp::now();
    let begun = Instant::now();
    let limit = if delivery.outgoing.times_out { Duration::ZERO } else { ANSWER_LIMIT };
    let answered = match post(&hook.url, &delivery.headers, &delivery.outgoing.body).await {
        Ok(stream) => {
            delivery.sent_at = Some(Timestamp::now());
            tokio::time::timeout(limit, answer(stream)).await
        }
        Err(error) => Ok(Err(error)),
    };
    delivery.duration = begun.elapsed();
    match answered {
        Ok(Ok((code, text))) => {
            delivery.status = if (200..300).contains(&code) {
                "OK".to_owned()
            } else {
                format!("Invalid HTTP Response: {code}")
            };
            delivery.status_code = code;
            delivery.answer = text;
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, delivery = %delivery.outgoing.guid, "webhook not delivered")
        }
        Err(_) => {
            delivery.status = "timed out".to_owned();
            delivery.status_code = 504;
        }
    }
}

fn headers(outgoing: &Outgoing, secret: &SecretString, app: Option<u64>) -> Vec<(&'static str, String)> {
    let (target, kind) = match app {
        Some(id) => (id, "integration"),
        None => (outgoing.repository.unwrap_or_default(), "repository"),
    };
    vec![
        ("User-Agent", "GitHub-Hookshot/5aca5a0".to_owned()),
        ("Accept", "*/*".to_owned()),
        ("Content-Type", "application/json".to_owned()),
        ("X-GitHub-Delivery", outgoing.guid.clone()),
        ("X-GitHub-Event", outgoing.event.to_owned()),
        ("X-GitHub-Hook-ID", "471100815".to_owned()),
        ("X-GitHub-Hook-Installation-Target-ID", target.to_string()),
        ("X-GitHub-Hook-Installation-Target-Type", kind.to_owned()),
        ("X-Hub-Signature-256", signature(secret, &outgoing.body)),
    ]
}

/// Returns `sha256=` and the HMAC of the raw body.
pub(super) fn signature(secret: &SecretString, body: &[u8]) -> String {
    let mut text = "sha256=".to_owned();
    // An HMAC takes a key of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) {
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            text.push_str(&format!("{byte:02x}"));
        }
    }
    text
}

async fn post(url: &str, headers: &[(&'static str, String)], body: &[u8]) -> io::Result<TcpStream> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the webhook's URL is not http"))?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: {authority}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body);
    let mut stream = tokio::time::timeout(ANSWER_LIMIT, TcpStream::connect(&address))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    tokio::time::timeout(ANSWER_LIMIT, stream.write_all(&bytes))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(stream)
}

/// Reads status and body of the answer.
async fn answer(mut stream: TcpStream) -> io::Result<(u16, String)> {
    let mut bytes = Vec::new();
    // A receiver may keep the connection open although it was asked to close it.
    while !is_whole(&bytes) && bytes.len() < MAX_ANSWER {
        if stream.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let code = head
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok((code, body.to_owned()))
}

/// Whether an answer has its announced length.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse::<usize>().ok())
        .is_some_and(|length| body.len() >= length)
}

impl State {
    /// Returns the hook that a delivery goes to now, and its App's id.
    fn receiver(&self, outgoing: &Outgoing) -> Option<(Hook, Option<u64>)> {
        let mut apps = self.credentials.apps().iter();
        let own = apps.find(|app| Some(app.id) == outgoing.app).and_then(|app| match &app.hook {
            AppHook::Own { hook, .. } => Some(hook),
            AppHook::OfFake | AppHook::None => None,
        });
        Some((own.or(self.hook.as_ref())?.clone(), outgoing.app))
    }

    pub(super) fn record_delivery(&mut self, delivery: Delivery) {
        self.deliveries.push_back(delivery);
        if self.deliveries.len() > MAX_REMEMBERED {
            self.deliveries.pop_front();
        }
        self.note_change();
    }

    /// Sends a delivery again with the same GUID.
    pub(super) fn redeliver(&mut self, id: u64) -> bool {
        let Some(found) = self.deliveries.iter().find(|delivery| delivery.outgoing.id == id) else {
            return false;
        };
        let mut outgoing = found.outgoing.clone();
        self.ids.delivery += 1;
        outgoing.id = self.ids.delivery;
        outgoing.redelivery = true;
        outgoing.delay = Duration::ZERO;
        outgoing.times_out = false;
        self.send(outgoing);
        true
    }
}
