//! Passes a command's exit code in its output, and removes it there.

use std::io::Write;

use anyhow::anyhow;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The size of one read in bytes.
const CHUNK: usize = 16 * 1024;
/// The most characters after the mark: the code and the end of the line.
const MAX_DIGITS: usize = 5;

/// The part of a mark before its random part.
const PREFIX: &str = "ecsrunner-exit-";

/// A random mark, which a command's output does not contain by chance.
#[derive(Debug)]
pub(super) struct Code {
    random: String,
    mark: String,
}

impl Code {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes)
            .map_err(|_| anyhow!("the system's random number generator failed"))?;
        Ok(Self::of(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    fn of(random: String) -> Self {
        Self { mark: format!("{PREFIX}{random}:"), random }
    }

    /// Returns a shell line that executes a command and then prints its code. The
    /// line does not contain the whole mark, because the command may print the
    /// line, for example with `ps`.
    pub(super) fn told_by(&self, command: &str) -> String {
        format!("({command}); printf '\\n%s%s:%s\\n' {PREFIX} {} \"$?\"", self.random)
    }

    /// Copies the output as it arrives, without the line of the code. Returns the code.
    pub(super) async fn pass_on(
        &self,
        mut from: impl AsyncRead + Unpin,
        to: &mut impl Write,
    ) -> std::io::Result<Option<u8>> {
        let (mut held, mut code) = (Vec::new(), None);
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = from.read(&mut chunk).await?;
            held.extend_from_slice(chunk.get(..read).unwrap_or_default());
            if code.is_none() {
                code = self.take(&mut held);
            }
            let keep = if read == 0 || code.is_some() { 0 } else { self.longest().min(held.len()) };
            let passed: Vec<u8> = held.drain(..held.len() - keep).collect();
            to.write_all(&passed)?;
            to.flush()?;
            if read == 0 {
                return Ok(code);
            }
        }
    }

    /// Returns the greatest length of an incomplete mark with its code and line ends.
    fn longest(&self) -> usize {
        self.mark.len() + MAX_DIGITS + 4
    }

    /// Removes the line and returns its code. A terminal ends lines with two characters.
    fn take(&self, held: &mut Vec<u8>) -> Option<u8> {
        let mark = self.mark.as_bytes();
        let (at, end, code) = (0..held.len()).find_map(|at| {
            let rest = held.get(at..)?.strip_prefix(mark)?;
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            let code = std::str::from_utf8(rest.get(..end)?).ok()?.trim_end().parse().ok()?;
            Some((at, end, code))
        })?;
        let mut from = at;
        for before in [b'\n', b'\r'] {
            if from > 0 && held.get(from - 1) == Some(&before) {
                from -= 1;
            }
        }
        held.drain(from..at + mark.len() + end + 1);
        Some(code)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn passed(text: &str, at_once: usize) -> (String, Option<u8>) {
        let code = Code::of("0a".to_owned());
        let (mut writer, reader) = tokio::io::duplex(at_once);
        let bytes = text.as_bytes().to_vec();
        let writing = tokio::spawn(async move { writer.write_all(&bytes).await });
        let mut out = Vec::new();
        let told = code.pass_on(reader, &mut out).await.unwrap();
        writing.await.unwrap().unwrap();
        (String::from_utf8(out).unwrap(), told)
    }

    #[tokio::test]
    async fn the_code_is_taken_out_of_the_output_however_it_is_cut() {
        let text = "Starting session\r\nhello\r\n\r\necsrunner-exit-0a:7\r\nExiting session\r\n";
        for at_once in [1, 3, 17, 4096] {
            let (out, code) = passed(text, at_once).await;
            assert_eq!((out.as_str(), code), ("Starting session\r\nhello\r\nExiting session\r\n", Some(7)));
        }
    }

    #[tokio::test]
    async fn a_mark_without_a_code_is_output_like_any_other() {
        let text = "ecsrunner-exit-0a:%s\nmore\n\necsrunner-exit-0a:3\n";
        for at_once in [1, 4096] {
            let (out, code) = passed(text, at_once).await;
            assert_eq!((out.as_str(), code), ("ecsrunner-exit-0a:%s\nmore\n", Some(3)));
        }
    }

    #[tokio::test]
    async fn output_without_a_code_passes_whole() {
        assert_eq!(passed("no such thing", 4).await, ("no such thing".to_owned(), None));
        assert_eq!(passed("", 4).await, (String::new(), None));
    }

    #[test]
    fn a_shell_tells_the_code_of_the_command_before() {
        let code = Code::new().unwrap();
        for (command, expected) in [("exit 7", 7), ("true", 0), ("no-such-command-here 2>&1 >/dev/null", 127)]
        {
            let line = code.told_by(command);
            assert!(!line.contains(&code.mark), "{line}");
            let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            let mut held = output.stdout;
            assert_eq!(code.take(&mut held), Some(expected), "{command}");
        }
    }
}
