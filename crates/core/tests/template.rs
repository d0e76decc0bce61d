//! Tests that the code that reads webhooks accepts the output of the template in
//! front of the event bus, as `xtask/template` renders it.
//!
//! `cargo xtask test` renders it and passes the file.

#![expect(clippy::disallowed_methods, reason = "the output is a file, and a variable names it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;

use base64::prelude::{BASE64_STANDARD, Engine};
use ecsrunner_core::wire::webhook::envelope::Envelope;
use ecsrunner_core::wire::webhook::verify;
use serde::Deserialize;
use serde_json::Value;

const FILE: &str = "ECSRUNNER_RENDERED_WEBHOOKS";
const SECRET: &str = "It's a Secret to Everybody";

/// The whole request without the base64 values and the two words.
const SKELETON: &str = r#"{"Entries":[{
"EventBusName":"ecsrunner-template",
"Source":"ecsrunner.webhook",
"DetailType":"<detail type>",
"Detail":"{\"v\":1,\"action\":\"<action>\",\"event\":\"\",\"delivery\":\"\",\"signature\":\"\",\"content_type\":\"\",\"body\":\"\"}"
}]}"#;
const HEADERS: [&str; 4] = ["X-GitHub-Event", "X-GitHub-Delivery", "X-Hub-Signature-256", "Content-Type"];
const DETAIL_TYPES: [&str; 3] = ["workflow_job", "ping", "other"];
const ACTIONS: [&str; 5] = ["queued", "waiting", "in_progress", "completed", "other"];

/// The length of `sha256=` and 64 digits.
const SIGNATURE_LENGTH: usize = 71;
const MAX_BODY_BYTES: usize = 128 * 1024;

/// A webhook and the template's output for it.
#[derive(Deserialize)]
struct Case {
    name: String,
    /// By name, in the sender's spelling.
    headers: BTreeMap<String, String>,
    /// In base64.
    body: String,
    /// Whether its signature is GitHub's.
    signed: bool,
    rendered: String,
}

/// The request body of `PutEvents`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Request {
    entries: [Entry; 1],
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    event_bus_name: String,
    source: String,
    detail_type: String,
    detail: String,
}

impl Case {
    /// The value of a header in any spelling.
    fn header(&self, name: &str) -> &str {
        self.spellings(name).next().unwrap_or_default()
    }

