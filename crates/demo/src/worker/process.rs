//! Starts, reads and ends a step's process as the official runner does.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::Control;

/// The events that a worker reacts to.
#[derive(Debug)]
pub(super) enum Event {
    Control(Control),
    /// A line that process number `.0` wrote.
    Output(u64, String),
    /// Process number `.0` and all processes that inherited its output have closed it.
    OutputClosed(u64),
    Exited(u64, ExitStatus),
}

/// Makes INT and TERM have no effect but to set the returned flag. This is done with
/// a handler, because steps would inherit ignored signals.
pub(super) fn outlive_signals() -> io::Result<Arc<AtomicBool>> {
    let signalled = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&signalled))?;
    }
    Ok(signalled)
}

/// Starts a process as number `number`. Its output and its end become events.
pub(super) fn start(
    mut command: Command,
    input: Option<File>,
    number: u64,
    sender: Sender<Event>,
) -> io::Result<Pid> {
    let (reader, writer) = io::pipe()?;
    command.stdin(input.map_or_else(Stdio::null, Stdio::from)).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // Drops the command's writing ends of the pipe, so that only the child has them.
    drop(command);
    let id = Pid::from_raw(child.id().cast_signed());
    let lines = sender.clone();
    thread::Builder::new().name("output".to_owned()).spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            if lines.send(Event::Output(number, text)).is_err() {
                return;
            }
            line.clear();
        }
        // Nothing receives it after the job's end.
        let _ = lines.send(Event::OutputClosed(number));
    })?;
    thread::Builder::new().name("wait".to_owned()).spawn(move || {
        if let Ok(status) = child.wait() {
            let _ = sender.send(Event::Exited(number, status));
        }
    })?;
    Ok(id)
}

/// Sends a signal only to the process, which may have ended.
pub(super) fn signal(process: Pid, signal: Signal) {
    let _ = kill(process, signal);
}

/// Kills a process and all its descendants.
pub(super) fn kill_tree(root: Pid) {
    // A stopped process neither starts another child nor sees one end.
    signal(root, Signal::SIGSTOP);
    let parents = parents();
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        tree.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(child, _)| *child));
        next += 1;
    }
    for process in tree {
        signal(process, Signal::SIGKILL);
    }
}

/// Kills the job's leftover processes, which are found by a variable that each of them has.
pub(super) fn kill_orphans(tracking_id: &str) {
    let mark = format!("RUNNER_TRACKING_ID={tracking_id}");
    for process in processes() {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            signal(process, Signal::SIGKILL);
        }
    }
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
}

fn parents() -> HashMap<Pid, Pid> {
    processes()
        .filter_map(|process| {
            // `pid (name) state ppid …`. The name may hold any character, even a parenthesis.
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()?;
            Some((process, Pid::from_raw(parent)))
        })
        .collect()
}
