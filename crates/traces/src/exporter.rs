//! Sends traces. Nothing waits for it longer than a deadline, and nothing is sent again.

use std::time::Duration;

use ecsrunner_engine::traces::Finished;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, redirect};
use rustls::ClientConfig;
use secrecy::SecretString;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::endpoint::{Endpoint, EndpointError};
use crate::spans::{Origin, request};

/// How long all that is exported at once may take together: the deadline is at most this much ahead.
pub const TOTAL_LIMIT: Duration = Duration::from_secs(2);
/// Jobs in a request, about 0.2 MB.
const MAX_JOBS: usize = 50;
/// Bytes of an answer that are read: it has a number and a sentence.
const MAX_ANSWER: usize = 16 * 1024;

/// The result of an export.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Exported {
    /// Jobs that were not taken.
    pub dropped: usize,
    /// Whether there was no answer before the deadline.
    pub is_late: bool,
}

/// Why jobs were not exported.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("{origin} answered {status}")]
    Status { origin: String, status: u16 },
    #[error("{0} did not answer in time")]
    Late(String),
    #[error("{origin} cannot be reached")]
    Unreached { origin: String, source: reqwest::Error },
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

    /// Sends traces until the deadline.
    pub async fn export(&self, jobs: &[Finished], deadline: Instant) -> Exported {
        let (mut dropped, mut left) = (0, jobs.len());
        for some in jobs.chunks(MAX_JOBS) {
            match self.send(some, deadline).await {
                Ok(rejected) => dropped += rejected,
                Err(error) => {
                    dropped += left;
                    warn!(dropped, error = ecsrunner_engine::chain(&error), "traces were dropped");
                    return Exported { dropped, is_late: matches!(error, ExportError::Late(_)) };
                }
            }
            left -= some.len();
        }
        Exported { dropped, is_late: false }
    }

    /// Returns how many of the jobs the endpoint took only in part, or not at all.
    async fn send(&self, jobs: &[Finished], deadline: Instant) -> Result<usize, ExportError> {
        let origin = self.endpoint.origin();
        let body = request(jobs, &self.origin).encode_to_vec();
        let sent = self
            .http
            .post(self.endpoint.url.clone())
            .headers(self.endpoint.headers.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(body)
            .send();
        let answer = match timeout_at(deadline, sent).await {
            Err(_) => return Err(ExportError::Late(origin)),
            // The URL may hold a key.
            Ok(Err(error)) => return Err(ExportError::Unreached { origin, source: error.without_url() }),
            Ok(Ok(answer)) => answer,
        };
        let status = answer.status();
        if !status.is_success() {
            return Err(ExportError::Status { origin, status: status.as_u16() });
        }
        // They are taken already: an answer that says no more is no failure.
        let rejected = timeout_at(deadline, rejected_spans(answer)).await.unwrap_or(0);
        if rejected > 0 {
            warn!(endpoint = origin, spans = rejected, "the endpoint has rejected spans");
        }
        // Which jobs they are of is not said: at most one job for each.
        Ok(rejected.min(jobs.len()))
    }
}