    fn spellings<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let sent = self.headers.iter().filter(|(sent, _)| sent.eq_ignore_ascii_case(name));
        sent.map(|(_, value)| value.as_str())
    }

    fn check(&self) {
        if self.must_be_refused() {
            // PutEvents refuses a request without an entry, so such a webhook is no event.
            assert_eq!(self.rendered.trim(), r#"{"Entries":[]}"#);
            return;
        }
        let entry = self.entry();
        assert_eq!((&*entry.event_bus_name, &*entry.source), ("ecsrunner-template", "ecsrunner.webhook"));
        let detail: BTreeMap<String, Value> = serde_json::from_str(&entry.detail).unwrap();
        let keys: Vec<&str> = detail.keys().map(String::as_str).collect();
        assert_eq!(keys, ["action", "body", "content_type", "delivery", "event", "signature", "v"]);
        let action = detail["action"].as_str().unwrap();
        self.check_clear(&entry.detail_type, action, &detail);
        self.check_words(&entry.detail_type, action);
        self.check_envelope(&Envelope::read(&entry.detail).unwrap());
    }

    /// Whether it cannot be GitHub's: by a header that is missing or sent in two spellings, and by the length of its
    /// signature or of its body in base64.
    fn must_be_refused(&self) -> bool {
        let is_missing =
            ["X-GitHub-Event", "X-GitHub-Delivery"].iter().any(|name| self.header(name).is_empty());
        let is_doubled = HEADERS.iter().any(|name| self.spellings(name).count() > 1);
        let sent = self.sent();
        let arrives = BASE64_STANDARD.encode(String::from_utf8_lossy(&sent).as_bytes());
        let is_too_large = arrives.len() > MAX_BODY_BYTES.div_ceil(3) * 4;
        let signature = self.header("X-Hub-Signature-256").chars().count();
        is_missing || is_doubled || is_too_large || signature != SIGNATURE_LENGTH
    }

    fn entry(&self) -> Entry {
        let Request { entries: [entry] } = serde_json::from_str(&self.rendered).unwrap();
        entry
    }

    /// Checks that requests differ only in base64 values and in words from the two lists.
    fn check_clear(&self, detail_type: &str, action: &str, detail: &BTreeMap<String, Value>) {
        let mut bare = self.rendered.trim().to_owned();
        for field in ["event", "delivery", "signature", "content_type", "body"] {
            let value = detail[field].as_str().unwrap();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
            assert!(value.bytes().all(plain), "{field}");
            let empty = format!(r#"\"{field}\":\"\""#);
            bare = bare.replacen(&format!(r#"\"{field}\":\"{value}\""#), &empty, 1);
        }
        assert!(DETAIL_TYPES.contains(&detail_type), "{detail_type}");
        assert!(ACTIONS.contains(&action), "{action}");
        assert_eq!(bare, SKELETON.replace("<detail type>", detail_type).replace("<action>", action));
    }

    /// Checks that the words match the event's header and the body's action.
    fn check_words(&self, detail_type: &str, action: &str) {
        let listed = |words: &[&'static str], word: &str| {
            words.iter().copied().find(|known| *known == word).unwrap_or("other")
        };
        assert_eq!(detail_type, listed(&DETAIL_TYPES, self.header("X-GitHub-Event")));
        // A body that is JSON only to API Gateway may be routed either way.
        if let Ok(body) = serde_json::from_slice::<Value>(&self.sent()) {
            assert_eq!(action, listed(&ACTIONS, body["action"].as_str().unwrap_or_default()));
        }
    }

    /// Checks that the body arrives unchanged, and that the signature detects changes.
    fn check_envelope(&self, envelope: &Envelope) {
        assert_eq!(envelope.event, self.header("X-GitHub-Event"));
        assert_eq!(envelope.delivery, self.header("X-GitHub-Delivery"));
        assert_eq!(envelope.signature.as_deref().unwrap_or_default(), self.header("X-Hub-Signature-256"));
        assert_eq!(envelope.content_type.as_deref().unwrap_or_default(), self.header("Content-Type"));
        let sent = self.sent();
        if self.is_text() {
            assert!(envelope.body == sent, "another body arrived");
        }
        let verified = verify(&[SECRET], &envelope.body, envelope.signature.as_deref());
        assert_eq!(verified.is_ok(), self.signed, "{verified:?}");
        let forged = [&envelope.body[..], b" "].concat();
        verify(&[SECRET], &forged, envelope.signature.as_deref()).unwrap_err();
        verify(&["another secret"], &envelope.body, envelope.signature.as_deref()).unwrap_err();
    }

    fn sent(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(&self.body).unwrap()
    }

    /// Whether API Gateway can pass the raw body on: it must be UTF-8 and not empty.
    fn is_text(&self) -> bool {
        let sent = self.sent();
        !sent.is_empty() && str::from_utf8(&sent).is_ok()
    }
}

/// Prints the case if its check panics.
struct Named<'a>(&'a Case);

impl Drop for Named<'_> {
    #[expect(clippy::print_stderr, reason = "says which case failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let start: String = self.0.rendered.chars().take(2_000).collect();
            eprintln!("case `{}` was rendered as:\n{start}", self.0.name);
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "says how much was checked")]
fn whatever_is_sent_arrives_as_it_was_and_nothing_of_it_stands_in_the_clear() {
    let Ok(file) = std::env::var(FILE) else {
        return ecsrunner_skip::left_to("template");
    };
    let text = fs::read_to_string(file).unwrap();
    let cases: Vec<Case> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for case in &cases {
        let _named = Named(case);
        case.check();
    }
    let count = |test: &dyn Fn(&&Case) -> bool| cases.iter().filter(test).count();
    let samples = count(&|case| case.name.starts_with("sample: "));
    let passed = |kind: &str| count(&|case| case.name.starts_with(kind) && !case.must_be_refused());
    let refused = count(&|case| case.must_be_refused());
    let forged = count(&|case| !case.signed && !case.must_be_refused());
    let mangled = count(&|case| !case.is_text() && !case.must_be_refused());
    assert!(samples >= 329, "{samples} samples");
    assert_eq!(passed("sample in lower case: "), passed("sample: "));
    assert!(cases.len() - samples >= 1_000, "{} hostile cases", cases.len() - samples);
    assert!(refused >= 100 && forged >= 100, "{refused} refused, {forged} forged");
    assert!(mangled >= 5, "{mangled} mangled");
    for word in ["workflow_job", "ping", "other"] {
        assert!(
            cases.iter().any(|case| !case.must_be_refused() && case.entry().detail_type == word),
            "no case is routed as {word}"
        );
    }
    eprintln!("{} requests, {samples} of GitHub's samples, {forged} forged, {refused} refused", cases.len());
}
