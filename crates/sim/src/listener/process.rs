//! A step's process: started, read, and ended with everything that it started.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::events::Event;

/// Starts a process as number `number`; its output and its end become events.
pub(super) fn start(mut command: Command, number: u64, sender: Sender<Event>) -> io::Result<Pid> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // The command holds the pipe's writing ends: with it gone, only the child has them.
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
        // Nobody waits for it where the job is over.
        let _ = lines.send(Event::OutputClosed(number));
    })?;
    thread::Builder::new().name("wait".to_owned()).spawn(move || {
        if let Ok(status) = child.wait() {
            let _ = sender.send(Event::Exited(number, status));
        }
    })?;
    Ok(id)
}

/// Ends a process that must not even react to the end of a child of its own.
pub(super) fn kill_tree(root: Pid) {
    // Stopped, it neither starts another child nor sees one end.
    let _ = kill(root, Signal::SIGSTOP);
    signal_tree(root, Signal::SIGKILL, &mut HashSet::new());
}

/// Signals a process and everything that descends from it, but for those that
/// have been signalled, so that it can be repeated for children born meanwhile.
pub(super) fn signal_tree(root: Pid, signal: Signal, signalled: &mut HashSet<Pid>) {
    let parents = parents();
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        tree.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(child, _)| *child));
        next += 1;
    }
    // Parents first: a shell that knows of the signal does not go on when its child ends.
    for process in tree.into_iter().filter(|process| signalled.insert(*process)) {
        // It may have ended by itself meanwhile.
        let _ = kill(process, signal);
    }
}

/// Every process's parent.
fn parents() -> HashMap<Pid, Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    let mut parents = HashMap::new();
    for entry in entries.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // `pid (name) state ppid …`; the name may hold anything, a parenthesis too.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(1))
            .and_then(|parent| parent.parse::<i32>().ok());
        if let Some(parent) = parent {
            parents.insert(Pid::from_raw(id), Pid::from_raw(parent));
        }
    }
    parents
}
