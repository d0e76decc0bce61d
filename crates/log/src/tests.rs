use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing::{info, warn};
use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn logged_as_json(log: impl FnOnce()) -> Value {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().event_format(JsonLines).with_writer(lines.clone()).finish();
    tracing::subscriber::with_default(subscriber, log);
    let text = lines.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_line_has_time_level_message_and_the_fields_as_they_are() {
    let mut line = logged_as_json(|| {
        info!(
            job_id = 7_u64,
            lag = -2_i64,
            paused = true,
            class = "small",
            missing = None::<u64>,
            "launched runner"
        );
    });
    let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
    time.as_str().unwrap().parse::<Timestamp>().unwrap();
    let expected = json!({
        "level": "INFO", "message": "launched runner", "job_id": 7, "lag": -2, "paused": true, "class": "small",
    });
    assert_eq!(line, expected);
}

#[test]
fn no_value_is_long_or_hides_anything_however_it_is_logged() {
    let name = format!("a\n\u{1b}[2J\u{202e}b\u{200b}{}", "x".repeat(60_000));
    let line = logged_as_json(|| warn!(by_value = name, by_display = %name, by_debug = ?name, "{name}"));
    for field in ["by_value", "by_display", "by_debug", "message"] {
        let shown = line[field].as_str().unwrap();
        assert!(shown.chars().count() < 1_050, "{field}: {}", shown.len());
        assert!(!shown.contains(ecsrunner_core::text::is_hidden), "{field}: {shown:?}");
        assert!(shown.ends_with(" bytes)"), "{field}");
    }
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .fmt_fields(text_fields())
        .compact()
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || warn!(%name, "refused {name}"));
    let text = lines.text();
    assert!(text.len() < 2_300 && text.contains(r"name=a\n\u{1b}[2J\u{202e}b\u{200b}xxx"), "{text}");
    assert!(!text.trim_end().contains(ecsrunner_core::text::is_hidden), "{text:?}");
}
