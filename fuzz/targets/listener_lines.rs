//! Whatever the listener prints, each byte is passed on once, and no job completes that was not running.
#![no_main]

// The agent's own module: the rest of the agent is not needed, and takes long to build.
#[path = "../../crates/agent/src/lines.rs"]
mod lines;

use libfuzzer_sys::fuzz_target;
use lines::{Hint, Hints, Lines};

fuzz_target!(|input: (Vec<u8>, u8)| {
    let (output, step) = input;
    let (whole, hints) = read(&output, output.len().max(1));
    assert_eq!(whole, output, "each byte is passed on once");
    let (_, in_pieces) = read(&output, usize::from(step).max(1));
    if output.len() < 16 * 1024 {
        assert_eq!(hints, in_pieces, "how the bytes arrive changes nothing");
    }
    let mut running = false;
    for hint in &hints {
        match hint {
            Hint::Listening => {}
            Hint::Running { .. } => running = true,
            Hint::Completed { result } => {
                assert!(running, "{result} of no job");
                assert!(!result.is_empty() && result.len() < 32, "{result}");
            }
        }
    }
});

/// Reads the output as it arrives, `step` bytes at a time.
fn read(output: &[u8], step: usize) -> (Vec<u8>, Vec<Hint>) {
    let (mut lines, mut hints) = (Lines::default(), Hints::default());
    let (mut passed_on, mut found) = (Vec::new(), Vec::new());
    let mut each = |line: lines::Line<'_>| {
        passed_on.extend_from_slice(line.bytes);
        if let Some(text) = line.text() {
            found.extend(hints.read(&text));
        }
    };
    for part in output.chunks(step) {
        lines.push(part, &mut each);
    }
    lines.finish(&mut each);
    (passed_on, found)
}
