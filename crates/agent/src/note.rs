//! The job-completed hook: writes a note about the runner into the job's summary.
//!
//! The official runner executes it as the step `Complete runner`, after all other steps. A step that fails would fail the
//! job, and one that hangs would delay it: so the hook ends with 0 within two seconds, whatever happens. It asks the agent,
//! which alone knows when it did what, and appends the answer to the step's summary.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use ecsrunner_core::id::RunnerName;
use ecsrunner_core::rules::hosted::billed_minutes;
use ecsrunner_core::wire::boot::{About, BootItem};
use ecsrunner_core::wire::exit_record::AgentTimes;
use ecsrunner_core::wire::peaks::Peaks;
use jiff::{SignedDuration, Timestamp};
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use crate::agent_dir::{self, Verdict};
use crate::{hook, life};

/// The subcommand that runs the hook. Its argument is the agent's directory.
pub(crate) const COMPLETED_HOOK_SUBCOMMAND: &str = "agent-completed-hook";
/// How often an agent answers. One job asks once; it can ask more often, and that changes nothing but its own note.
const MAX_ANSWERS: u32 = 16;

/// How long the whole hook takes at most. Starting the process comes on top.
const LIMIT: Duration = Duration::from_millis(1_500);
/// How long it waits for the agent.
const ANSWER_LIMIT: Duration = Duration::from_millis(1_200);
const SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// The agent's answer: what it knows of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    /// What was asked with: another answer is not this hook's.
    pub(crate) ask: String,
    /// When it was answered.
    pub(crate) at: Timestamp,
    pub(crate) runner: RunnerName,
    pub(crate) about: About,
    pub(crate) times: AgentTimes,
    /// What the job has used so far; `None` if nothing was measured.
    pub(crate) peaks: Option<Peaks>,
}

/// The agent's side: what it answers with.
pub(crate) struct Notes {
    /// The runner, and what it was told about itself; `None` if jobs get no note.
    known: Option<(RunnerName, About)>,
    answers: u32,
}

impl Notes {
    pub(crate) fn of(item: &BootItem) -> Self {
        Self { known: item.about.clone().map(|about| (item.runner.clone(), about)), answers: 0 }
    }

    /// Whether jobs get a note.
    pub(crate) fn are_wanted(&self) -> bool {
        self.known.is_some()
    }

    /// Returns the answer to a hook; `None` if jobs get no note, or it was asked too often.
    pub(crate) fn answer(
        &mut self,
        ask: String,
        times: &AgentTimes,
        measure: impl FnOnce() -> Option<Peaks>,
    ) -> Option<Note> {
        let (runner, about) = self.known.as_ref().filter(|_| self.answers < MAX_ANSWERS)?;
        self.answers += 1;
        let (runner, about, times) = (runner.clone(), about.clone(), times.clone());
        Some(Note { ask, at: life::now(), runner, about, times, peaks: measure() })
    }
}

