//! Sends traces. Nothing waits for it longer than two seconds, and nothing is sent again.

use std::time::Duration;

use ecsrunner_engine::traces::Finished;
use prost::Message;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, redirect};
use rustls::ClientConfig;
use secrecy::SecretString;
use tracing::warn;

use crate::endpoint::{Endpoint, EndpointError};
use crate::spans::{Origin, request};

/// How long all that is exported at once may take together.
pub const TOTAL_LIMIT: Duration = Duration::from_secs(2);
/// Jobs in a request, about 0.2 MB.
const MAX_JOBS: usize = 50;

/// Why jobs were not exported.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("the endpoint answered {0}")]
    Status(u16),
    #[error("the endpoint did not answer within {} s", TOTAL_LIMIT.as_secs())]
    Late,
    #[error("the endpoint cannot be reached")]
    Unreached(#[source] reqwest::Error),
}

/// Exports traces to one endpoint.
#[derive(Clone, Debug)]
pub struct Exporter {
    endpoint: Endpoint,
    origin: Origin,
    http: Client,
}

impl Exporter {
    /// Makes an exporter. If `tls` is given, it is used and no root certificates are loaded.
    ///
    /// # Errors
    ///
    /// The TLS stack or its root certificates are not available.
    pub fn new(
        endpoint: Endpoint,
        origin: Origin,
        tls: Option<&ClientConfig>,
    ) -> Result<Self, reqwest::Error> {
        let mut http = Client::builder()
            .user_agent(concat!("ecsrunner/", env!("CARGO_PKG_VERSION")))
            .timeout(TOTAL_LIMIT)
            // The headers are for this endpoint alone.
            .redirect(redirect::Policy::none())
            // A connection that was kept while a function was frozen is dead, and finding that out takes time.
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never());
        if let Some(tls) = tls {
            let mut tls = tls.clone();
            tls.alpn_protocols.clear();
            http = http.tls_backend_preconfigured(tls);
        }
        Ok(Self { endpoint, origin, http: http.build()? })
    }

    /// Returns an exporter to the same endpoint that sends these headers too.
    ///
    /// # Errors
    ///
    /// An entry cannot be a header.
    pub fn with_headers(&self, headers: &SecretString) -> Result<Self, EndpointError> {
        Ok(Self { endpoint: self.endpoint.clone().with_headers(headers)?, ..self.clone() })
    }

    /// Sends traces, within [`TOTAL_LIMIT`]. Returns how many jobs were dropped.
    pub async fn export(&self, jobs: &[Finished]) -> usize {
        if jobs.is_empty() {
            return 0;
        }
        let mut sent = 0;
        let result = tokio::time::timeout(TOTAL_LIMIT, async {
            for some in jobs.chunks(MAX_JOBS) {
                self.send(some).await?;
                sent += some.len();
            }
            Ok(())
        });
        let error = match result.await {
            Ok(Ok(())) => return 0,
            Ok(Err(error)) => error,
            Err(_) => ExportError::Late,
        };
        let dropped = jobs.len() - sent;
        warn!(endpoint = self.endpoint.origin(), dropped, error = told(&error), "traces were dropped");
        dropped
    }

    async fn send(&self, jobs: &[Finished]) -> Result<(), ExportError> {
        let body = request(jobs, &self.origin).encode_to_vec();
        let sent = self
            .http
            .post(self.endpoint.url.clone())
            .headers(self.endpoint.headers.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(body)
            .send()
            .await;
        // The answer's body is not read: what it could say changes nothing.
        match sent {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(ExportError::Status(answer.status().as_u16())),
            Err(error) if error.is_timeout() => Err(ExportError::Late),
            // The URL may hold a key.
            Err(error) => Err(ExportError::Unreached(error.without_url())),
        }
    }
}

fn told(error: &ExportError) -> String {
    ecsrunner_engine::chain(error)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ecsrunner_core::id::Deployment;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::spans::tests::finished;

    /// A little more than the limit, on a machine that does other things too.
    const SOON: Duration = Duration::from_millis(3500);

    fn exporter(address: &str) -> Exporter {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))];
        let lookup =
            |key: &str| variables.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone());
        let endpoint = Endpoint::read(lookup).unwrap().unwrap();
        let origin = Origin::new(Deployment::parse("ci").unwrap(), "https://api.github.com");
        let exporter = Exporter::new(endpoint, origin, None).unwrap();
        exporter.with_headers(&SecretString::from("authorization=Bearer%20abc")).unwrap()
    }

    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    /// Reads a request: its head as text, and its body.
    async fn read(stream: &mut TcpStream) -> (String, Vec<u8>) {
        let mut read = Vec::new();
        loop {
            let mut some = [0; 4096];
            let length = stream.read(&mut some).await.unwrap();
            read.extend_from_slice(&some[..length]);
            let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if read.len() == end + 4 + length.parse::<usize>().unwrap() {
                return (head, read[end + 4..].to_vec());
            }
        }
    }

    /// Exports one job to a server that answers with these bytes. Returns how many were dropped, and the request.
    async fn export_to(answer: &str) -> (usize, String, Vec<u8>) {
        let (listener, address) = listen().await;
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            request
        };
        let jobs = [finished()];
        let exporter = exporter(&address);
        let (dropped, (head, body)) = tokio::join!(exporter.export(&jobs), serve);
        (dropped, head, body)
    }

    #[tokio::test]
    async fn traces_are_posted_as_protobuf_with_the_headers() {
        let (dropped, head, body) = export_to("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(dropped, 0);
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        assert!(head.contains("authorization: bearer abc"), "{head}");
        let origin = exporter("127.0.0.1:1").origin;
        assert_eq!(body, request(&[finished()], &origin).encode_to_vec());
    }

    #[tokio::test]
    async fn an_answer_other_than_2xx_drops_them_without_another_try() {
        for status in ["400 Bad Request", "429 Too Many Requests", "503 Service Unavailable"] {
            let (dropped, ..) = export_to(&format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")).await;
            assert_eq!(dropped, 1, "{status}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed_so_the_headers_go_nowhere_else() {
        let (elsewhere, address) = listen().await;
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{address}/\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(export_to(&answer).await.0, 1);
        let asked = tokio::time::timeout(Duration::from_millis(200), elsewhere.accept()).await;
        assert!(asked.is_err(), "the other server was asked");
    }

    #[tokio::test]
    async fn an_endpoint_that_refuses_hangs_or_drips_costs_two_seconds_at_most() {
        let (listener, refusing) = listen().await;
        drop(listener);
        let (hanging, hangs) = listen().await;
        let (dripping, drips) = listen().await;
        let serve = async {
            let (mut stream, _) = dripping.accept().await.unwrap();
            let _other = hanging.accept().await.unwrap();
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if stream.write_all(b"HTTP/1.1 ").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let began = Instant::now();
        let jobs = [finished(), finished()];
        let [refusing, hangs, drips] = [refusing, hangs, drips].map(|address| exporter(&address));
        let exports =
            async { tokio::join!(refusing.export(&jobs), hangs.export(&jobs), drips.export(&jobs)) };
        let dropped = tokio::select! { dropped = exports => dropped, () = serve => unreachable!() };
        assert_eq!(dropped, (2, 2, 2));
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }

    #[test]
    fn neither_headers_nor_the_path_are_shown() {
        let shown = format!("{:?}", exporter("127.0.0.1:1"));
        assert!(!shown.contains("abc") && !shown.contains("v1"), "{shown}");
    }
}
