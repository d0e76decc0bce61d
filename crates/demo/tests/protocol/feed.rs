//! The live feed: a websocket with the lines of a job as they come.

use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::{Message, WebSocket};

use crate::client::{Body, LIMIT, send};
use crate::harness::Harness;
use crate::results::{end_job_log, send_job_block, send_job_log, send_step_log, update_step};
use crate::runner::{Listening, RunningJob};

const TIME: &str = "2026-11-28T20:56:33.2965012Z";

/// Connects as the worker does. Returns the status of a refusal.
fn connect(job: &RunningJob, token: Option<&str>) -> Result<WebSocket<TcpStream>, u16> {
    let endpoint = &job.message["resources"]["endpoints"][0];
    let url = endpoint["data"]["FeedStreamUrl"].as_str().unwrap();
    assert!(url.starts_with("ws://127.0.0.1:"), "{url}");
    let mut request = url.into_client_request().unwrap();
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let uri = request.uri().clone();
    let stream = TcpStream::connect((uri.host().unwrap(), uri.port_u16().unwrap())).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(refused))) => {
            Err(refused.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

/// Sends a message in frames of 1024 bytes, as the worker does.
fn send_in_frames(socket: &mut WebSocket<TcpStream>, message: &Value) {
    let bytes = message.to_string().into_bytes();
    let chunks: Vec<&[u8]> = bytes.chunks(1024).collect();
    for (at, chunk) in chunks.iter().enumerate() {
        let opcode = if at == 0 { Data::Text } else { Data::Continue };
        let header = FrameHeader {
            is_final: at + 1 == chunks.len(),
            opcode: OpCode::Data(opcode),
            mask: Some([1, 2, 3, 4]),
            ..FrameHeader::default()
        };
        let frame = Frame::from_payload(header, chunk.to_vec().into());
        socket.send(Message::Frame(frame)).unwrap();
    }
}

/// Waits until a line of a job has come, and returns all.
fn lines(harness: &Harness, job: u64, state: &str, last: &str) -> Vec<String> {
    let get = |path: &str| send("GET", &format!("{}/_sim/{path}", harness.url), None, Body::None).json(200);
    get(&format!("wait?job={job}&state={state}&line={last}"));
    let answer = get(&format!("jobs/{job}/lines"));
    assert_eq!(answer["next"], answer["lines"].as_array().unwrap().len());
    serde_json::from_value(answer["lines"].clone()).unwrap()
}

fn shown(harness: &Harness, job: u64) -> String {
    send("GET", &format!("{}/_sim/jobs/{job}/log", harness.url), None, Body::None).text()
}

#[test]
fn lines_are_shown_while_the_job_runs_and_once() {
    let harness = Harness::new();
    let id = harness.job();
    let job = Listening::new(&harness, "one").start_job();
    let step = job.message["steps"][0]["id"].clone();
    update_step(
        &job,
        1,
        &json!({"external_id": step, "number": 2, "name": "Run it", "status": 3, "started_at": TIME, "conclusion": 0}),
    );
    let mut socket = connect(&job, Some(&job.token)).unwrap();
    let long = "ä".repeat(1500);
    let message =
        json!({"count": 3, "value": ["##[group]Run it", "hi", long], "stepId": step, "startLine": 1});
    send_in_frames(&mut socket, &message);
    // What is no feed is passed over, and the feed goes on.
    socket.send(Message::text("no JSON")).unwrap();
    send_in_frames(&mut socket, &json!({"count": 1, "value": ["last"], "stepId": step}));
    assert_eq!(lines(&harness, id, "in_progress", "last"), ["##[group]Run it", "hi", &long, "last"]);
    assert!(shown(&harness, id).contains("\nhi\n"));
    let log = format!(
        "\u{feff}{TIME} ##[group]Run it\n{TIME} \n{TIME} hi\n{TIME} {long}\n{TIME} last\n{TIME} end\n"
    );
    send_step_log(&job, &step, &log);
    assert_eq!(lines(&harness, id, "in_progress", "end")[4], "end");
    assert_eq!(shown(&harness, id), format!("##[group]Run it\n\nhi\n{long}\nlast\nend\n"));
    send_job_log(&job, &log);
    job.complete("succeeded").is_empty(204);
    assert_eq!(lines(&harness, id, "completed", "end").len(), 5);
    let from = send("GET", &format!("{}/_sim/jobs/{id}/lines?from=4", harness.url), None, Body::None);
    assert_eq!(from.json(200), json!({"lines": ["end"], "next": 5}));
}

/// The runner uploads the log of a job in blocks of 2 MiB while the job runs.
#[test]
fn lines_go_on_after_the_first_block_of_a_long_log() {
    let harness = Harness::new();
    let id = harness.job();
    let job = Listening::new(&harness, "one").start_job();
    let step = job.message["steps"][0]["id"].clone();
    let mut socket = connect(&job, Some(&job.token)).unwrap();
    send_in_frames(&mut socket, &json!({"count": 1, "value": ["one"], "stepId": step, "startLine": 1}));
    assert_eq!(lines(&harness, id, "in_progress", "one"), ["one"]);
    let block = |line: &str| format!("\u{feff}{TIME} {line}\n");
    send_job_block(&job, None);
    send_job_block(&job, Some(&block("one")));
    send_in_frames(&mut socket, &json!({"count": 1, "value": ["two"], "stepId": step, "startLine": 2}));
    assert_eq!(lines(&harness, id, "in_progress", "two"), ["one", "two"]);
    assert_eq!(shown(&harness, id), "one\ntwo\n");
    send_step_log(&job, &step, &format!("{}{TIME} three\n", ["one", "two"].map(block).concat()));
    assert_eq!(lines(&harness, id, "in_progress", "three"), ["one", "two", "three"]);
    send_job_block(&job, Some(&format!("{}{TIME} three\n", block("two"))));
    end_job_log(&job, 3);
    job.complete("succeeded").is_empty(204);
    assert_eq!(lines(&harness, id, "completed", "three"), ["one", "two", "three"]);
    assert_eq!(shown(&harness, id), "one\ntwo\nthree\n");
}

#[test]
fn the_feed_is_taken_only_with_the_jobs_token() {
    let harness = Harness::new();
    harness.job();
    let job = Listening::new(&harness, "one").start_job();
    for token in [None, Some("another")] {
        assert_eq!(connect(&job, token).err(), Some(401));
    }
}
