//! The programs that change networks, each with a limit of time, and how the devices of a task are known.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::signals::wait;

/// Where they are on a machine. Not the `PATH` of a job, which could name programs of its own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long one may take. Longer than `iptables` waits for its lock.
const LIMIT: Duration = Duration::from_secs(10);
/// How much one may print. A job could have made any number of rules and addresses.
const OUTPUT_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// The devices of the network that the mounts of this process show.
pub(crate) const DEVICES: &str = "/sys/class/net";

/// Has a directory for each device of the network of the thread that looks, and one for all.
const CONFIGURED: &str = "/proc/sys/net/ipv4/conf";

/// Runs a program to its end, and returns what it printed.
pub(crate) fn run(program: &str, words: &[&str]) -> io::Result<String> {
    run_within(LIMIT, program, words)
}

fn run_within(limit: Duration, program: &str, words: &[&str]) -> io::Result<String> {
    let deadline = Instant::now() + limit;
    let (mut output, input) = io::pipe()?;
    let mut child = Command::new(program)
        .args(words)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("`{program}` cannot be started: {error}")))?;
    let (mut printed, mut chunk) = (Vec::new(), [0; 4096]);
    let is_whole = loop {
        if printed.len() > OUTPUT_LIMIT_BYTES || !wait(&[output.as_fd()], deadline) {
            break false;
        }
        match output.read(&mut chunk)? {
            0 => break true,
            bytes => printed.extend_from_slice(&chunk[..bytes]),
        }
    };
    let command = || format!("`{program} {}`", words.join(" "));
    if !is_whole {
        child.kill()?;
        child.wait()?;
        let why = format!("{} did not end within {} s, or prints too much", command(), limit.as_secs());
        return Err(io::Error::new(io::ErrorKind::TimedOut, why));
    }
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if child.wait()?.success() {
        return Ok(printed);
    }
    Err(io::Error::other(format!("{} failed: {}", command(), printed.trim())))
}

/// The hardware address of a task's own device: one that no maker of hardware gives, from a hash of the name that the
/// owner has on this machine.
pub(crate) fn hardware_address(owner: &str) -> String {
    let [a, b, c, d, e, ..] = hash(owner).to_be_bytes();
    format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}")
}

/// FNV-1a.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The names of the devices with a hardware address.
pub(crate) fn devices_with(address: &str) -> impl Iterator<Item = String> {
    let devices = fs::read_dir(DEVICES).into_iter().flatten().flatten();
    let names = devices.map(|device| device.file_name().to_string_lossy().into_owned());
    names.filter(move |name| {
        let its = fs::read_to_string(Path::new(DEVICES).join(name).join("address"));
        its.is_ok_and(|its| its.trim() == address)
    })
}

/// Removes a device. One that is gone is no error.
pub(crate) fn delete_device(name: &str) -> io::Result<()> {
    match run("ip", &["link", "delete", "dev", name]) {
        Err(error) if is_device(name)? => Err(error),
        _ => Ok(()),
    }
}

/// The names of all bridges.
pub(crate) fn bridges() -> BTreeSet<String> {
    let devices = fs::read_dir(DEVICES).into_iter().flatten().flatten();
    let bridges = devices.filter(|device| device.path().join("bridge").exists());
    bridges.map(|device| device.file_name().to_string_lossy().into_owned()).collect()
}

/// What an administrator sees as the alias of a device.
pub(crate) fn alias(name: &str) -> Option<String> {
    let alias = fs::read_to_string(Path::new(DEVICES).join(name).join("ifalias")).ok()?;
    Some(alias.trim().to_owned()).filter(|alias| !alias.is_empty())
}

/// Whether there is a device of this name in the network of this thread. Mounts of `/sys` can show another network. The
/// kernel's list of devices takes several reads, between which other devices come and go: this is one look-up.
///
/// # Errors
///
/// It is not known.
pub(crate) fn is_device(name: &str) -> io::Result<bool> {
    is_device_in(Path::new(CONFIGURED), name)
}

fn is_device_in(configured: &Path, name: &str) -> io::Result<bool> {
    // Without it, no device would be there.
    fs::metadata(configured.join("all"))?;
    configured.join(name).try_exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_killed_after_its_time() {
        let error = run_within(Duration::from_millis(50), "sleep", &["300"]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    }

    #[test]
    fn a_device_is_gone_only_if_the_kernel_says_so() {
        assert!(is_device("lo").unwrap());
        assert!(!is_device("ecsn00000000").unwrap());
        let empty = tempfile::tempdir().unwrap();
        assert!(is_device_in(empty.path(), "lo").is_err(), "nothing is known");
    }

    #[test]
    fn a_program_that_fails_is_told_with_its_words() {
        assert_eq!(run("echo", &["a", "b"]).unwrap(), "a b\n");
        let error = run("sh", &["-c", "echo no >&2; exit 3"]).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c echo no >&2; exit 3` failed: no");
        let error = run("/nonexistent", &[]).unwrap_err();
        assert!(error.to_string().starts_with("`/nonexistent` cannot be started: "), "{error}");
    }
}
