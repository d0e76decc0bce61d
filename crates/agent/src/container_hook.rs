//! Container jobs on a machine without Docker: they fail, and say why.
//!
//! The official runner calls a container hook instead of Docker. This one fails
//! every call that would execute something in a container: if a hook does
//! nothing and exits with 0, such a step succeeds. The runner calls it only if
//! GitHub's job message allows container hooks
//! (`DistributedTask.AllowRunnerContainerHooks`). Otherwise the runner itself
//! fails the job in `Initialize containers`, with its own message (both seen
//! with the official runner 2.336).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use serde::Deserialize;

/// The subcommand that runs the container hook.
pub(crate) const CONTAINER_HOOK_SUBCOMMAND: &str = "agent-container-hook";

/// The sockets on which Docker's client looks for a daemon by default.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/docker.sock"];
/// Larger than any call of the runner.
const INPUT_LIMIT_BYTES: u64 = 16 * 1024 * 1024;
/// How much is read of a `docker` that is a script.
const SCRIPT_LIMIT_BYTES: u64 = 4096;

/// The part of the runner's call that is read.
#[derive(Deserialize)]
struct Call {
    command: String,
}

/// Answers one call of the runner and returns the exit code.
///
/// `cleanup_job` succeeds, because the runner calls it after a failure too.
/// Every other call fails with one sentence, also one that cannot be parsed.
pub(crate) fn container_hook(input: impl Read, mut out: impl Write) -> u8 {
    let call = serde_json::from_reader::<_, Call>(input.take(INPUT_LIMIT_BYTES)).ok();
    let what = match call.as_ref().map(|call| call.command.as_str()) {
        Some("cleanup_job") => return 0,
        Some("prepare_job") => "`container:` and `services:`",
        Some("run_script_step") => "a step in a container",
        _ => "a container action or `docker://` step",
    };
    // An `::error::` command becomes an annotation of the job.
    let told = writeln!(
        out,
        "::error::This runner has no Docker: {what} cannot be executed here, see docs/semantics.md of ecsrunner"
    );
    // If the line is lost, the job still fails.
    let _ = told.and_then(|()| out.flush());
    1
}

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

    fn called(input: &str) -> (u8, String) {
        let mut out = Vec::new();
        let code = container_hook(input.as_bytes(), &mut out);
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn whatever_would_execute_in_a_container_fails_with_one_sentence() {
        // As the official runner 2.336 sends it, for two services and no container.
        let prepare_job = r#"{"command":"prepare_job","responseFile":"/w/_temp/_runner_hook_responses/1.json","state":null,
            "args":{"container":null,"services":[{"image":"postgres:17","dockerfile":null,"entryPointArgs":[],
            "entryPoint":null,"workingDirectory":null,"createOptions":"--health-interval 10s","registry":null,
            "environmentVariables":{"POSTGRES_PASSWORD":"pw"},"portMappings":["5432:5432"],
            "systemMountVolumes":[],"userMountVolumes":[]}]}}"#;
        for input in [
            prepare_job,
            r#"{"command":"run_container_step","args":{"image":"alpine"}}"#,
            r#"{"command":"run_script_step","args":{}}"#,
            r#"{"command":"of_a_later_runner"}"#,
            "no JSON",
            "",
        ] {
            let (code, told) = called(input);
            assert_eq!(code, 1, "{input}");
            assert!(told.starts_with("::error::This runner has no Docker: "), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }

    #[test]
    fn the_clean_up_succeeds_and_says_nothing() {
        assert_eq!(called(r#"{"command":"cleanup_job","args":{},"state":{}}"#), (0, String::new()));
    }

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
