//! Opens an address in the person's browser, if this machine has one to show.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempPath;

use crate::environment;

/// A file that sends a browser to an address with a secret. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Opened {
    file: TempPath,
}

impl Opened {
    /// Waits until the browser has read the file, and removes it.
    pub(crate) async fn finish(self) {
        tokio::time::sleep(READ_WITHIN).await;
        // A file that is gone already needs no removal.
        let _removed = self.file.close();
    }
}

/// How long a browser may take to start and to read a file.
const READ_WITHIN: Duration = Duration::from_secs(8);

/// Opens an address that holds a secret. Other users of this machine can read the arguments of programs, so the program
/// is given a file that only its owner can read. Returns `None` if no program was started.
pub(crate) fn open_secretly(address: &str) -> Option<Opened> {
    opener()?;
    // The address is printed too, so a file that cannot be made is no failure.
    let file = private_file(&directory(), address).ok()?;
    open(&file.display().to_string()).then_some(Opened { file })
}

/// Returns a directory whose files a browser can read. One from a snap package reads none in `/tmp`.
fn directory() -> PathBuf {
    let home = cfg!(target_os = "linux").then(|| environment::text(environment::HOME)).flatten();
    home.map(PathBuf::from).filter(|home| home.is_dir()).unwrap_or_else(env::temp_dir)
}

/// Makes a file that sends a browser to an address. Only its owner can read it.
fn private_file(directory: &Path, address: &str) -> io::Result<TempPath> {
    let mut file = tempfile::Builder::new().prefix("ecsrunner-").suffix(".html").tempfile_in(directory)?;
    // An address of ours has nothing that HTML would have to escape but `&`.
    let address = address.replace('&', "&amp;");
    write!(
        file,
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>ecsrunner</title>\n<meta http-equiv=\"refresh\" content=\"0; url={address}\">\n\
         <p><a href=\"{address}\">Open the page of ecsrunner</a></p>\n"
    )?;
    Ok(file.into_temp_path())
}

/// Returns whether a program was started that shows the address. It holds no secret.
pub(crate) fn open(address: &str) -> bool {
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
pub(crate) fn is_remote() -> bool {
    environment::text(environment::SSH_CONNECTION).is_some()
}

/// Returns the command that forwards the page's port to the machine that the session came from.
pub(crate) fn forwarding(port: u16) -> Option<String> {
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_that_leads_to_a_secret_address_is_private_and_goes_away() {
        let file = private_file(&env::temp_dir(), "http://127.0.0.1:1/?job=7#token=abc").unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(r#"content="0; url=http://127.0.0.1:1/?job=7#token=abc""#), "{text}");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let path = file.to_path_buf();
        drop(Opened { file });
        assert!(!path.exists());
    }
}
