//! A demo that keeps serving its page.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// The timeout of the demo's jobs, and of its end.
const LIMIT: Duration = Duration::from_secs(120);
const PACE: Duration = Duration::from_millis(100);

/// A running demo; ends when dropped.
pub(super) struct Demo {
    process: Child,
    log: PathBuf,
    github: String,
    page: String,
    token: String,
}

impl Demo {
    /// Starts the demo and waits until its jobs are done.
    pub(super) fn start(executable: &Path, log: &Path) -> anyhow::Result<Self> {
        let stderr = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let process = Command::new(executable)
            .args(["demo", "--web"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start {}", executable.display()))?;
        let [github, page, token] = [const { String::new() }; 3];
        let mut demo = Self { process, log: log.to_owned(), github, page, token };
        demo.wait_for("until Ctrl-C")?;
        let text = fs::read_to_string(log)?;
        let urls: Vec<&str> =
            text.split([' ', ',', '\n']).filter_map(|word| word.strip_prefix("http://")).collect();
        let token = urls.last().and_then(|last| last.split_once("/#token="));
        let ([github, page, ..], Some((_, token))) = (urls.as_slice(), token) else {
            bail!("the demo did not print its address and token:\n{text}")
        };
        (demo.github, demo.page, demo.token) = ((*github).to_owned(), (*page).to_owned(), token.to_owned());
        Ok(demo)
    }

    /// Returns the page's URL, with the token that the page needs.
    pub(super) fn page(&self) -> String {
        format!("http://{}/#token={}", self.page, self.token)
    }

    /// Queues a job of an unknown class, and waits until the server refuses it.
    pub(super) fn refuse_a_job(&self) -> anyhow::Result<()> {
        let job = r#"{"repository": "acme/demo", "labels": ["self-hosted", "class:huge"], "name": "too large", "work": {"sleep_ms": 1}}"#;
        request(&self.github, "", "POST", "/_sim/jobs", job)?;
        let began = Instant::now();
        while !request(&self.page, &self.token, "GET", "/api/v1/jobs", "")?.contains("class_unknown") {
            ensure!(began.elapsed() < LIMIT, "no job was refused within {LIMIT:?}");
            thread::sleep(PACE);
        }
        Ok(())
    }

    /// Ends the demo as Ctrl-C does. Its exit code shows whether anything was left.
    pub(super) fn end(mut self) -> anyhow::Result<()> {
        let status = self.interrupt()?;
        ensure!(status.success(), "the demo ended with {status}:\n{}", fs::read_to_string(&self.log)?);
        Ok(())
    }

    fn interrupt(&mut self) -> anyhow::Result<ExitStatus> {
        let interrupted = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status()?;
        ensure!(interrupted.success(), "the demo could not be interrupted");
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            ensure!(began.elapsed() < LIMIT, "the demo did not end within {LIMIT:?}");
            thread::sleep(PACE);
        }
    }

    fn wait_for(&mut self, words: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let told = fs::read_to_string(&self.log)?;
            if told.contains(words) {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the demo ended with {status}:\n{told}");
            }
            ensure!(began.elapsed() < LIMIT, "the demo's jobs were not done within {LIMIT:?}:\n{told}");
            thread::sleep(PACE);
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // An interrupted demo ends its own processes; a killed one could not.
        if !matches!(self.process.try_wait(), Ok(Some(_))) && self.interrupt().is_err() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Sends a request with a token on a new connection and returns the whole answer.
fn request(host: &str, token: &str, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(host).with_context(|| format!("cannot connect to {host}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
    Ok(answer)
}
