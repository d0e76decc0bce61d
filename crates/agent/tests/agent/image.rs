//! Runs the Dockerfile's last stage without Docker: its COPY, ENV and start
//! command, in a namespace with the official image's user. This machine serves
//! as the base image, and no layer is built.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::ecs::Ecs;
use crate::harness::{Agent, COMPLETE, CONNECT, RUN};

const DOCKERFILE: &str = include_str!("../../../../runner/Dockerfile");

/// The instructions of each stage, each on one line. The first is what stands above all stages.
fn stages() -> Vec<Vec<String>> {
    let lines = DOCKERFILE.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let instructions = lines.replace("\\\n", " ");
    let of = |stage: &str| stage.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    instructions.split("\nFROM ").map(of).collect()
}

/// The arguments of the instructions of this kind in the last stage.
fn instructions(word: &str) -> Vec<String> {
    let last = stages().pop().unwrap();
    last.iter().filter_map(|line| line.strip_prefix(word)).map(|rest| rest.trim().to_owned()).collect()
}

/// The arguments of the last instruction of this kind.
fn instruction(word: &str) -> Option<String> {
    instructions(word).pop()
}

/// The assignments of these words, sorted.
fn assignments(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = text.split_whitespace().filter(|word| word.contains('=')).collect();
    found.sort_unstable();
    found
}

#[test]
fn the_slim_image_has_the_variables_with_which_github_image_is_compared() {
    let stages = stages();
    let stage = |name: &str| stages.iter().find(|stage| stage[0].ends_with(&format!(" AS {name}"))).unwrap();
    let line = |name: &str, word: &str| {
        stage(name).iter().find_map(|line| line.strip_prefix(word)).unwrap().to_owned()
    };
    let run = line("cut", "RUN ");
    let (_, compared) = run.split_once("slim.sh /whole /slim ").unwrap();
    assert_eq!(assignments(compared), assignments(&line("slim", "ENV ")));
    assert_eq!(assignments(compared).len(), 8);
}

/// Runs slim.sh on a tree like that of GitHub's image, with these variables in its environment.
fn slim(dir: &Path, variables: &[(&str, &str)]) -> Output {
    let (from, to) = (dir.join("from"), dir.join("to"));
    fs::create_dir(&to).unwrap();
    for file in [
        "usr/bin/docker",
        "usr/bin/git",
        "usr/local/lib/docker/cli-plugins/docker-buildx",
        "home/runner/bin/Runner.Listener",
        "home/runner/externals/node24/bin/node",
        "home/runner/externals/node24_alpine/bin/node",
        "home/runner/k8s/index.js",
        "home/runner/k8s-novolume/index.js",
    ] {
        fs::create_dir_all(from.join(file).parent().unwrap()).unwrap();
        fs::write(from.join(file), file).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runner/slim.sh");
    let mut command = Command::new("sh");
    command.arg(script).args([&from, &to]).args(["PATH=/usr/bin:/bin", "ImageOS=ubuntu24", "UNUSED=1"]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/root");
    command.envs(variables.iter().copied()).output().unwrap()
}

/// The files below a directory, sorted.
fn files(dir: &Path) -> Vec<String> {
    let found = Command::new("find").current_dir(dir).args([".", "-type", "f"]).output().unwrap();
    let mut files: Vec<String> =
        String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect();
    files.sort();
    files
}

#[test]
fn the_slim_image_has_what_a_job_needs_in_two_layers() {
    let dir = tempfile::tempdir().unwrap();
    // The last five are BuildKit's, which its driver `docker-container` adds to each RUN.
    let variables = [
        ("ImageOS", "ubuntu24"),
        ("https_proxy", "http://proxy:3128"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "unix:///dev/otel-grpc.sock"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("TRACESTATE", "vendor=value"),
    ];
    let told = slim(dir.path(), &variables);
    assert!(told.status.success(), "{told:?}");
    let kept = [
        "./runner/home/runner/bin/Runner.Listener",
        "./runner/home/runner/externals/node24/bin/node",
        "./system/usr/bin/git",
    ];
    assert_eq!(files(&dir.path().join("to")), kept);
}

#[test]
fn an_image_that_would_lose_a_variable_is_not_made_slim() {
    for variables in [&[("NEW", "of GitHub")][..], &[("ImageOS", "ubuntu26")]] {
        let dir = tempfile::tempdir().unwrap();
        let told = slim(dir.path(), variables);
        assert!(!told.status.success());
        let (name, value) = variables[0];
        let words = String::from_utf8(told.stderr).unwrap();
        let expected = format!("error: the base image sets `{name}` as no slim image does: ");
        assert!(words.starts_with(&expected) && !words.contains(value), "{words}");
        assert_eq!(files(&dir.path().join("to")), [""; 0]);
    }
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
        "VARIANT=full",
        "BASE_IMAGE",
        "VARIANT",
        "VERSION=unknown",
        "REVISION=unknown",
        "TARGETARCH",
    ];
    assert_eq!(defaults, expected, "a version would age with the repository");
}

#[test]
fn the_docker_variant_names_what_a_base_image_lacks() {
    let lines = DOCKERFILE.replace("\\\n", " ");
    let stage = lines.split(" AS docker\n").nth(1).unwrap();
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
    let [copied, archives] = &instructions("COPY ")[..] else { panic!("{:?}", instructions("COPY ")) };
    let cache = "ACTIONS_RUNNER_ACTION_ARCHIVE_CACHE";
    assert!(archives.ends_with(&format!(" ${{{cache}}}/")), "{archives}");
    let target = copied.split(' ').next_back().unwrap().to_owned();
    let entrypoint: Vec<String> = serde_json::from_str(&instruction("ENTRYPOINT ").unwrap()).unwrap();
    assert_eq!(entrypoint.join(" "), target, "what is copied is started");
    assert!(copied.contains("--chmod=0755 "), "{copied}");

    let who = "echo who: $(id -un) $(id -G) $HOME $PWD $DEBIAN_FRONTEND $ACTIONS_RUNNER_ACTION_ARCHIVE_CACHE";
    let agent = Agent::with_listener(&[CONNECT, RUN, who, COMPLETE]).in_task(Ecs::start());
    let Some(mut agent) = agent.in_container() else { return };
    for assignment in instructions("ENV ").iter().flat_map(|line| assignments(line)) {
        let (name, value) = assignment.split_once('=').unwrap();
        // The base sets no other.
        let default = value.strip_prefix(&format!("${{{name}:-")).and_then(|rest| rest.strip_suffix('}'));
        agent = agent.env(name, default.unwrap_or(value));
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
    let who = "who: runner 1001 27 123 /home/runner /home/runner noninteractive /opt/ecsrunner/actions";
    assert!(ended.lines.iter().any(|line| line == who), "{}", ended.text());
}
