//! Supervision of the listener: follows its lines, keeps its limits, passes
//! signals on, and stops it where the hook refuses its job.
//!
//! One thread and one poll. Deadlines are those of a monotonic clock.

use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ecsrunner_aws::boot::Taken;
use nix::sys::signal::Signal;
use secrecy::SecretString;

use crate::agent_dir::{AgentDir, Rules};
use crate::config::{Limits, Supervision};
use crate::ending::{Cause, Ending, ListenerEnd, StartError};
use crate::hook::HOOK_SUBCOMMAND;
use crate::lines::{Hint, Line};
use crate::listener::{Account, Listener};
use crate::log::Log;
use crate::output::Outputs;
use crate::phase::Phase;
use crate::processes::{self, Status};
use crate::signals::{self, Signals};

const MOST_RETRIES: u32 = 10;
/// A listener that asks to be started again.
const RETRYABLE: Status = Status::Code(2);
/// From INT to KILL, where a stopping container leaves that much.
const LONGEST_GRACE: Duration = Duration::from_secs(60);
/// What is kept of stopTimeout for the agent itself.
const STOP_RESERVE: Duration = Duration::from_secs(5);
/// How long a killed listener may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// What is read of a listener's output after its end.
const REST_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Runs the listener to its end, again where it asks for that.
pub(crate) fn supervise(
    config: &Supervision,
    taken: Taken,
    signals: &Signals,
    log: &mut Log<impl Write>,
) -> Result<Ending, Ending> {
    let account = Account::of(config);
    let rules = Rules::from(taken.item);
    let group = account.as_ref().map(|account| account.gid);
    let hook_command = [config.executable.as_str(), HOOK_SUBCOMMAND];
    let dir = AgentDir::create(&config.agent_dir, &rules, &hook_command, group)?;
    let mut supervisor = Supervisor {
        config,
        signals,
        log,
        dir,
        started: Instant::now(),
        connected: None,
        phase: Phase::Starting,
        stop: None,
        signals_seen: 0,
    };
    supervisor.run(account.as_ref(), &taken.jit)
}

struct Supervisor<'a, W> {
    config: &'a Supervision,
    signals: &'a Signals,
    log: &'a mut Log<W>,
    dir: AgentDir,
    /// When the listener was first started.
    started: Instant,
    /// When a listener first connected.
    connected: Option<Instant>,
    phase: Phase,
    stop: Option<Stop>,
    /// How many signals have asked the agent to stop.
    signals_seen: u32,
}

/// The listener is being stopped.
struct Stop {
    cause: Cause,
    /// The phase it was in when that was decided.
    then: Phase,
    step: Step,
}

enum Step {
    /// INT was sent.
    Interrupted { kill_at: Instant },
    /// KILL was sent.
    Killed { give_up_at: Instant },
}

