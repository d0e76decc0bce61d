//! A stand-in for DynamoDB that answers one kind of request: the agent's `DeleteItem`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) const ROLE: &str = "AROATEST";
pub(crate) const OWNER: &str = "AROATEST:0123456789abcdef0123456789abcdef";
pub(crate) const RUNNER: &str = "ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav";
pub(crate) const JIT: &str = "aml0LWNvbmZpZy1vZi1hLXRlc3Q";
pub(crate) const ACCESS_KEY_ID: &str = "AKIATEST";
pub(crate) const SECRET_ACCESS_KEY: &str = "the-secret-access-key-of-the-tasks-role";
pub(crate) const SESSION_TOKEN: &str = "the-session-token-of-the-tasks-role";

/// The table's answer to one request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// There is no such item.
    Nothing,
    /// The item, with these attributes.
    Item(Value),
    /// An error with this code.
    Refusal(&'static str),
    /// The request is refused, because DynamoDB's clock is this many seconds ahead.
    WrongTime(i64),
    /// The request is read, then the connection is closed.
    Silence,
}

/// A complete boot item, with a policy that allows the organization `acme`.
pub(crate) fn item() -> Value {
    json!({
        "owner": {"S": OWNER},
        "jit": {"S": JIT},
        "runner": {"S": RUNNER},
        "policy": {"S": r#"{"repositories":["acme/*"]}"#},
        "expires_at": {"N": "1900000000"},
    })
}

/// The endpoint. Dropping it fails the test if a request was wrong.
pub(crate) struct Table {
    pub(crate) url: String,
    requests: Receiver<()>,
    tokens: Arc<Mutex<BTreeSet<String>>>,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Table {
    /// Gives these answers one after another, then `Nothing` for ever.
    pub(crate) fn answering(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let faults = Arc::new(Mutex::new(Vec::new()));
        let found = Arc::clone(&faults);
        let tokens = Arc::new(Mutex::new(BTreeSet::new()));
        let used = Arc::clone(&tokens);
        let (sender, requests) = channel();
        thread::spawn(move || {
            let mut answers = answers.into_iter();
            for stream in listener.incoming().flatten() {
                let answer = answers.next().unwrap_or(Answer::Nothing);
                // The test may have ended.
                let _ = sender.send(());
                match serve(&stream, &answer) {
                    Ok(token) => drop(used.lock().unwrap().insert(token)),
                    Err(fault) => found.lock().unwrap().push(fault),
                }
            }
        });
        Self { url, requests, tokens, faults }
    }

    /// How many sets of credentials the requests were signed with.
    pub(crate) fn credentials(&self) -> usize {
        self.tokens.lock().unwrap().len()
    }

    /// Waits until a request has come.
    pub(crate) fn wait_for_request(&self) {
        self.requests.recv_timeout(Duration::from_secs(30)).unwrap();
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(*self.faults.lock().unwrap(), Vec::<String>::new());
        }
    }
}

/// Returns the session token of the request.
fn serve(mut stream: &TcpStream, answer: &Answer) -> Result<String, String> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).map_err(|error| error.to_string())?;
        if line.trim_end().is_empty() {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let headers: BTreeMap<_, _> = head
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).map_err(|error| error.to_string())?;
    check(&head[0], &headers, &serde_json::from_slice(&body).unwrap_or_default())?;
    let token = headers.get("x-amz-security-token").cloned().unwrap_or_default();

    let (status, reply) = match answer {
        Answer::Nothing => ("200 OK", json!({})),
        Answer::Item(attributes) => ("200 OK", json!({ "Attributes": attributes })),
        Answer::Refusal(code) => {
            let code = format!("com.amazonaws.dynamodb.v20120810#{code}");
            ("400 Bad Request", json!({ "__type": code, "message": "no" }))
        }
        Answer::WrongTime(_) => {
            let code = "com.amazon.coral.service#InvalidSignatureException";
            ("400 Bad Request", json!({ "__type": code, "message": "Signature not yet current" }))
        }
        Answer::Silence => return Ok(token),
    };
    let ahead = if let Answer::WrongTime(secs) = answer { *secs } else { 0 };
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT");
    let reply = reply.to_string();
    let kind = "application/x-amz-json-1.0";
    let length = reply.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{reply}"
    )
    .map_err(|error| error.to_string())?;
    Ok(token)
}

/// A session token of credentials that expire. It says when.
pub(crate) fn session_token_until(moment: jiff::Timestamp) -> String {
    format!("{SESSION_TOKEN}-until-{}", moment.as_millisecond())
}

/// Whether a session token is one of the role's, and of credentials that have not expired.
fn is_valid(token: &str) -> bool {
    match token.strip_prefix(SESSION_TOKEN) {
        Some("") => true,
        Some(rest) => {
            let until = rest.strip_prefix("-until-").and_then(|until| until.parse().ok());
            until.is_some_and(|until: i64| jiff::Timestamp::now().as_millisecond() < until)
        }
        None => false,
    }
}

fn check(request: &str, headers: &BTreeMap<String, String>, body: &Value) -> Result<(), String> {
    let header = |name: &str| headers.get(name).map(String::as_str).unwrap_or_default();
    let authorization = header("authorization");
    let expected = json!({"TableName": "boot", "Key": {"owner": {"S": OWNER}}, "ReturnValues": "ALL_OLD"});
    let signed = authorization.starts_with(&format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/"))
        && authorization.contains("/eu-west-1/dynamodb/aws4_request")
        && authorization.contains("host;x-amz-date;x-amz-security-token;x-amz-target")
        && authorization.contains("Signature=");
    let right = request == "POST / HTTP/1.1"
        && header("x-amz-target") == "DynamoDB_20120810.DeleteItem"
        && header("content-type") == "application/x-amz-json-1.0"
        && is_valid(header("x-amz-security-token"))
        && signed
        && *body == expected;
    if right { Ok(()) } else { Err(format!("{request} {headers:?} {body}")) }
}