/// Why there is no note.
#[derive(Debug, thiserror::Error)]
enum NoNote {
    #[error("its agent cannot be asked: {0}")]
    Unasked(#[source] io::Error),
    #[error("its agent did not answer in time")]
    Unanswered,
    #[error("the job's summary cannot be written: {0}")]
    Unwritten(#[source] io::Error),
}

/// Writes the note, or one line to `out`, the job's log, that says why there is none.
pub(crate) fn write(agent_dir: &Path, lookup: impl Fn(&str) -> Option<OsString>, mut out: impl Write) {
    let (agent_dir, summary) = (agent_dir.to_owned(), lookup(SUMMARY).map(PathBuf::from));
    let (sender, receiver) = channel();
    // A file system that hangs must not hold the job up.
    let spawned = thread::Builder::new().spawn(move || {
        // The receiver is gone only once the time is over.
        let _ = sender.send(try_write(&agent_dir, summary.as_deref()));
    });
    let written = match spawned.map(|_| receiver.recv_timeout(LIMIT)) {
        Ok(Ok(written)) => written,
        Ok(Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) => Err(NoNote::Unanswered),
        Err(error) => Err(NoNote::Unasked(error)),
    };
    let line = match written {
        Ok(()) => "ecsrunner wrote a note about this job's runner into the summary".to_owned(),
        Err(error) => format!("ecsrunner has no note about this job's runner: {error}"),
    };
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn try_write(agent_dir: &Path, summary: Option<&Path>) -> Result<(), NoNote> {
    let summary =
        summary.ok_or_else(|| NoNote::Unwritten(io::Error::other(format!("{SUMMARY} is not set"))))?;
    let ask = format!("{}-{}", std::process::id(), Timestamp::now().as_nanosecond());
    hook::tell_agent(agent_dir, &Verdict::Note(ask.clone())).map_err(NoNote::Unasked)?;
    let deadline = Instant::now() + ANSWER_LIMIT;
    let note = loop {
        match read(agent_dir) {
            Some(note) if note.ask == ask => break note,
            _ if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            _ => return Err(NoNote::Unanswered),
        }
    };
    append(summary, &note.to_string()).map_err(NoNote::Unwritten)
}

fn read(agent_dir: &Path) -> Option<Note> {
    serde_json::from_slice(&fs::read(agent_dir::note_path(agent_dir)).ok()?).ok()
}

/// Appends to a step's summary. A job that put something else in the place of the file gets none.
pub(crate) fn append(summary: &Path, text: &str) -> io::Result<()> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let mut file = OpenOptions::new().append(true).custom_flags(flags).open(summary)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    file.write_all(text.as_bytes())
}

/// The note in Markdown. Every word in it is of a closed form: names of ours, numbers and times.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { about, times, .. } = self;
        writeln!(f, "### The runner of this job\n\n| | |\n| --- | --- |")?;
        row(f, "runner", format_args!("`{}`", self.runner))?;
        row(
            f,
            "class",
            format_args!(
                "`{}`: {} vCPU, {} MiB, {}",
                about.class,
                f64::from(about.cpu) / 1024.0,
                about.memory,
                about.capacity_provider
            ),
        )?;
        let mut before = None;
        let booted = times.started.filter(|_| !about.warm);
        for (name, at) in [
            ("requested", Some(about.requested_at)),
            ("booted", booted),
            ("listening", times.session_made),
            ("job begun", times.job_acquired),
        ] {
            // As it is shown, so that the difference is that of what a reader sees.
            let at = at.and_then(|at| Timestamp::from_millisecond(at.as_millisecond()).ok());
            match (at, before) {
                (Some(at), Some(earlier)) => {
                    row(f, name, format_args!("{at:.3}, {} s later", since(earlier, at)))?
                }
                (Some(at), None) => row(f, name, format_args!("{at:.3}"))?,
                (None, _) if name == "booted" && about.warm => row(f, name, "earlier, as a warm task")?,
                (None, _) => row(f, name, "unknown")?,
            }
            before = at.or(before);
        }
        self.used(f)?;
        self.costs(f)?;
        writeln!(
            f,
            "\nWhere the job's wait went: `ecsrunner why {}` in deployment `{}`.",
            self.runner, about.deployment
        )
    }
}

impl Note {
    fn used(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(peaks) = self.peaks else { return row(f, "used", "not measured") };
        if let (Some(cpu), Some(cpus)) = (peaks.cpu_ms, peaks.cpus()) {
            let mut text = format!("{} s of CPU time, {cpus:.2} vCPU on average", seconds(cpu));
            if let Some(percent) = peaks.throttled_percent {
                write!(text, "; at the limit in {percent} % of the time")?;
            }
            row(f, "CPU", text)?;
        }
        let mib = |bytes: u64| bytes / (1024 * 1024);
        if let Some(memory) = peaks.memory_bytes {
            let mut text = format!("at most {} MiB", mib(memory));
            if let Some(all) = peaks.memory_with_cache_bytes {
                write!(text, "; {} MiB with file cache", mib(all))?;
            }
            row(f, "memory", text)?;
        }
        if let Some(kills) = peaks.oom_kills.filter(|kills| *kills > 0) {
            row(f, "out of memory", format_args!("the kernel killed {kills} processes"))?;
        }
        match peaks.disk_bytes {
            Some(disk) => row(f, "disk", format_args!("at most {} MiB more than at the start", mib(disk))),
            None => Ok(()),
        }
    }

