//! The live feed of a job's lines, which is best effort: after some failures it is given up.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::http::header::AUTHORIZATION;
use tungstenite::{Message, WebSocket};

/// Attempts to send lines, as in the official runner.
const MAX_ATTEMPTS: u32 = 3;
/// The timeout of one write.
const LIMIT: Duration = Duration::from_secs(5);
/// The most lines of one message, as in the official runner.
const MAX_LINES: usize = 100;
/// The length in characters at which the official runner cuts a line.
const MAX_LINE: usize = 1024;

/// The connection is made when the first lines are sent.
pub struct Feed {
    url: String,
    token: String,
    socket: Option<WebSocket<TcpStream>>,
    failures: u32,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Feed {
    pub(super) fn new(url: String, token: String) -> Self {
        Self { url, token, socket: None, failures: 0 }
    }

    /// Sends lines of a step. `start` is the number of the first one, from 1. Lines that cannot be sent are lost.
    pub fn send(&mut self, step: &str, start: u64, lines: &[String]) {
        for (at, lines) in (0_u64..).zip(lines.chunks(MAX_LINES)) {
            let lines: Vec<String> = lines.iter().map(|line| cut(line)).collect();
            let start = start + at * u64::try_from(MAX_LINES).unwrap_or_default();
            let message = json!({"count": lines.len(), "value": lines, "stepId": step, "startLine": start});
            while self.failures < MAX_ATTEMPTS {
                match self.try_to_send(&message.to_string()) {
                    Ok(()) => break,
                    Err(_) => {
                        self.socket = None;
                        self.failures += 1;
                    }
                }
            }
        }
    }

    fn try_to_send(&mut self, message: &str) -> Result<(), tungstenite::Error> {
        if self.socket.is_none() {
            self.socket = Some(self.connect()?);
        }
        match &mut self.socket {
            Some(socket) => socket.send(Message::text(message)),
            None => Ok(()),
        }
    }

    fn connect(&self) -> Result<WebSocket<TcpStream>, tungstenite::Error> {
        let mut request = self.url.as_str().into_client_request()?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.token))?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let uri = request.uri();
        let stream = TcpStream::connect((uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80)))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let opened = tungstenite::client(request, stream);
        opened.map(|(socket, _)| socket).map_err(|error| match error {
            tungstenite::HandshakeError::Failure(error) => error,
            tungstenite::HandshakeError::Interrupted(_) => {
                tungstenite::Error::Io(std::io::ErrorKind::TimedOut.into())
            }
        })
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(socket) = &mut self.socket {
            // The service ends the feed by itself too.
            let _ = socket.close(None);
            let _ = socket.flush();
        }
    }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(MAX_LINE) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}
