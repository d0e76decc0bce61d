//! The live feed of a job's lines, which is best effort: after some failures it is given up.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::json;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::http::header::AUTHORIZATION;
use tungstenite::{Message, WebSocket};

/// Attempts to send lines, as in the official runner.
const MAX_ATTEMPTS: u32 = 3;
/// The timeout of the connection to one address, and of one read or write.
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

    /// Sends lines of a step, each with its number in the step's log, from 1. Lines that cannot be sent are lost.
    pub fn send(&mut self, step: &str, lines: &[(u64, String)]) {
        for lines in lines.chunks(MAX_LINES) {
            let start = lines.first().map(|(number, _)| *number);
            let lines: Vec<String> = lines.iter().map(|(_, line)| cut(line)).collect();
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
        let stream = open(uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80), LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let opened = tungstenite::client(request, stream);
        opened.map(|(socket, _)| socket).map_err(|error| match error {
            tungstenite::HandshakeError::Failure(error) => error,
            tungstenite::HandshakeError::Interrupted(_) => {
                tungstenite::Error::Io(io::ErrorKind::TimedOut.into())
            }
        })
    }
}

/// Connects to the first address of a host that answers. `limit` is the timeout of each.
fn open(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, format!("the host {host} has no address"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use serde_json::Value;

    use super::*;

    #[test]
    fn each_message_has_the_number_of_its_first_line() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/feed", listener.local_addr().unwrap());
        let service = thread::spawn(move || {
            let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
            [(); 2]
                .map(|()| serde_json::from_str::<Value>(socket.read().unwrap().to_text().unwrap()).unwrap())
        });
        // Line 2 is empty, line 4 is the end of the one before, and so on.
        let lines: Vec<(u64, String)> = (0..101).map(|at| (1 + 2 * at, format!("line {at}"))).collect();
        Feed::new(url, "token".to_owned()).send("step", &lines);
        let [first, second] = service.join().unwrap();
        assert_eq!(json!([first["startLine"], first["count"], first["value"][1]]), json!([1, 100, "line 1"]));
        assert_eq!(second, json!({"startLine": 201, "count": 1, "value": ["line 100"], "stepId": "step"}));
    }

    #[test]
    fn a_service_that_accepts_no_connection_is_not_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _entered = runtime.enter();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let port = listener.local_addr().unwrap().port();
        let limit = Duration::from_millis(300);
        // Once its queue is full, the system answers no connection.
        let mut waiting = Vec::new();
        let error = (0..64).find_map(|_| match open("127.0.0.1", port, limit) {
            Ok(stream) => {
                waiting.push(stream);
                None
            }
            Err(error) => Some(error),
        });
        assert_eq!(error.unwrap().kind(), io::ErrorKind::TimedOut);
    }
}
