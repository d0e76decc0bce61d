//! Whether jobs can use Docker on this machine.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The sockets on which Docker's client looks for a daemon by default.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/docker.sock"];
/// How much is read of a `docker` that is a script.
const SCRIPT_LIMIT_BYTES: u64 = 4096;

/// Whether the listener has a Docker client that may reach a daemon, or Podman,
/// which needs none.
///
/// The runner looks for `docker` on its `PATH`, as a file and not as an
/// executable. The official image has it, and on Fargate there is no daemon.
pub(crate) fn has_docker(path: &OsStr, home: &Path, names_host: bool) -> bool {
    let client = std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join("docker"))
        .find(|client| client.is_file());
    let Some(client) = client else { return false };
    let is_socket =
        |socket: &&str| std::fs::metadata(socket).is_ok_and(|found| found.file_type().is_socket());
    // The client's configuration can name a daemon too. Only its presence is checked.
    let is_configured = || home.join(".docker/contexts").is_dir();
    names_host || SOCKETS.iter().any(is_socket) || is_configured() || is_podman(&client)
}

/// Whether a `docker` is what podman-docker installs: a script that executes
/// `podman`, or a link to it.
fn is_podman(client: &Path) -> bool {
    if client.canonicalize().is_ok_and(|real| real.file_name() == Some(OsStr::new("podman"))) {
        return true;
    }
    let mut text = Vec::new();
    // A client that cannot be read is Docker's own, which needs a daemon.
    let read = File::open(client).and_then(|file| file.take(SCRIPT_LIMIT_BYTES).read_to_end(&mut text));
    read.is_ok() && text.starts_with(b"#!") && text.windows(6).any(|word| word == b"podman")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn docker_is_a_client_on_the_path_with_a_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let path = OsString::from(dir.path());
        assert!(!has_docker(&path, dir.path(), true), "no client");
        std::fs::write(dir.path().join("docker"), "").unwrap();
        assert!(has_docker(&path, dir.path(), true));
        let has_socket = SOCKETS.iter().any(|socket| Path::new(socket).exists());
        assert_eq!(has_docker(&path, dir.path(), false), has_socket);
        std::fs::create_dir_all(dir.path().join(".docker/contexts")).unwrap();
        assert!(has_docker(&path, dir.path(), false));
    }

    #[test]
    fn podman_in_dockers_place_needs_no_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let docker = dir.path().join("docker");
        std::fs::write(&docker, "#!/usr/bin/sh\nexec /usr/bin/podman \"$@\"\n").unwrap();
        assert!(is_podman(&docker));
        assert!(has_docker(dir.path().as_os_str(), dir.path(), false));
        std::fs::write(dir.path().join("podman"), "\x7fELF").unwrap();
        std::fs::remove_file(&docker).unwrap();
        std::os::unix::fs::symlink("podman", &docker).unwrap();
        assert!(is_podman(&docker));
        std::fs::remove_file(&docker).unwrap();
        for other in ["#!/bin/sh\nexec /opt/docker \"$@\"\n", "\x7fELF podman", ""] {
            std::fs::write(&docker, other).unwrap();
            assert!(!is_podman(&docker), "{other}");
        }
    }
}
