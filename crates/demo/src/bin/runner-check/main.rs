//! Checks that a runner shows the behaviours that ecsrunner depends on, and
//! prints a table: `runner-check [--dir DIR] [--only TEXT] [--jobs N]`.
//!
//! Without `--dir` the runner is the stand-in, with its times scaled down. With
//! it, the runner is the official one that is unpacked there. Its times are not
//! scaled, so the checks take some minutes.

mod rows;
mod trial;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rows::{ROWS, Row};
use trial::{SKIPPED, Subject, Trial};

/// The factor by which the stand-in's times are scaled.
const STAND_IN_SCALE: f64 = 0.02;
/// Rows that run at once. Most of them wait.
const JOBS: usize = 6;

struct Arguments {
    dir: Option<PathBuf>,
    only: Option<String>,
    jobs: usize,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            say(&format!("error: {error}\nusage: runner-check [--dir DIR] [--only TEXT] [--jobs N]"));
            return ExitCode::from(2);
        }
    };
    let subject = match subject(arguments.dir) {
        Ok(subject) => subject,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::from(2);
        }
    };
    let only = arguments.only.unwrap_or_default();
    let rows: Vec<&Row> =
        ROWS.iter().flat_map(|rows| rows.iter()).filter(|row| row.name.contains(&only)).collect();
    if rows.is_empty() {
        say(&format!("error: no row's name contains `{only}`"));
        return ExitCode::from(2);
    }
    say(&format!("{} rows against {}\n", rows.len(), subject.name()));
    let Tally { passed, failed, skipped } = run(&rows, &subject, arguments.jobs);
    say(&format!(
        "
{passed} passed, {failed} failed, {skipped} skipped"
    ));
    let all = failed == 0 && passed + skipped == rows.len();
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Counts of rows by result.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// Runs the rows concurrently, and prints each as it ends.
fn run(rows: &[&Row], subject: &Subject, jobs: usize) -> Tally {
    let next = AtomicUsize::new(0);
    let (sender, ended) = mpsc::channel();
    let mut tally = Tally::default();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let result = Trial::begin(subject).and_then(|mut trial| {
                        (row.check)(&mut trial).map_err(|error| match error.as_str() {
                            SKIPPED => error,
                            _ => format!("{error}{}", trial.transcript()),
                        })
                    });
                    if sender.send((row, result, begun.elapsed())).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (row, result, elapsed) in ended {
            match &result {
                Ok(()) => tally.passed += 1,
                Err(error) if error == SKIPPED => tally.skipped += 1,
                Err(_) => tally.failed += 1,
            }
            tell(row, &result, elapsed);
        }
    });
    tally
}

fn tell(row: &Row, result: &Result<(), String>, elapsed: Duration) {
    let word = match result {
        Ok(()) => "ok  ",
        Err(error) if error == SKIPPED => "skip",
        Err(_) => "FAIL",
    };
    say(&format!("{word} {:>6.1} s  {:<62} {}", elapsed.as_secs_f64(), row.name, row.outcome));
    if let Err(error) = result {
        say(&format!("      {}", error.replace('\n', "\n      ")));
    }
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments { dir: None, only: None, jobs: JOBS };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--dir" => arguments.dir = Some(PathBuf::from(value()?)),
            "--only" => arguments.only = Some(value()?),
            "--jobs" => {
                let text = value()?;
                arguments.jobs = text
                    .parse()
                    .ok()
                    .filter(|jobs| *jobs > 0)
                    .ok_or_else(|| format!("--jobs {text} is not a number of rows above 0"))?;
            }
            other => return Err(format!("`{other}` is not known")),
        }
    }
    Ok(arguments)
}

fn subject(dir: Option<PathBuf>) -> Result<Subject, String> {
    match dir {
        Some(dir) => {
            let absolute = dir.canonicalize().map_err(|error| format!("--dir {}: {error}", dir.display()))?;
            if !absolute.join("bin/Runner.Listener").is_file() {
                return Err(format!("--dir {} holds no bin/Runner.Listener", dir.display()));
            }
            Ok(Subject::Official(absolute))
        }
        None => {
            let own = std::env::current_exe().map_err(|error| error.to_string())?;
            let executable = own.with_file_name("stand-in-listener");
            if !executable.is_file() {
                return Err(format!("{} is not built", executable.display()));
            }
            Ok(Subject::StandIn { executable, scale: STAND_IN_SCALE })
        }
    }
}

fn say(text: &str) {
    // Without standard output, the exit code still reports the result.
    let _ = writeln!(io::stdout(), "{text}");
}