    fn costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { about, at, times, .. } = self;
        match about.price.as_ref().zip(about.launched_at) {
            Some((price, launched_at)) => {
                let usd = dollars(task_nano_usd(price.nano_usd_per_hour, price.least_secs, launched_at, *at));
                let spot = if about.capacity_provider == "FARGATE_SPOT" { ", estimated" } else { "" };
                row(
                    f,
                    "cost here",
                    format_args!("{usd} until {at:.3}, at list prices of {}{spot}", price.as_of),
                )?;
            }
            None => row(f, "cost here", "unknown")?,
        }
        match (&about.hosted, times.job_acquired) {
            (Some(hosted), Some(began)) => {
                let minutes = billed_minutes(at.duration_since(began));
                let usd = dollars(u128::from(minutes) * u128::from(hosted.nano_usd_per_minute));
                row(
                    f,
                    "on a runner that GitHub hosts",
                    format_args!(
                        "{usd} for {minutes} min on {}, at list prices of {}",
                        hosted.machine, hosted.as_of
                    ),
                )
            }
            _ => row(f, "on a runner that GitHub hosts", "unknown"),
        }
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "| {name} | {value} |")
}

/// The cost of a task in billionths of a US dollar, as [`ecsrunner_core::rules::cost::fargate_usd`] counts it.
fn task_nano_usd(per_hour: u64, least_secs: u64, from: Timestamp, to: Timestamp) -> u128 {
    let ran = u128::try_from(to.duration_since(from).as_millis()).unwrap_or(0);
    u128::from(per_hour) * ran.max(u128::from(least_secs) * 1_000) / 3_600_000
}

