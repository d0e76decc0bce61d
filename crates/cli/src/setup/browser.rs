//! Opens an address in the person's browser, if this machine has one to show.

use std::process::{Command, Stdio};

use crate::environment;

/// Returns whether a program was started that shows the address. It holds no secret.
pub(super) fn open(address: &str) -> bool {
    let Some((program, arguments)) = opener() else { return false };
    let started = Command::new(program)
        .args(arguments)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.is_ok()
}

/// Returns whether this session came by SSH, so that a browser would open on the wrong machine.
pub(super) fn is_remote() -> bool {
    environment::text(environment::SSH_CONNECTION).is_some()
}

/// Returns the command that forwards the page's port to the machine that the session came from.
pub(super) fn forwarding(port: u16) -> Option<String> {
    let connection = environment::text(environment::SSH_CONNECTION)?;
    // The client's address and port, then ours.
    let host = connection.split_whitespace().nth(2)?;
    let user = environment::text(environment::USER).map(|user| format!("{user}@")).unwrap_or_default();
    Some(format!("ssh -N -L {port}:127.0.0.1:{port} {user}{host}"))
}

#[cfg(target_os = "macos")]
fn opener() -> Option<(&'static str, &'static [&'static str])> {
    (!is_remote()).then_some(("open", &[]))
}

#[cfg(windows)]
fn opener() -> Option<(&'static str, &'static [&'static str])> {
    // `start` takes its first argument in quotes as a title.
    (!is_remote()).then_some(("cmd", &["/C", "start", ""]))
}

#[cfg(not(any(target_os = "macos", windows)))]
fn opener() -> Option<(&'static str, &'static [&'static str])> {
    let has_display = [environment::DISPLAY, environment::WAYLAND_DISPLAY]
        .into_iter()
        .any(|it| environment::text(it).is_some());
    (has_display && !is_remote()).then_some(("xdg-open", &[]))
}
