//! Executes one job: acquires it, renews its lock, and runs its worker.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::runner_client::{JobClient, JobRequest, Message};
use crate::times::Times;
use crate::worker::{self, Control, Outcome};

use super::events::{Event, Stop};
use super::poll::{PollEnd, Polling};
use super::{JIT_VARIABLE, Listener};

/// Attempts of one call to the run service.
const TRIES: u32 = 5;
/// Rounds of attempts for the first renewal.
const FIRST_RENEWALS: u32 = 6;
/// Time from a signal to the shutdown message at the worker. The official runner
/// takes about as long, and the next step can start in that time.
const SHUTDOWN_DELAY: Duration = Duration::from_millis(60);

/// How a job ended, as its listener sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ended {
    /// The signal that ended it.
    pub(super) stop: Option<Stop>,
    /// The registration is gone, and its session with it.
    pub(super) is_deregistered: bool,
    /// Why polling ended, if the listener must end with an error because of it.
    pub(super) poll_end: Option<PollEnd>,
}

/// Returns a job's display name.
pub(super) fn name(message: &Value) -> &str {
    message["jobDisplayName"].as_str().unwrap_or_default()
}

/// Acquires a job and returns its message. Returns `None`, and prints nothing, if the
/// job cannot be acquired.
pub(super) fn acquire(listener: &Listener, request: &JobRequest) -> Option<Value> {
    for attempt in 1..=TRIES {
        match listener.client.acquire(request) {
            Ok(message) => return Some(message),
            Err(error) if matches!(error.status(), Some(404 | 409 | 422)) => return None,
            Err(_) if attempt < TRIES => thread::sleep(listener.times.call_retry()),
            Err(_) => {}
        }
    }
    None
}

/// Executes a job and prints all its lines.
pub(super) fn execute(listener: &Listener, message: &Value, polling: &Polling) -> Ended {
    polling.set_busy();
    listener.terminal.timed_line(&format!("Running job: {}", name(message)));
    let nothing = Ended { stop: None, is_deregistered: false, poll_end: None };
    let Some(client) = JobClient::of(message) else {
        listener.terminal.error("An error occurred: the job message cannot be read");
        return nothing;
    };
    let renewal = Renewal::start(client.clone(), listener.times, listener.sender.clone());
    let mut job = RunningJob { listener, message, client, worker: None, told: None, ended: nothing };
    let result = job.run();
    renewal.stop();
    if let Some(result) = result
        && listener.fault != super::Fault::SilentEnd
    {
        listener.terminal.timed_line(&format!("Job {} completed with result: {result}", name(message)));
    }
    job.ended
}

struct RunningJob<'a> {
    listener: &'a Listener,
    message: &'a Value,
    client: JobClient,
    worker: Option<ChildStdin>,
    /// The control message that was sent to the worker.
    told: Option<Control>,
    ended: Ended,
}

