//! A stand-in for ECS's HTTP endpoints inside a task.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::table::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN, session_token_until};

/// The last part of the credentials' path, which cannot be guessed.
pub(crate) const CREDENTIALS_ID: &str = "5f1c7b0e-9d6a-4a57-8f43-21c0de0ffee1";
/// The last part of the metadata's path, which cannot be guessed.
pub(crate) const METADATA_ID: &str = "0123456789abcdef0123456789abcdef-3531612349";
const TASK_ARN: &str =
    "arn:aws:ecs:eu-west-1:123456789012:task/ecsrunner-test/0123456789abcdef0123456789abcdef";

/// ECS's answer to one request.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// This body, with status 200.
    Json(Value),
    /// This status, with an empty body.
    Status(u16),
    /// Credentials that are valid for this time from now on.
    Lasting(SignedDuration),
}

/// The endpoints. Their answers can be changed at any time.
pub(crate) struct Ecs {
    url: String,
    answers: Arc<Mutex<Answers>>,
}

struct Answers {
    metadata: Vec<Told>,
    credentials: Vec<Told>,
    stats: Vec<Told>,
}

impl Ecs {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let metadata = json!({"Cluster": "ecsrunner-test", "TaskARN": TASK_ARN, "LaunchType": "FARGATE"});
        let credentials = credentials(SESSION_TOKEN, "2036-01-01T00:00:00Z".parse().unwrap());
        let answers = Arc::new(Mutex::new(Answers {
            metadata: vec![Told::Json(metadata)],
            credentials: vec![Told::Json(credentials)],
            stats: vec![Told::Status(404)],
        }));
        let told = Arc::clone(&answers);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The client may have closed the connection.
                let _ = serve(&stream, &told);
            }
        });
        Self { url, answers }
    }

    /// Gives these answers first, one for each request.
    pub(crate) fn metadata_first(self, first: &[Told]) -> Self {
        put_first(&mut self.answers.lock().unwrap().metadata, first);
        self
    }

    /// Has these statistics of the container, one for each request.
    pub(crate) fn with_stats(self, stats: &[Value]) -> Self {
        self.answers.lock().unwrap().stats = stats.iter().cloned().map(Told::Json).collect();
        self
    }

    pub(crate) fn credentials_first(self, first: &[Told]) -> Self {
        put_first(&mut self.answers.lock().unwrap().credentials, first);
        self
    }

    /// The variables that ECS sets. The credentials' variable is the one that can
    /// name a host other than ECS's.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        [
            ("ECS_CONTAINER_METADATA_URI_V4", format!("{}/v4/{METADATA_ID}", self.url)),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v2/credentials/{CREDENTIALS_ID}", self.url)),
        ]
    }
}

fn credentials(session_token: &str, expiration: Timestamp) -> Value {
    json!({
        "RoleArn": "arn:aws:iam::123456789012:role/task", "AccessKeyId": ACCESS_KEY_ID,
        "SecretAccessKey": SECRET_ACCESS_KEY, "Token": session_token, "Expiration": expiration.to_string(),
    })
}

fn put_first(answers: &mut Vec<Told>, first: &[Told]) {
    answers.splice(0..0, first.iter().cloned());
}

/// Takes the next answer; the last one is repeated.
fn next(answers: &mut Vec<Told>) -> Told {
    if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
}

fn serve(mut stream: &TcpStream, answers: &Mutex<Answers>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut answers = answers.lock().unwrap();
    let told = match first.split(' ').nth(1).unwrap_or_default() {
        path if path == format!("/v4/{METADATA_ID}/task") => next(&mut answers.metadata),
        path if path == format!("/v4/{METADATA_ID}/stats") => next(&mut answers.stats),
        path if path == format!("/v2/credentials/{CREDENTIALS_ID}") => next(&mut answers.credentials),
        _ => Told::Status(404),
    };
    let (status, body) = match told {
        Told::Json(body) => (200, body.to_string()),
        Told::Status(status) => (status, String::new()),
        Told::Lasting(time) => {
            let until = Timestamp::now() + time;
            (200, credentials(&session_token_until(until), until).to_string())
        }
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} told\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}
