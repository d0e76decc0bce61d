//! What a service on one machine writes. Its log has the first and the last part of it, so that no service can fill the
//! disk, and its last lines can be shown to its job.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;

use ecsrunner_core::id::ServiceName;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde::{Deserialize, Serialize};

/// How much of the beginning is logged, and how much of the end.
const PART_BYTES: usize = 1024 * 1024;
const PIECE_BYTES: usize = 64 * 1024;
/// How many pieces are read at once from a service that goes on writing.
const MAX_PIECES: u32 = 64;
/// How much of the end is shown to a job.
const TAIL_BYTES: usize = 16 * 1024;
const TAIL_LINES: usize = 100;

/// The last lines of each service: the agent's answer to the container hook.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tails {
    /// What was asked with: another answer is not this hook's.
    pub(crate) ask: String,
    pub(crate) of: BTreeMap<ServiceName, String>,
}

/// The output of one process and of what it starts.
pub(crate) struct Output {
    /// `None` after its end.
    pipe: Option<File>,
    /// `None` once it is complete.
    log: Option<File>,
    /// How many bytes were read.
    total: usize,
    /// The last of these bytes, at most [`PART_BYTES`]. They go to the log at the end.
    last: VecDeque<u8>,
}

impl Output {
    /// Returns the output and the end of its pipe for the process.
    pub(crate) fn new(log: File) -> io::Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        let pipe = File::from(OwnedFd::from(reader));
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((Self { pipe: Some(pipe), log: Some(log), total: 0, last: VecDeque::new() }, writer))
    }

    /// The pipe, for `poll`.
    pub(crate) fn pipe(&self) -> Option<&File> {
        self.pipe.as_ref()
    }

    /// Reads up to 64 KiB without blocking. Returns the number of bytes.
    pub(crate) fn read(&mut self) -> usize {
        let Some(pipe) = &mut self.pipe else { return 0 };
        let mut bytes = [0; PIECE_BYTES];
        match pipe.read(&mut bytes) {
            Ok(read @ 1..) => {
                self.take(&bytes[..read]);
                read
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Ok(_) | Err(_) => {
                self.complete();
                0
            }
        }
    }

    /// Reads what the pipe holds, at most 4 MiB of it.
    pub(crate) fn drain(&mut self) {
        for _ in 0..MAX_PIECES {
            if self.read() == 0 {
                return;
            }
        }
    }

    /// Reads the rest, and completes the log. What still writes gets SIGPIPE.
    pub(crate) fn finish(&mut self) {
        self.drain();
        self.complete();
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = PART_BYTES.saturating_sub(self.total);
        self.write_log(&bytes[..bytes.len().min(room)]);
        if self.total <= PART_BYTES && bytes.len() > room {
            self.write_log(
                b"\n[ecsrunner: this part of the log is full; the last 1 MiB is added when the service has ended]\n",
            );
        }
        self.total = self.total.saturating_add(bytes.len());
        let newest = &bytes[bytes.len().saturating_sub(PART_BYTES)..];
        let surplus = (self.last.len() + newest.len()).saturating_sub(PART_BYTES);
        self.last.drain(..surplus);
        self.last.extend(newest);
    }

    fn complete(&mut self) {
        self.pipe = None;
        let unlogged = self.total.saturating_sub(PART_BYTES);
        let kept = unlogged.min(self.last.len());
        if kept < unlogged {
            self.write_log(format!("[ecsrunner: {} bytes are left out here]\n", unlogged - kept).as_bytes());
        }
        let last: Vec<u8> = self.last.range(self.last.len() - kept..).copied().collect();
        self.write_log(&last);
        self.log = None;
    }

    fn write_log(&mut self, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            // A service does not end because its log cannot be written.
            let _ = log.write_all(bytes);
        }
    }

    /// The last lines: at most 100, and 16 KiB of them.
    pub(crate) fn tail(&self) -> String {
        let start = self.last.len().saturating_sub(TAIL_BYTES);
        let bytes: Vec<u8> = self.last.range(start..).copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        // The first line is a part of one, unless it is the only one.
        let whole = if start > 0 { text.split_once('\n').map_or(&*text, |(_, rest)| rest) } else { &text };
        let lines: Vec<&str> = whole.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output() -> (Output, PipeWriter, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (output, writer) = Output::new(file.reopen().unwrap()).unwrap();
        (output, writer, file)
    }

    #[test]
    fn a_log_has_the_first_and_the_last_part_and_says_what_is_left_out() {
        let (mut output, _writer, file) = output();
        let piece = |byte: u8| vec![byte; PIECE_BYTES - 1];
        for byte in [b'a', b'b', b'c'].into_iter().flat_map(|byte| [byte; 40]) {
            output.take(&piece(byte));
        }
        output.complete();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let (first, rest) = text.split_once("\n[ecsrunner: this part of the log is full;").unwrap();
        let (told, last) = rest.split_once(" bytes are left out here]\n").unwrap();
        assert_eq!((first.len(), last.len()), (PART_BYTES, PART_BYTES));
        assert!(first.bytes().all(|byte| byte == b'a') && last.bytes().all(|byte| byte == b'c'));
        let left_out = 120 * (PIECE_BYTES - 1) - 2 * PART_BYTES;
        assert!(told.ends_with(&format!("[ecsrunner: {left_out}")), "{told}");
        assert!(output.last.capacity() <= 2 * PART_BYTES, "it takes little memory");
    }

    #[test]
    fn a_log_of_less_is_whole() {
        for (written, expected) in [(0, 0), (1, 1), (PART_BYTES, PART_BYTES)] {
            let (mut output, _writer, file) = output();
            output.take(&vec![b'x'; written]);
            output.complete();
            assert_eq!(std::fs::read(file.path()).unwrap().len(), expected);
        }
        // Nothing is left out here either.
        let (mut output, _writer, file) = output();
        output.take(&vec![b'x'; PART_BYTES + 7]);
        output.complete();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.ends_with("has ended]\nxxxxxxx"), "{}", &text[PART_BYTES..]);
    }

    #[test]
    fn a_process_that_still_writes_does_not_hold_the_end_up() {
        let (mut output, mut writer, file) = output();
        writer.write_all(b"a line\n").unwrap();
        output.finish();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"a line\n");
        assert!(output.pipe().is_none() && writer.write_all(b"x").is_err());
    }

    #[test]
    fn a_tail_has_whole_lines_within_both_limits() {
        let (mut output, _writer, _file) = output();
        assert_eq!(output.tail(), "");
        output.take(b"one\ntwo\r\nthree");
        assert_eq!(output.tail(), "one\ntwo\nthree");
        output.take(format!("\n{}", "line\n".repeat(TAIL_LINES)).as_bytes());
        assert_eq!(output.tail(), ["line"; TAIL_LINES].join("\n"));
        output.take(format!("{}\nlast\n", "x".repeat(2 * TAIL_BYTES)).as_bytes());
        assert_eq!(output.tail(), "last");
        output.take("x".repeat(2 * TAIL_BYTES).as_bytes());
        assert_eq!(output.tail().len(), TAIL_BYTES);
    }
}
