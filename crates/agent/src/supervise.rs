//! Supervises the listener: reads its output, enforces the limits, handles
//! signals, and stops it if the hook refuses the job.
//!
//! There is one thread with one `poll`. Deadlines use a monotonic clock.

mod limits;
mod output;

use std::io::Write;
use std::os::fd::AsFd;
use std::time::Instant;

use ecsrunner_aws::boot::Taken;
use ecsrunner_core::rules::service::offer::Offer;
use nix::unistd::Pid;
use secrecy::SecretString;

use crate::agent_dir::{AgentDir, HookCommands, Rules, Verdict};
use crate::config::Supervision;
use crate::ending::{Cause, Ending};
use crate::engine::Engine;
use crate::gauge::Gauge;
use crate::judge::ListenerEnd;
use crate::keepers::Keepers;
use crate::life::{Life, Step};
use crate::lines::Hints;
use crate::listener::{self, Account, Containers, Listener};
use crate::log::Log;
use crate::network::Network;
use crate::note::Notes;
use crate::output::Outputs;
use crate::phase::Phase;
use crate::processes::{self, Status};
use crate::services::Services;
use crate::signals::{self, Signals};
use crate::stopping::Stop;
use crate::watch::Watch;
use crate::words::Words;

const MAX_RETRIES: u32 = 10;

/// Runs the listener to its end, and starts it again after a retryable exit.
pub(crate) fn supervise(
    config: &Supervision,
    taken: Taken,
    keepers: Keepers,
    signals: &Signals,
    log: &mut Log<impl Write>,
    life: &mut Life,
) -> Result<Ending, Ending> {
    let account = Account::of(config);
    let offer = taken.item.services.clone();
    // A runner that only fails a job needs neither engine nor services.
    let is_needed = taken.item.fail.is_none();
    let notes = Notes::of(&taken.item);
    let rules = Rules::from(taken.item);
    let group = account.as_ref().map(|account| account.gid);
    let executable = config.executable.as_str();
    let hooks = HookCommands::of(executable, notes.are_wanted());
    let dir = AgentDir::create(&config.agent_dir, &rules, &hooks, group)?;
    let engine = match is_needed {
        true => Engine::start(config, keepers.engine, account.as_ref(), signals, log)?,
        false => None,
    };
    let mut supervisor = Supervisor {
        config,
        signals,
        log,
        engine,
        network: Network::of(keepers.network.filter(|_| is_needed), offer.as_ref()),
        life,
        dir,
        offer: offer.as_ref(),
        services: Services::default(),
        notes,
        gauge: Gauge::of(config),
        started: Instant::now(),
        listening: None,
        phase: Phase::Starting,
        hints: Hints::default(),
        words: Words::default(),
        verdict: None,
        watch: None,
        stop: None,
        signals_seen: 0,
    };
    let ending = supervisor.run(account.as_ref(), &taken.jit);
    if let Some(engine) = supervisor.engine.take() {
        engine.end(supervisor.signals_seen > 0, signals, supervisor.log);
    }
    supervisor.network.end(signals, supervisor.log);
    ending
}

struct Supervisor<'a, W> {
    config: &'a Supervision,
    signals: &'a Signals,
    log: &'a mut Log<W>,
    life: &'a mut Life,
    dir: AgentDir,
    /// The services of the runner's class, and which classes have others.
    offer: Option<&'a Offer>,
    services: Services,
    /// The task's Docker engine, in a Docker class.
    engine: Option<Engine>,
    network: Network,
    notes: Notes,
    /// Measures the job; `None` where nothing can be measured.
    gauge: Option<Gauge>,
    /// When the listener was first started.
    started: Instant,
    /// When a listener first listened for jobs.
    listening: Option<Instant>,
    phase: Phase,
    hints: Hints,
    words: Words,
    /// The hook's verdict. A refusal is final.
    verdict: Option<Verdict>,
    /// Looks whether the listener attends to its job, once the hook has checked in.
    watch: Option<Watch>,
    stop: Option<Stop>,
    /// How many signals have asked the agent to stop.
    signals_seen: u32,
}

