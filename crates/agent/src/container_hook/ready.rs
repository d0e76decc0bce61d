//! Waits until services are ready, and looks which have ended.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ecsrunner_aws::boot::{Container, Http, containers};
use ecsrunner_core::id::ServiceName;
use ecsrunner_core::rules::service::Service;
use ecsrunner_core::rules::service::demand::Met;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::Told;
use crate::services::offered::{At, Offered, Process};

/// How long a container may take until it runs: its image may still be pulled.
const START_LIMIT: Duration = Duration::from_secs(300);
/// What ECS's health check may take longer than the class says: it runs at most
/// every five seconds.
const ECS_SLACK: Duration = Duration::from_secs(15);
/// How long one check of a process may take.
const CHECK_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);
const REQUEST_LIMIT: Duration = Duration::from_secs(3);

/// The state of a service, as far as a job cares.
enum State {
    /// Not running yet.
    Pending,
    /// It runs and is not known to be ready.
    Running,
    Ready,
    /// It is not going to be ready, for a reason.
    Failed(String),
}

/// The services that a job waits for.
pub(super) struct Waiting<'a> {
    agent_dir: &'a Path,
    /// As it was at the beginning.
    offered: &'a Offered,
    http: Http,
    /// All services were started before that.
    since: Instant,
}

impl<'a> Waiting<'a> {
    pub(super) fn begin(agent_dir: &'a Path, offered: &'a Offered) -> Result<Self, String> {
        let http = Http::new(None).map_err(|error| error.to_string())?;
        Ok(Self { agent_dir, offered, http, since: Instant::now() })
    }

    /// Waits until a service is ready, or returns why it is not going to be.
    pub(super) fn until_ready(&self, met: &Met) -> Result<(), String> {
        let Some(service) = self.offered.offer.services.get(&met.name) else {
            return Err("its class does not declare it".to_owned());
        };
        let (mut runs_since, mut checked) = (None, false);
        loop {
            match self.state(&met.name, service) {
                State::Ready => return Ok(()),
                State::Failed(why) => return Err(why),
                State::Pending if self.since.elapsed() >= START_LIMIT => {
                    return Err(format!("it has not begun to run within {} seconds", START_LIMIT.as_secs()));
                }
                State::Pending => runs_since = None,
                State::Running => {
                    let since = *runs_since.get_or_insert_with(Instant::now);
                    let waited = since.elapsed();
                    if checked && waited >= self.health_limit(service) {
                        // A check that hangs makes it longer than the limit.
                        let waited = waited.as_secs();
                        return Err(format!("its health check has not succeeded within {waited} seconds"));
                    }
                    checked = true;
                }
            }
            thread::sleep(self.pause(service));
        }
    }

    fn health_limit(&self, service: &Service) -> Duration {
        let limit = service.health.as_ref().map_or(0, |health| health.limit_secs());
        let slack = if self.offered.is_of_processes() { Duration::ZERO } else { ECS_SLACK };
        Duration::from_secs(limit) + slack
    }

    fn pause(&self, service: &Service) -> Duration {
        match &service.health {
            Some(health) if self.offered.is_of_processes() => {
                Duration::from_secs(health.interval_secs.into())
            }
            // ECS itself checks its health.
            _ => PAUSE,
        }
    }

    fn state(&self, name: &ServiceName, service: &Service) -> State {
        match &self.offered.at {
            At::Containers { metadata, .. } => match containers(metadata, &self.http, REQUEST_LIMIT) {
                Ok(all) => match all.iter().find(|container| container.name == name.as_str()) {
                    Some(container) => of_container(container, service),
                    None => State::Failed(format!(
                        "its task has no container `{name}`: the class has been changed since the task was started"
                    )),
                },
                Err(error) if error.passes() => State::Pending,
                Err(error) => State::Failed(error.to_string()),
            },
            At::Processes { .. } => match self.process(name) {
                Some(Ok(process)) => of_process(&process, service),
                Some(Err(ended)) => State::Failed(ended),
                None => State::Failed("it was not started".to_owned()),
            },
        }
    }

    /// A service's process, or why it has none by now: the agent writes the file
    /// again as soon as a service ends.
    fn process(&self, name: &ServiceName) -> Option<Result<Process, String>> {
        match Offered::read(self.agent_dir) {
            Ok(Some(offered)) => offered.process(name),
            // The agent removes its files at its end, which is the job's end too.
            Ok(None) | Err(_) => self.offered.process(name),
        }
    }
}

fn of_container(container: &Container, service: &Service) -> State {
    if let Some(ended) = ended(container) {
        return State::Failed(ended);
    }
    match (container.is_running(), &service.health, container.health.as_deref()) {
        (false, _, _) => State::Pending,
        (true, None, _) | (true, Some(_), Some("HEALTHY")) => State::Ready,
        (true, Some(health), Some("UNHEALTHY")) => {
            State::Failed(format!("its health check `{}` fails", health.command))
        }
        (true, Some(_), _) => State::Running,
    }
}

fn ended(container: &Container) -> Option<String> {
    container.is_stopped().then(|| match container.exit_code {
        Some(code) => format!("its container has ended with exit code {code}"),
        None => "its container has ended".to_owned(),
    })
}

fn of_process(process: &Process, service: &Service) -> State {
    let Some(health) = &service.health else { return State::Ready };
    let mut check = Command::new("/bin/sh");
    check.arg("-c").arg(process.filled_in(&health.command)).current_dir(&process.dir).env_clear();
    for name in ["PATH", "LANG"] {
        if let Some(value) = std::env::var_os(name) {
            check.env(name, value);
        }
    }
    check.env("HOME", &process.dir).envs(&service.env.0);
    check.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if succeeds(check, CHECK_LIMIT) { State::Ready } else { State::Running }
}

/// Whether a command exits with 0 in time. One that does not is killed with its process group.
fn succeeds(mut check: Command, limit: Duration) -> bool {
    let Ok(mut child) = check.process_group(0).spawn() else { return false };
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Ok(None) | Err(_) => {
                // It is not reaped yet, so its id is no other group's.
                let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
                let _ = child.wait();
                return false;
            }
        }
    }
}

/// Tells which of these services have ended by themselves.
pub(super) fn tell_ended(offered: &Offered, services: &[ServiceName], told: &mut Told<impl Write>) {
    let containers = match &offered.at {
        At::Containers { metadata, .. } => {
            let http = Http::new(None).ok();
            http.and_then(|http| containers(metadata, &http, REQUEST_LIMIT).ok()).unwrap_or_default()
        }
        At::Processes { .. } => Vec::new(),
    };
    for name in services {
        let of_container = containers.iter().find(|container| container.name == name.as_str());
        let of_process = offered.process(name).and_then(Result::err);
        if let Some(why) = of_container.and_then(ended).or(of_process) {
            told.warning(&format!("Service `{name}` did not last as long as the job: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Whether a process runs: one that nobody reaps is a zombie.
    fn runs(pid: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    }

    #[test]
    fn a_check_that_hangs_ends_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let mut check = Command::new("/bin/sh");
        check.args(["-c", "sleep 600 & echo $! > pid; wait"]).current_dir(dir.path());
        assert!(!succeeds(check, Duration::from_secs(3)));
        let pid = fs::read_to_string(dir.path().join("pid")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while runs(pid.trim()) {
            assert!(Instant::now() < deadline, "the child of the check still runs");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