impl RunningJob<'_> {
    /// Runs the job. Returns the result for the listener's line, or `None` if the job never
    /// started.
    fn run(&mut self) -> Option<&'static str> {
        // The result that the line shows after a stop. The worker may report another one.
        let mut forced = None;
        loop {
            let event = self.listener.events.recv().ok()?;
            match event {
                Event::Renewed if self.told.is_some() => {}
                Event::Renewed => {
                    if let Err(error) = self.start_worker() {
                        self.listener.terminal.error(&format!("An error occurred: no worker: {error}"));
                        return Some("Failed");
                    }
                }
                Event::RenewalEnded if self.worker.is_none() => return None,
                Event::RenewalEnded => {
                    forced.get_or_insert("Abandoned");
                    self.tell(Control::Cancel);
                }
                Event::Message(Message::Cancellation(id)) if id == self.client.job => {
                    forced.get_or_insert("Canceled");
                    self.tell(Control::Cancel);
                }
                Event::Signal(stop) if !self.listener.fault.ignores(stop) => {
                    if self.ended.stop.is_none() {
                        self.listener.exiting(stop);
                        self.ended.stop = Some(stop);
                        forced.get_or_insert("Canceled");
                        thread::sleep(SHUTDOWN_DELAY);
                        self.tell(Control::Shutdown);
                    }
                }
                Event::PollEnded(end) => {
                    match end {
                        PollEnd::RunnerNotFound => {
                            self.listener.tell_deregistered();
                            self.ended.is_deregistered = true;
                        }
                        other => {
                            self.ended.poll_end = Some(other);
                        }
                    }
                    forced.get_or_insert("Canceled");
                    self.tell(Control::Cancel);
                }
                Event::WorkerEnded(status) => {
                    let outcome = status.code().and_then(Outcome::of_code);
                    if outcome.is_none() {
                        self.report_crash();
                    }
                    return Some(forced.unwrap_or(outcome.map_or("Failed", Outcome::word)));
                }
                Event::Message(_) | Event::Signal(_) => {}
            }
            if self.told.is_some() && self.worker.is_none() {
                // Ended before its worker started.
                let _ = self.client.complete(json!({"conclusion": "canceled"}));
                return Some("Canceled");
            }
        }
    }

    fn start_worker(&mut self) -> io::Result<()> {
        let listener = self.listener;
        let mut command = worker_command()?;
        command
            .current_dir(&listener.root.path)
            .env_clear()
            .envs(listener.root.variables.iter().filter(|(name, _)| *name != JIT_VARIABLE))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let configuration = listener.client.configuration();
        let order = json!({
            "message": self.message,
            "work_folder": configuration.work_folder,
            "runner_name": configuration.agent_name,
        });
        writeln!(stdin, "{order}")?;
        self.worker = Some(stdin);
        let prints_log = listener.terminal.prints_log;
        let sender = listener.sender.clone();
        thread::Builder::new().name("worker".to_owned()).spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if prints_log {
                    let _ = writeln!(io::stdout().lock(), "[WORKER {line}]");
                }
            }
            if let Ok(status) = child.wait() {
                let _ = sender.send(Event::WorkerEnded(status));
            }
        })?;
        Ok(())
    }

    /// Sends a control message, unless one was sent before. The worker only reads one.
    fn tell(&mut self, control: Control) {
        if self.told.is_some() {
            return;
        }
        self.told = Some(control);
        if let Some(worker) = &mut self.worker {
            // If the worker is gone, the job has ended.
            let _ = writeln!(worker, "{}", control.word());
        }
    }

    /// Reports the end for a worker that ended without a result.
    fn report_crash(&self) {
        let annotation = json!({"level": "FAILURE", "message": "The worker ended unexpectedly."});
        let _ = self.client.complete(json!({"conclusion": "failed", "annotations": [annotation]}));
    }
}

/// Returns the command that starts this executable as a worker.
fn worker_command() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    // Either `ecsrunner stand-in-listener run`, or the stand-in's own executable with `run`.
    let before = std::env::args_os().skip(1).take_while(|arg| arg.to_string_lossy().contains("listener"));
    command.args(before).arg(worker::ARGUMENT);
    Ok(command)
}

/// The thread that renews a job's lock.
struct Renewal {
    stopped: Arc<AtomicBool>,
    thread: Option<thread::Thread>,
}

impl Renewal {
    fn start(client: JobClient, times: Times, sender: Sender<Event>) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopped);
        let renew = move || {
            let rest = |duration: Duration| {
                let end = Instant::now() + duration;
                while !flag.load(Ordering::Relaxed) && Instant::now() < end {
                    thread::park_timeout(end.saturating_duration_since(Instant::now()));
                }
            };
            let mut first_rounds = FIRST_RENEWALS;
            let mut has_renewed = false;
            while !flag.load(Ordering::Relaxed) {
                match renew_with_tries(&client, &rest, times) {
                    Ok(()) => {
                        if !has_renewed {
                            has_renewed = true;
                            let _ = sender.send(Event::Renewed);
                        }
                        rest(times.renewal());
                    }
                    Err(lost) => {
                        first_rounds -= 1;
                        // After a first success, the official runner gives up at once, because
                        // it reads a time that was never set.
                        if lost || has_renewed || first_rounds == 0 {
                            let _ = sender.send(Event::RenewalEnded);
                            return;
                        }
                        rest(times.first_renewal_retry());
                    }
                }
            }
        };
        let started = thread::Builder::new().name("renewal".to_owned()).spawn(renew);
        Self { stopped, thread: started.ok().map(|handle| handle.thread().clone()) }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

/// Renews the lock with retries. Returns `Err(true)` if GitHub answers that the job is
/// lost.
fn renew_with_tries(client: &JobClient, rest: &impl Fn(Duration), times: Times) -> Result<(), bool> {
    for attempt in 1..=TRIES {
        match client.renew() {
            Ok(()) => return Ok(()),
            Err(error) if error.status() == Some(404) => return Err(true),
            Err(_) if attempt < TRIES => rest(times.call_retry()),
            Err(_) => {}
        }
    }
    Err(false)
}
