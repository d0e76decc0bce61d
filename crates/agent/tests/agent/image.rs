//! Runs the Dockerfile's last stage without Docker: its COPY, ENV and start
//! command, in a namespace with the official image's user. This machine serves
//! as the base image, and no layer is built.

use std::fs;
use std::process::Command;

use crate::ecs::Ecs;
use crate::harness::{Agent, COMPLETE, CONNECT, RUN};

const DOCKERFILE: &str = include_str!("../../../../runner/Dockerfile");

/// The instructions of the last stage, each on one line.
fn last_stage() -> Vec<String> {
    let lines = DOCKERFILE.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let instructions = lines.replace("\\\n", " ");
    let last = instructions.split("\nFROM ").last().unwrap();
    last.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// The arguments of the last instruction of this kind.
fn instruction(word: &str) -> Option<String> {
    let found = last_stage().into_iter().rev().find_map(|line| line.strip_prefix(word).map(str::to_owned));
    found.map(|rest| rest.trim().to_owned())
}

#[test]
fn process_1_is_root_and_nothing_else_is_started() {
    assert_eq!(instruction("USER ").as_deref(), Some("root"));
    for absent in ["HEALTHCHECK", "CMD", "VOLUME", "EXPOSE"] {
        assert_eq!(instruction(absent), None);
    }
}

#[test]
fn no_version_of_the_runner_or_of_the_image_stands_in_the_dockerfile() {
    let defaults: Vec<&str> = DOCKERFILE.lines().filter_map(|line| line.strip_prefix("ARG ")).collect();
    let expected = [
        "BASE_IMAGE=ghcr.io/actions/actions-runner:latest",
        "DOCKER=false",
        "BASE_IMAGE",
        "VERSION=unknown",
        "REVISION=unknown",
        "TARGETARCH",
    ];
    assert_eq!(defaults, expected, "a version would age with the repository");
}

#[test]
fn the_docker_variant_names_what_a_base_image_lacks() {
    let lines = DOCKERFILE.replace("\\\n", " ");
    let stage = lines.split(" AS docker-true\n").nth(1).unwrap();
    let script = stage.lines().find_map(|line| line.strip_prefix("RUN ")).unwrap();
    let programs = tempfile::tempdir().unwrap();
    let build = || {
        let output =
            Command::new("/bin/sh").args(["-c", script]).env("PATH", programs.path()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).trim().to_owned())
    };
    for name in ["iptables", "docker", "dockerd", "containerd", "runc"] {
        assert!(!build().0, "{name} is missing");
        std::os::unix::fs::symlink("/bin/true", programs.path().join(name)).unwrap();
        if name == "containerd" {
            assert_eq!(build(), (false, "the base image has no runc".to_owned()));
        }
    }
    assert_eq!(build(), (true, String::new()));
}

#[test]
fn what_is_copied_set_and_started_executes_a_job_as_the_official_images_user() {
    let copied = instruction("COPY ").unwrap();
    let target = copied.split(' ').next_back().unwrap().to_owned();
    let entrypoint: Vec<String> = serde_json::from_str(&instruction("ENTRYPOINT ").unwrap()).unwrap();
    assert_eq!(entrypoint.join(" "), target, "what is copied is started");
    assert!(copied.contains("--chmod=0755 "), "{copied}");

    let who = "echo who: $(id -un) $(id -G) $HOME $PWD $DEBIAN_FRONTEND";
    let agent = Agent::with_listener(&[CONNECT, RUN, who, COMPLETE]).in_task(Ecs::start());
    let Some(mut agent) = agent.in_container() else { return };
    for assignment in instruction("ENV ").unwrap().split_whitespace() {
        let (name, value) = assignment.split_once('=').unwrap();
        agent = agent.env(name, value);
    }
    let from = agent.executable();
    fs::write(agent.path("Runner.Listener"), fs::read(agent.path("runner/bin/Runner.Listener")).unwrap())
        .unwrap();
    let listener = agent.path("Runner.Listener");
    let lines = [
        "mount -t tmpfs tmpfs /usr/local/bin".to_owned(),
        format!("install -m 0755 {} {target}", from.display()),
        "mount -t tmpfs tmpfs /home && mount -t tmpfs tmpfs /run".to_owned(),
        format!("install -D -m 0755 {} /home/runner/bin/Runner.Listener", listener.display()),
        "chown -R 1001 /home/runner".to_owned(),
    ];
    for line in &lines {
        agent = agent.after(line);
    }
    let ended = agent
        .with_executable(target.as_ref())
        .env("ECSRUNNER_AGENT_DIR", "/run/ecsrunner")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .run()
        .ended_with(0, "completed");
    let who = "who: runner 1001 27 123 /home/runner /home/runner noninteractive";
    assert!(ended.lines.iter().any(|line| line == who), "{}", ended.text());
}
