//! Searches for secrets everywhere that root can read: the environment,
//! arguments, open files and memory of every process, and the file system.
//!
//! `thief NAME=NEEDLE… -- DIRECTORY…` prints a line for each find. A needle is
//! given as hexadecimal digits in reverse order, so that the search does not find
//! its own arguments.

#![expect(clippy::print_stdout, reason = "what it finds is its output")]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAX_BYTES: u64 = 16 * 1024 * 1024;

struct Needle {
    name: String,
    bytes: Vec<u8>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut halves = arguments.split(|argument| argument == "--");
    let needles: Vec<Needle> = halves.next().into_iter().flatten().filter_map(|text| needle(text)).collect();
    println!("looking for {} secrets as user {}", needles.len(), user());
    for process in numbered("/proc").filter(|path| !path.ends_with(std::process::id().to_string())) {
        search_process(&needles, &process);
    }
    for directory in halves.next().into_iter().flatten() {
        search_directory(&needles, Path::new(directory));
    }
    println!("looked everywhere");
}

fn needle(text: &str) -> Option<Needle> {
    let (name, digits) = text.split_once('=')?;
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes = (0..digits.len()).step_by(2).map(byte).rev().collect::<Option<Vec<u8>>>()?;
    Some(Needle { name: name.to_owned(), bytes })
}

/// The effective user, from `/proc`.
fn user() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap_or_default();
    line.split_whitespace().nth(2).unwrap_or_default().to_owned()
}

fn numbered(directory: impl AsRef<Path>) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
    })
}

fn search_process(needles: &[Needle], process: &Path) {
    for file in ["environ", "cmdline"] {
        search_file(needles, &process.join(file));
    }
    for descriptor in numbered(process.join("fd")) {
        // Reading a pipe or a socket would consume its content.
        if fs::metadata(&descriptor).is_ok_and(|found| found.is_file()) {
            search_file(needles, &descriptor);
        }
    }
    search_memory(needles, process);
}

fn search_memory(needles: &[Needle], process: &Path) {
    let maps = fs::read_to_string(process.join("maps")).unwrap_or_default();
    let Ok(memory) = File::open(process.join("mem")) else { return };
    for map in maps.lines() {
        let mut fields = map.split_whitespace();
        let (Some(range), Some(permissions)) = (fields.next(), fields.next()) else { continue };
        let Some((from, to)) = range.split_once('-') else { continue };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else {
            continue;
        };
        // The kernel's own mappings cannot be read.
        if !permissions.starts_with('r') || map.contains("[v") {
            continue;
        }
        let mut bytes = vec![0; usize::try_from((to - from).min(MAX_BYTES)).unwrap_or(0)];
        let read = memory.read_at(&mut bytes, from).unwrap_or(0);
        tell(needles, &bytes[..read], &format!("{} {map}", process.join("mem").display()));
    }
}

fn search_directory(needles: &[Needle], directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            search_directory(needles, &entry.path());
        } else if kind.is_file() {
            search_file(needles, &entry.path());
        }
    }
}

fn search_file(needles: &[Needle], path: &Path) {
    let mut bytes = Vec::new();
    // Files that have gone since, or that even root cannot read, are skipped.
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
    if read.is_ok() {
        tell(needles, &bytes, &path.display().to_string());
    }
}

fn tell(needles: &[Needle], bytes: &[u8], location: &str) {
    for needle in needles {
        if bytes.windows(needle.bytes.len()).any(|window| window == needle.bytes) {
            println!("found {} in {location}", needle.name);
        }
    }
}