/// Reads how many spans of an accepted request were rejected.
async fn rejected_spans(mut answer: Response) -> usize {
    let mut body = Vec::new();
    while let Ok(Some(some)) = answer.chunk().await {
        body.extend_from_slice(&some);
        if body.len() > MAX_ANSWER {
            return 0;
        }
    }
    let decoded = ExportTraceServiceResponse::decode(body.as_slice()).unwrap_or_default();
    decoded.partial_success.map_or(0, |partial| usize::try_from(partial.rejected_spans).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use ecsrunner_core::id::Deployment;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
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

    fn deadline() -> Instant {
        Instant::now() + TOTAL_LIMIT
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
    async fn export_to(answer: &[u8]) -> (usize, String, Vec<u8>) {
        let (listener, address) = listen().await;
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let request = read(&mut stream).await;
            stream.write_all(answer).await.unwrap();
            request
        };
        let jobs = [finished()];
        let exporter = exporter(&address);
        let (exported, (head, body)) = tokio::join!(exporter.export(&jobs, deadline()), serve);
        (exported.dropped, head, body)
    }

    #[tokio::test]
    async fn traces_are_posted_as_protobuf_with_the_headers() {
        let (dropped, head, body) = export_to(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
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
            let (dropped, ..) =
                export_to(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
            assert_eq!(dropped, 1, "{status}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed_so_the_headers_go_nowhere_else() {
        let (elsewhere, address) = listen().await;
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{address}/\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(export_to(answer.as_bytes()).await.0, 1);
        // Connections are accepted in their order: the first one is the test's own.
        let own = TcpStream::connect(&address).await.unwrap();
        let (_, first) = elsewhere.accept().await.unwrap();
        assert_eq!(first, own.local_addr().unwrap(), "the other server was asked");
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
            let _request = read(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await.unwrap();
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if stream.write_all(b"a").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let began = Instant::now();
        let jobs = [finished(), finished()];
        let [refusing, hangs, drips] = [refusing, hangs, drips].map(|address| exporter(&address));
        let exports = async {
            tokio::join!(
                refusing.export(&jobs, deadline()),
                hangs.export(&jobs, deadline()),
                drips.export(&jobs, deadline())
            )
        };
        let dropped = tokio::select! { dropped = exports => dropped, () = serve => unreachable!() };
        let late = Exported { dropped: 2, is_late: true };
        assert_eq!(dropped, (Exported { dropped: 2, is_late: false }, late, late));
        let elapsed = began.elapsed();
        assert!((Duration::from_millis(1900)..SOON).contains(&elapsed), "{elapsed:?}");
    }

    #[tokio::test]
    async fn an_earlier_deadline_is_kept() {
        let (_hanging, hangs) = listen().await;
        let began = Instant::now();
        let exported = exporter(&hangs).export(&[finished()], began + Duration::from_millis(200)).await;
        assert_eq!(exported, Exported { dropped: 1, is_late: true });
        assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn spans_that_an_endpoint_rejects_in_part_are_counted() {
        for (rejected, expected) in [(0, 0), (1, 1), (12, 1)] {
            let partial =
                ExportTracePartialSuccess { rejected_spans: rejected, error_message: String::new() };
            let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
            let mut answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
            answer.extend(body);
            assert_eq!(export_to(&answer).await.0, expected, "{rejected} spans");
        }
    }

    /// What is logged.
    #[derive(Clone, Default)]
    struct Logged(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Logged {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn whatever_fails_is_logged_with_its_count_and_without_headers_and_path() {
        let logged = Logged::default();
        let writer = logged.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _until_the_end = tracing::subscriber::set_default(subscriber);
        let jobs = [finished(), finished()];
        let soon = || Instant::now() + Duration::from_millis(200);
        let (listener, refusing) = listen().await;
        drop(listener);
        let (_hanging, hangs) = listen().await;
        for address in [refusing, hangs] {
            assert_eq!(exporter(&address).export(&jobs, soon()).await.dropped, 2);
        }
        let partial = ExportTracePartialSuccess { rejected_spans: 3, error_message: "Bearer abc".to_owned() };
        let partial = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        let mut taken = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", partial.len()).into_bytes();
        taken.extend(partial);
        for (answer, dropped) in [
            (b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 10\r\n\r\nBearer abc".to_vec(), 1),
            (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_vec(), 1),
            (taken, 1),
        ] {
            assert_eq!(export_to(&answer).await.0, dropped);
        }
        let log = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
        let ours: Vec<&str> = log.lines().filter(|line| line.contains(" ecsrunner_traces")).collect();
        for (line, told) in ours.iter().zip([
            "dropped=2 error=\"http://127.0.0.1:",
            "did not answer in time",
            "answered 401",
            "answered 503",
            "spans=3",
        ]) {
            assert!(line.contains(told), "{told}: {log}");
        }
        assert_eq!(ours.len(), 5, "{log}");
        assert!(!log.contains("abc") && !log.contains("v1/traces"), "{log}");
    }

    #[test]
    fn neither_headers_nor_the_path_are_shown() {
        let shown = format!("{:?}", exporter("127.0.0.1:1"));
        assert!(!shown.contains("abc") && !shown.contains("v1"), "{shown}");
    }
}
