//! Server-sent events.

use std::collections::VecDeque;

use serde_json::Value;

pub(crate) struct Events {
    answer: reqwest::Response,
    text: String,
    ready: VecDeque<Value>,
    pub(crate) hello: Value,
}

impl Events {
    /// Subscribes, and waits for the first event.
    pub(super) async fn of(answer: reqwest::Response) -> Self {
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut events = Self { answer, text: String::new(), ready: VecDeque::new(), hello: Value::Null };
        events.hello = events.next().await;
        events
    }

    pub(crate) async fn next(&mut self) -> Value {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            let chunk = self.answer.chunk().await.expect("the events broke off").expect("the events ended");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                if let Some(data) = event.strip_prefix("data: ") {
                    self.ready.push_back(serde_json::from_str(data).unwrap());
                }
                self.text = rest.to_owned();
            }
        }
    }

    /// Drops the events received so far.
    pub(super) fn drain(&mut self) {
        self.ready.clear();
    }
}