impl<W: Write> Supervisor<'_, W> {
    fn run(&mut self, account: Option<&Account>, jit: &SecretString) -> Result<Ending, Ending> {
        let mut retries = 0;
        loop {
            let status = self.run_once(account, jit, retries)?;
            let end = self.end(status);
            if !end.is_retryable() || retries == MAX_RETRIES {
                return Ok(end.judge());
            }
            retries += 1;
            if self.signals.stops_within(self.config.limits.retry) {
                return Err(Ending::interrupted());
            }
            if let (deadline, Some(cause)) = self.start_deadline()
                && Instant::now() >= deadline
            {
                return Err(self.end(status).judge_retries(&cause));
            }
            self.phase = Phase::Starting;
            self.hints = Hints::default();
            self.words = Words::default();
        }
    }

    fn end(&self, status: Status) -> ListenerEnd<'_> {
        let stopped = self.stop.as_ref().map(|stop| (&stop.cause, &stop.then));
        ListenerEnd { stopped, phase: &self.phase, words: &self.words, status }
    }

    /// Runs one listener process from its start until it and its descendants are gone.
    fn run_once(
        &mut self,
        account: Option<&Account>,
        jit: &SecretString,
        retries: u32,
    ) -> Result<Status, Ending> {
        let env_file = listener::hold_env_file(&self.config.listener, self.engine.is_some())?;
        for name in &env_file.removed {
            self.log.warn("line removed from the runner's .env", &[("variable", name)]);
        }
        self.network.enter(self.config, &env_file.kept, self.log);
        let runner = self.life.runner();
        self.services = Services::start(self.config, self.offer, account, runner, self.log);
        let start = Instant::now();
        let (listener, mut outputs) = match self.start_listener(account, jit, &env_file.kept) {
            Ok(started) => started,
            Err(ending) => {
                self.kill_rest();
                return Err(ending);
            }
        };
        self.life.reached(Step::ListenerStarted);
        let elapsed_ms = start.elapsed().as_millis();
        let pid = listener.pid.as_raw();
        self.log
            .info("listener started", &[("pid", &pid), ("retries", &retries), ("elapsed_ms", &elapsed_ms)]);
        let status = self.follow(&listener, &mut outputs);
        // A job that was ended with its listener has no end of its own.
        self.measure();
        // The listener's last lines are needed to judge its end.
        self.read_rest(&mut outputs);
        self.kill_rest();
        self.read_rest(&mut outputs);
        self.log.info("listener ended", &[("reason", &status.to_string())]);
        Ok(status)
    }

    /// Starts the listener once the container hook can read about the services.
    fn start_listener(
        &self,
        account: Option<&Account>,
        jit: &SecretString,
        env_file: &[(String, Vec<u8>)],
    ) -> Result<(Listener, Outputs), Ending> {
        self.services.write(&self.dir)?;
        let containers = match &self.engine {
            Some(engine) => Containers::Engine(engine.host()),
            None if self.services.are_declared() => Containers::Services,
            None => Containers::Machine,
        };
        Ok(Listener::start(self.config, account, &self.dir, env_file, jit, &containers)?)
    }

    /// The process that outlives a listener. A class has services or a Docker engine, so there is one.
    fn keeper(&self) -> Option<Pid> {
        self.engine.as_ref().map(Engine::pid).or(self.network.pid())
    }

    /// Ends the services, and all that a listener has left behind.
    fn kill_rest(&mut self) {
        self.services.kill();
        let leftovers = processes::kill_leftovers(self.signals, self.keeper());
        if leftovers.killed > 0 {
            self.log.info("leftovers killed", &[("processes", &leftovers.killed)]);
        }
        if leftovers.remaining > 0 {
            self.log.warn("leftovers remain", &[("processes", &leftovers.remaining)]);
        }
        self.services.finish();
    }

    fn follow(&mut self, listener: &Listener, outputs: &mut Outputs) -> Status {
        loop {
            self.wait(outputs);
            self.read(outputs);
            self.services.read();
            for verdict in self.dir.take_verdicts() {
                self.on_verdict(listener, verdict);
            }
            for _ in 0..self.signals.take_stops() {
                self.on_signal(listener);
            }
            if self.signals.take_child()
                && let Some(status) = self.reap(listener)
            {
                return status;
            }
            if let Some(gauge) = &mut self.gauge {
                gauge.look(Instant::now());
            }
            self.look(listener);
            if self.on_time(listener) {
                return Status::Stuck;
            }
        }
    }

    /// Reaps what has ended. Returns the listener's status if it is a part of that.
    fn reap(&mut self, listener: &Listener) -> Option<Status> {
        let mut of_listener = None;
        for (pid, status) in processes::reap() {
            if pid == listener.pid {
                of_listener = Some(status);
            } else {
                self.services.ended(pid, status, &self.dir, self.log);
                if let Some(engine) = &mut self.engine {
                    engine.ended(pid, status, self.log);
                }
                self.network.ended(pid, status, self.log);
            }
        }
        of_listener
    }

    fn wait(&self, outputs: &Outputs) {
        let mut fds = Vec::with_capacity(5);
        fds.extend(self.signals.fds());
        fds.push(self.dir.fifo());
        fds.extend(outputs.open().chain(self.services.pipes()).map(AsFd::as_fd));
        let deadline = self.deadline().0;
        let measured_at = self.gauge.as_ref().filter(|_| self.is_running()).and_then(Gauge::next_at);
        let next = [self.watching().map(Watch::next_at), measured_at].into_iter().flatten().min();
        signals::wait(&fds, next.map_or(deadline, |at| at.min(deadline)));
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// Measures what the job has used. Only the first measurement of its end counts.
    fn measure(&mut self) {
        let peaks = self.gauge.as_mut().and_then(|gauge| gauge.measure(Instant::now()));
        self.life.used(peaks);
    }

    /// Answers the job-completed hook.
    fn answer(&mut self, ask: String) {
        let gauge = &mut self.gauge;
        let measure = || gauge.as_mut().and_then(|gauge| gauge.measure(Instant::now()));
        let Some(note) = self.notes.answer(ask, self.life.times(), measure) else { return };
        if let Err(error) = self.dir.write_note(&note) {
            // The hook says in the job's log that it got no answer.
            self.log.warn("note not written", &[("reason", &error.to_string())]);
        }
    }

    /// Interrupts the listener at the first signal and kills it at the second.
    fn on_signal(&mut self, listener: &Listener) {
        self.signals_seen += 1;
        match &mut self.stop {
            None => self.interrupt(listener, Cause::Signal),
            Some(_) if self.signals_seen > 1 => self.kill(listener),
            // It is already stopping for another cause, but the container may have
            // less time left than that cause grants.
            Some(stop) => stop.hasten(&Cause::Signal, self.config.limits.stop),
        }
    }

    fn on_verdict(&mut self, listener: &Listener, verdict: Verdict) {
        let verdict = match verdict {
            Verdict::Note(ask) => return self.answer(ask),
            Verdict::Outputs(ask) => return self.services.answer(ask, &self.dir, self.log),
            verdict => verdict,
        };
        // A job can write any number of verdicts, so only a new one is logged.
        if !matches!((&self.verdict, &verdict), (None, _) | (Some(Verdict::Allowed), Verdict::Refused(_))) {
            return;
        }
        let had_checked_in = self.verdict.replace(verdict.clone()).is_some();
        match (verdict, &mut self.stop) {
            // The hook writes one verdict, before any step, and the FIFO keeps the order. So either the check-in or the
            // refusal is the job's own. The job is ended, and does not count as one that executed no step.
            (Verdict::Refused(refusal), stop) if had_checked_in => {
                self.log.warn("job was refused after its hook had checked in", &[("reason", &refusal)]);
                if stop.is_none() {
                    self.interrupt(listener, Cause::Contradicted);
                }
            }
            (Verdict::Allowed | Verdict::Note(_) | Verdict::Outputs(_), _) => {
                self.log.info("hook checked in", &[]);
                self.watch = Some(Watch::from(Instant::now(), self.config.limits.worker));
            }
            (Verdict::Refused(refusal), stop) => {
                self.log.warn("job refused", &[("reason", &refusal)]);
                match stop {
                    Some(stop) => stop.refused(refusal, self.config.limits.stop),
                    None => self.interrupt(listener, Cause::Refused(refusal)),
                }
            }
        }
    }

    fn interrupt(&mut self, listener: &Listener, cause: Cause) {
        // On Spot capacity the signal usually comes two minutes before the interruption.
        let capacity = self.config.capacity_provider.as_deref();
        self.log.info("stopping listener", &[("reason", &cause.reason()), ("capacity_provider", &capacity)]);
        listener.interrupt();
        self.stop = Some(Stop::interrupted(cause, self.phase.clone(), self.config.limits.stop));
    }

    fn kill(&mut self, listener: &Listener) {
        let keeper = self.keeper();
        if let Some(stop) = &mut self.stop {
            self.log.warn("killing listener", &[("reason", &stop.cause.reason())]);
            listener.kill_group();
            processes::kill_descendants(keeper);
            stop.killed();
        }
    }
}