impl<W: Write> Supervisor<'_, W> {
    fn run(&mut self, account: Option<&Account>, jit: &SecretString) -> Result<Ending, Ending> {
        let mut retries = 0;
        loop {
            let status = self.run_once(account, jit, retries)?;
            let ended_early = self.stop.is_none() && !self.phase.job_seen();
            if status != RETRYABLE || !ended_early || retries == MOST_RETRIES {
                return Ok(Ending::of_listener(&ListenerEnd {
                    stopped: self.stop.as_ref().map(|stop| (&stop.cause, &stop.then)),
                    phase: &self.phase,
                    status,
                }));
            }
            retries += 1;
            if self.signals.stops_within(self.config.limits.retry) {
                return Err(Ending::interrupted());
            }
            self.phase = Phase::Starting;
            if let (deadline, Some(cause)) = self.deadline()
                && Instant::now() >= deadline
            {
                return Err(Ending::retried_too_long(&cause));
            }
        }
    }

    /// One process of the listener, from its start until nothing of it is left.
    fn run_once(
        &mut self,
        account: Option<&Account>,
        jit: &SecretString,
        retries: u32,
    ) -> Result<Status, StartError> {
        let start = Instant::now();
        let (listener, mut outputs) = Listener::start(self.config, account, &self.dir.script(), jit)?;
        let elapsed_ms = start.elapsed().as_millis();
        let pid = listener.pid.as_raw();
        self.log
            .info("listener started", &[("pid", &pid), ("retries", &retries), ("elapsed_ms", &elapsed_ms)]);
        let status = self.follow(&listener, &mut outputs);
        // The listener's last lines come before the judgement on its end.
        self.read_rest(&mut outputs);
        let leftovers = processes::kill_leftovers(self.signals);
        if leftovers.killed > 0 {
            self.log.info("leftovers killed", &[("processes", &leftovers.killed)]);
        }
        if leftovers.remaining > 0 {
            self.log.warn("leftovers remain", &[("processes", &leftovers.remaining)]);
        }
        self.read_rest(&mut outputs);
        self.log.info("listener ended", &[("reason", &status.to_string())]);
        Ok(status)
    }

    fn follow(&mut self, listener: &Listener, outputs: &mut Outputs) -> Status {
        loop {
            self.wait(outputs);
            self.read(outputs);
            if let Some(refusal) = self.dir.take_refusal() {
                self.refuse(listener, refusal);
            }
            for _ in 0..self.signals.take_stops() {
                self.on_signal(listener);
            }
            if self.signals.take_child()
                && let Some(status) = processes::reap(listener.pid)
            {
                return status;
            }
            if self.on_time(listener) {
                return Status::Stuck;
            }
        }
    }

    fn wait(&self, outputs: &Outputs) {
        let mut fds = Vec::with_capacity(5);
        fds.extend(self.signals.fds());
        fds.push(self.dir.fifo());
        fds.extend(outputs.open().map(AsFd::as_fd));
        signals::wait(&fds, self.deadline().0);
    }

    /// What happens next if nothing else does, and why the listener is stopped then.
    fn deadline(&self) -> (Instant, Option<Cause>) {
        let limits: &Limits = &self.config.limits;
        match (&self.stop, &self.phase, self.connected) {
            (Some(stop), _, _) => match stop.step {
                Step::Interrupted { kill_at } => (kill_at, None),
                Step::Killed { give_up_at } => (give_up_at, None),
            },
            (None, Phase::Running { since, .. }, _) => (*since + limits.job, Some(Cause::JobLimit)),
            (None, Phase::Completed { since, .. }, _) => (*since + limits.exit, Some(Cause::ExitLimit)),
            (None, _, Some(connected)) => (connected + limits.idle, Some(Cause::IdleLimit)),
            (None, _, None) => (self.started + limits.connect, Some(Cause::ConnectLimit)),
        }
    }

    /// Does what is due; tells whether there is nothing more to be done.
    fn on_time(&mut self, listener: &Listener) -> bool {
        let (deadline, cause) = self.deadline();
        if Instant::now() < deadline {
            return false;
        }
        match (cause, &self.stop) {
            (Some(cause), _) => self.interrupt(listener, cause),
            (None, Some(Stop { step: Step::Killed { .. }, .. })) => return true,
            (None, _) => self.kill(listener),
        }
        false
    }

    /// The first signal asks the listener to stop, the second kills it.
    fn on_signal(&mut self, listener: &Listener) {
        self.signals_seen += 1;
        match self.stop {
            None => self.interrupt(listener, Cause::Signal),
            Some(_) if self.signals_seen > 1 => self.kill(listener),
            // Already stopping for another reason; the container may have
            // less time left than that.
            Some(_) => self.hasten(),
        }
    }

    fn refuse(&mut self, listener: &Listener, refusal: String) {
        if self.stop.is_none() {
            self.log.warn("job refused", &[("reason", &refusal)]);
            self.interrupt(listener, Cause::Refused(refusal));
        }
    }

    fn interrupt(&mut self, listener: &Listener, cause: Cause) {
        // A signal on Spot capacity comes, as a rule, two minutes before AWS takes it back.
        let capacity = self.config.capacity_provider.as_deref();
        self.log.info("stopping listener", &[("reason", &cause.reason()), ("capacity_provider", &capacity)]);
        match cause {
            // Not the whole group: the hook would end before the listener
            // shuts down, and the job's next step could begin.
            Cause::Refused(_) => listener.signal(Signal::SIGINT),
            _ => listener.signal_group(Signal::SIGINT),
        }
        let grace = self.stop_grace();
        let grace = if cause == Cause::Signal { grace } else { grace.min(LONGEST_GRACE) };
        let step = Step::Interrupted { kill_at: Instant::now() + grace };
        self.stop = Some(Stop { cause, then: self.phase.clone(), step });
    }

    fn hasten(&mut self) {
        let latest = Instant::now() + self.stop_grace();
        if let Some(Stop { step: Step::Interrupted { kill_at }, .. }) = &mut self.stop {
            *kill_at = latest.min(*kill_at);
        }
    }

    fn stop_grace(&self) -> Duration {
        self.config.limits.stop.saturating_sub(STOP_RESERVE)
    }

    fn kill(&mut self, listener: &Listener) {
        if let Some(stop) = &mut self.stop {
            self.log.warn("killing listener", &[("reason", &stop.cause.reason())]);
            listener.signal_group(Signal::SIGKILL);
            stop.step = Step::Killed { give_up_at: Instant::now() + KILL_LIMIT };
        }
    }

    fn read(&mut self, outputs: &mut Outputs) -> usize {
        let mut hints = Vec::new();
        let read = outputs.stdout.read(|line| {
            self.log.pass(line.bytes);
            hints.extend(hint_of(&line));
        });
        for hint in hints {
            self.on_hint(hint);
        }
        read + outputs.stderr.read(|line| self.log.pass(line.bytes))
    }

    /// What is in the pipes by now; a process that goes on writing is not waited for.
    fn read_rest(&mut self, outputs: &mut Outputs) {
        let mut total = 0;
        while total < REST_LIMIT_BYTES {
            match self.read(outputs) {
                0 => break,
                read => total += read,
            }
        }
    }

    fn on_hint(&mut self, hint: Hint) {
        let now = Instant::now();
        let Some(next) = self.phase.after(hint, now) else { return };
        match &next {
            Phase::Starting => {}
            Phase::Connected => self.log.info("listener connected", &[]),
            Phase::Listening => self.log.info("listening for jobs", &[]),
            Phase::Running { job, .. } => {
                self.log.info("job running", &[("job", job)]);
                if let Err(error) = self.dir.write_job(job) {
                    self.log.warn("job name not written", &[("reason", &error.to_string())]);
                }
            }
            Phase::Completed { job, result, .. } => {
                self.log.info("job completed", &[("job", job), ("result", result)]);
            }
        }
        self.connected.get_or_insert(now);
        self.phase = next;
    }
}

fn hint_of(line: &Line<'_>) -> Option<Hint> {
    line.at_start.then(|| Hint::parse(&String::from_utf8_lossy(line.bytes))).flatten()
}
