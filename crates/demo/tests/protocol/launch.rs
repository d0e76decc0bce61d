//! §7.1: resolution and download of actions.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::{Answer, Body, keys, resolve, send};
use crate::harness::Harness;
use crate::runner::{Listening, RunningJob};

fn resolve_actions(job: &RunningJob, token: Option<&str>, actions: &Value) -> Answer {
    let path = format!("/actions/build/{}/jobs/{}/runnerresolve/actions", job.plan, job.id);
    let url = resolve(job.variable("system.github.launch_endpoint"), &path);
    send("POST", &url, token, Body::Json(&json!({"actions": actions})))
}

fn running(harness: &Harness) -> RunningJob {
    harness.job();
    Listening::new(harness, "one").start_job()
}

/// Returns the files of a gzipped archive by path.
fn unpack(archive: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(path, text);
    }
    files
}

#[test]
fn a_known_action_is_resolved_to_a_commit_and_an_archive() {
    let harness = Harness::new();
    harness.action("o/act@v1", &[("action.yml", "name: act"), ("lib/main.js", "main")]);
    let job = running(&harness);
    let asked = json!([{"action": "o/act", "version": "v1", "path": ""}]);
    let reply = resolve_actions(&job, Some(&job.token), &asked).json(200);
    assert_eq!(keys(&reply), ["actions"]);
    assert_eq!(keys(&reply["actions"]), ["o/act@v1"]);
    let action = &reply["actions"]["o/act@v1"];
    for (key, value) in [("name", "o/act"), ("resolved_name", "o/act"), ("version", "v1")] {
        assert_eq!(action[key], value, "{key}");
    }
    let sha = action["resolved_sha"].as_str().unwrap();
    assert!(sha.len() == 40 && sha.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "{sha}");
    for key in ["tar_url", "zip_url"] {
        assert!(action[key].as_str().unwrap().starts_with(&format!("{}/", harness.url)), "{key}: {action}");
    }
    if let Some(authentication) = action.get("authentication").filter(|value| !value.is_null()) {
        assert_eq!(keys(authentication), ["expires_at", "token"]);
        let until: Timestamp = authentication["expires_at"].as_str().unwrap().parse().unwrap();
        assert!(until > Timestamp::now());
    }
    let token = action["authentication"]["token"].as_str();
    let archive = send("GET", action["tar_url"].as_str().unwrap(), token, Body::None);
    assert_eq!(archive.status, 200);
    let files = unpack(&archive.body);
    let top = files.keys().next().unwrap().split('/').next().unwrap().to_owned();
    assert!(files.keys().all(|path| path.split('/').next() == Some(&top)), "one top folder: {files:?}");
    assert_eq!(files[&format!("{top}/action.yml")], "name: act");
    assert_eq!(files[&format!("{top}/lib/main.js")], "main");
}

#[test]
fn a_folder_of_an_action_is_found_in_its_repository() {
    let harness = Harness::new();
    harness.action("o/act@v1", &[("sub/action.yml", "name: act")]);
    let job = running(&harness);
    let asked = json!([{"action": "o/act", "version": "v1", "path": "sub"}]);
    let reply = resolve_actions(&job, Some(&job.token), &asked).json(200);
    assert_eq!(reply["actions"]["o/act@v1"]["name"], "o/act");
}

#[test]
fn an_action_that_is_not_known_is_named_in_the_refusal() {
    let harness = Harness::new();
    harness.action("o/act@v1", &[("action.yml", "name: act")]);
    let job = running(&harness);
    let asked = json!([
        {"action": "o/act", "version": "v1", "path": ""}, {"action": "o/other", "version": "v2", "path": ""},
    ]);
    let reply = resolve_actions(&job, Some(&job.token), &asked).json(422);
    assert_eq!(keys(&reply["errors"]), ["o/other@v2"]);
    assert!(
        reply["errors"]["o/other@v2"]["message"].as_str().is_some_and(|text| !text.is_empty()),
        "{reply}"
    );
}

#[test]
fn nothing_is_resolved_without_the_jobs_token() {
    let harness = Harness::new();
    harness.action("o/act@v1", &[("action.yml", "name: act")]);
    let job = running(&harness);
    let asked = json!([{"action": "o/act", "version": "v1", "path": ""}]);
    for token in [None, Some("another token")] {
        assert_eq!(resolve_actions(&job, token, &asked).status, 401);
    }
}

#[test]
fn an_archive_that_does_not_exist_is_not_found() {
    let harness = Harness::new();
    harness.action("o/act@v1", &[("action.yml", "name: act")]);
    let job = running(&harness);
    let asked = json!([{"action": "o/act", "version": "v1", "path": ""}]);
    let reply = resolve_actions(&job, Some(&job.token), &asked).json(200);
    let action = &reply["actions"]["o/act@v1"];
    let url = action["tar_url"].as_str().unwrap();
    let sha = action["resolved_sha"].as_str().unwrap();
    let missing = url.replace(sha, &"0".repeat(40)).replace("o/act", "o/none");
    assert_ne!(missing, url);
    assert_eq!(send("GET", &missing, Some(&job.token), Body::None).status, 404);
}

/// Answers one request with a commit's id. Returns the address, and the request's first line.
fn upstream(sha: &'static str) -> (String, std::sync::mpsc::Receiver<String>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        sender.send(lines.next().unwrap()).unwrap();
        lines.find(String::is_empty).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 40\r\nConnection: close\r\n\r\n{sha}").unwrap();
    });
    (url, asked)
}

#[test]
fn an_action_that_was_not_given_comes_from_github_if_that_is_allowed() {
    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";
    let harness = Harness::new();
    let (url, asked) = upstream(SHA);
    let job = running(&harness);
    let wanted = json!([{"action": "o/far", "version": "v1", "path": ""}]);
    assert_eq!(resolve_actions(&job, Some(&job.token), &wanted).status, 422);
    harness.sim("upstream", &json!({"url": url}));
    let reply = resolve_actions(&job, Some(&job.token), &wanted).json(200);
    assert_eq!(asked.recv().unwrap(), "GET /repos/o/far/commits/v1 HTTP/1.1");
    let action = &reply["actions"]["o/far@v1"];
    assert_eq!(action["resolved_sha"], SHA);
    assert_eq!(action["tar_url"], format!("{url}/repos/o/far/tarball/{SHA}"));
}