/// Six digits after the point: a minute of the smallest task costs three of them.
fn dollars(nano_usd: u128) -> String {
    let micro = (nano_usd + 500) / 1_000;
    format!("${}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

fn since(from: Timestamp, to: Timestamp) -> String {
    let millis = to.duration_since(from).max(SignedDuration::ZERO).as_millis();
    seconds(u64::try_from(millis).unwrap_or(0))
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use ecsrunner_core::id::{ClassName, Deployment};
    use ecsrunner_core::wire::boot::{HostedPrice, Price};

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_764_000_000_000 + millis).unwrap()
    }

    fn note() -> Note {
        let about = About {
            v: About::VERSION,
            deployment: Deployment::parse("ci").unwrap(),
            class: ClassName::parse("small").unwrap(),
            cpu: 512,
            memory: 1024,
            capacity_provider: "FARGATE".to_owned(),
            requested_at: at(0),
            launched_at: Some(at(1_000)),
            warm: false,
            price: Some(Price { nano_usd_per_hour: 29_685_000, least_secs: 60, as_of: "2026-09".to_owned() }),
            hosted: Some(HostedPrice {
                machine: "Linux 2-core".to_owned(),
                nano_usd_per_minute: 6_000_000,
                as_of: "2026-11".to_owned(),
            }),
        };
        let times = [21_000, 21_100, 21_200, 21_400, 21_500, 22_000].map(|millis| Some(at(millis)));
        let [a, b, c, d, e, f] = times;
        Note {
            ask: "1-2".to_owned(),
            at: at(121_000),
            runner: RunnerName::parse("ecsr-ci-abcdefg234-01arz3ndektsv4rrffq69g5fav").unwrap(),
            about,
            times: AgentTimes::from_steps([a, b, c, d, e, f, None]),
            peaks: Some(Peaks::from_values(
                [99_000, 49_500, 12, 700 << 20, 900 << 20, 64 << 20, 2].map(Some),
            )),
        }
    }

    #[test]
    fn the_note_says_when_what_happened_and_what_it_used_and_cost() {
        insta::assert_snapshot!(note(), @r"
        ### The runner of this job

        | | |
        | --- | --- |
        | runner | `ecsr-ci-abcdefg234-01arz3ndektsv4rrffq69g5fav` |
        | class | `small`: 0.5 vCPU, 1024 MiB, FARGATE |
        | requested | 2025-11-24T16:00:00.000Z |
        | booted | 2025-11-24T16:00:21.000Z, 21.000 s later |
        | listening | 2025-11-24T16:00:21.500Z, 0.500 s later |
        | job begun | 2025-11-24T16:00:22.000Z, 0.500 s later |
        | CPU | 49.500 s of CPU time, 0.50 vCPU on average; at the limit in 12 % of the time |
        | memory | at most 700 MiB; 900 MiB with file cache |
        | out of memory | the kernel killed 2 processes |
        | disk | at most 64 MiB more than at the start |
        | cost here | $0.000990 until 2025-11-24T16:02:01.000Z, at list prices of 2026-09 |
        | on a runner that GitHub hosts | $0.012000 for 2 min on Linux 2-core, at list prices of 2026-11 |

        Where the job's wait went: `ecsrunner why ecsr-ci-abcdefg234-01arz3ndektsv4rrffq69g5fav` in deployment `ci`.
        ");
    }

    #[test]
    fn a_difference_is_that_of_the_times_that_are_shown() {
        let known = note();
        let requested_at = at(0) + SignedDuration::from_micros(900);
        let note = Note { about: About { requested_at, ..known.about.clone() }, ..known };
        let text = note.to_string();
        assert!(text.contains("| requested | 2025-11-24T16:00:00.000Z |"), "{text}");
        assert!(text.contains("| booted | 2025-11-24T16:00:21.000Z, 21.000 s later |"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_said_to_be_unknown() {
        let known = note();
        let about = About { launched_at: None, warm: true, hosted: None, ..known.about.clone() };
        let note = Note { about, times: AgentTimes::default(), peaks: None, ..known };
        let text = note.to_string();
        for line in [
            "| booted | earlier, as a warm task |",
            "| listening | unknown |",
            "| used | not measured |",
            "| cost here | unknown |",
            "| on a runner that GitHub hosts | unknown |",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn a_summary_that_is_no_regular_file_gets_nothing_and_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("summary"), "a\n").unwrap();
        append(&path("summary"), "b\n").unwrap();
        assert_eq!(fs::read_to_string(path("summary")).unwrap(), "a\nb\n");
        std::os::unix::fs::symlink(path("summary"), path("link")).unwrap();
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        for name in ["link", "fifo", "socket", "missing"] {
            assert!(append(&path(name), "c").is_err(), "{name}");
        }
    }

    #[test]
    fn without_an_agent_one_line_says_so_within_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&agent_dir::verdicts_path(dir.path()), nix::sys::stat::Mode::S_IRWXU).unwrap();
        // The FIFO is open, but the agent does not answer.
        let _agent =
            OpenOptions::new().read(true).write(true).open(agent_dir::verdicts_path(dir.path())).unwrap();
        let began = Instant::now();
        let told = |lookup: fn(&str) -> Option<OsString>, agent_dir: &Path| {
            let mut out = Vec::new();
            write(agent_dir, lookup, &mut out);
            String::from_utf8(out).unwrap()
        };
        let set = |_: &str| Some(OsString::from("/nowhere/summary"));
        let start = "ecsrunner has no note about this job's runner: ";
        assert_eq!(told(set, dir.path()), format!("{start}its agent did not answer in time\n"));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(told(set, Path::new("/nowhere")).starts_with(&format!("{start}its agent cannot be asked: ")));
        assert_eq!(
            told(|_| None, dir.path()),
            format!("{start}the job's summary cannot be written: GITHUB_STEP_SUMMARY is not set\n")
        );
    }
}
