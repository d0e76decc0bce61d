//! How the agent handles the runner's directory, its `.env` and the image's Docker.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::{Agent, COMPLETE, CONNECT, RUN};

/// Sets a variable for each line of `.env`, as the listener does first of all.
const LOAD_ENV: &str = "while IFS= read -r line || test -n \"$line\"; do \
    case $line in *=*) export \"$line\";; esac; done < .env";

#[test]
fn an_images_env_file_cannot_replace_the_hook_or_take_it_away() {
    for line in ["ACTIONS_RUNNER_HOOK_JOB_STARTED=/other", "ACTIONS_RUNNER_HOOK_JOB_STARTED="] {
        let see = "echo \"hook: $ACTIONS_RUNNER_HOOK_JOB_STARTED mine: $MINE\"";
        let agent = Agent::with_listener(&[LOAD_ENV, see, CONNECT, RUN, COMPLETE]);
        fs::write(agent.path("runner/.env"), format!("MINE=kept\n{line}\n")).unwrap();
        let hook = agent.path("run/agent/job-started.sh").display().to_string();
        let ended = agent.run().ended_with(0, "completed");
        let expected = format!("hook: {hook} mine: kept");
        assert!(ended.lines.contains(&expected), "{}", ended.text());
        let warning =
            r#""message":"line removed from the runner's .env","variable":"ACTIONS_RUNNER_HOOK_JOB_STARTED""#;
        assert!(ended.text().contains(warning), "{}", ended.text());
        assert!(!ended.text().contains("/other"), "its value is nobody's: {}", ended.text());
        assert_eq!(fs::read_to_string(ended.path("runner/.env")).unwrap(), "MINE=kept\n");
    }
}

#[test]
fn an_env_file_is_held_before_each_start_of_the_listener() {
    let again = "test -e once || { touch once; echo ACTIONS_RUNNER_HOOK_JOB_STARTED=/other > .env; exit 2; }";
    let ended = Agent::with_listener(&[
        again,
        LOAD_ENV,
        "echo \"hook: $ACTIONS_RUNNER_HOOK_JOB_STARTED\"",
        CONNECT,
        RUN,
        COMPLETE,
    ])
    .run()
    .ended_with(0, "completed");
    assert!(!ended.lines.contains(&"hook: /other".to_owned()), "{}", ended.text());
}

#[test]
fn a_listener_whose_env_file_cannot_be_held_is_never_started() {
    let agent = Agent::with_listener(&["echo started", CONNECT, RUN, COMPLETE]);
    symlink("/dev/null", agent.path("runner/.env")).unwrap();
    let ended = agent.run().ended_with(25, "files_failed");
    assert!(ended.detail().contains(".env` is not a regular file"), "{}", ended.detail());
    assert!(!ended.lines.contains(&"started".to_owned()), "{}", ended.text());
}

#[test]
fn no_variable_of_bash_in_an_images_env_file_ends_the_hook_before_it_judges() {
    for line in [
        "BASH_ENV=end.sh",
        "BASH_ENV=$(kill $$)",
        "SHELLOPTS=braceexpand:hashall:interactive-comments:noexec",
        "BASH_FUNC_exec%%=() { :; }",
    ] {
        // As the worker does: bash runs the hook with the variables of the file.
        let hook = "mapfile -t variables < .env; \
                    env \"${variables[@]}\" bash -e \"$ACTIONS_RUNNER_HOOK_JOB_STARTED\" & wait $!";
        let agent = Agent::with_listener(&["trap 'exit 0' INT", CONNECT, RUN, hook, COMPLETE]);
        fs::write(agent.path("runner/end.sh"), "exit 0\n").unwrap();
        fs::write(agent.path("runner/.env"), format!("MINE=kept\n{line}\n")).unwrap();
        // The hook has no event here, so it refuses.
        let ended = agent.run();
        assert_eq!(ended.ending(), (20, "job_refused".to_owned()), "{line}: {}", ended.text());
        assert_eq!(fs::read_to_string(ended.path("runner/.env")).unwrap(), "MINE=kept\n", "{line}");
    }
}

#[test]
fn a_job_that_needs_containers_fails_where_there_is_no_docker_and_its_clean_up_succeeds() {
    // As the official runner calls it.
    let call = |command: &str| {
        format!(
            "echo '{{\"command\":\"{command}\",\"responseFile\":\"/r\",\"state\":null,\"args\":{{\"container\":{{\"image\":\"alpine\"}}}}}}' \
             | bash --noprofile --norc -e -o pipefail $ACTIONS_RUNNER_CONTAINER_HOOKS; echo \"{command}: $?\""
        )
    };
    let commands = ["prepare_job", "run_container_step", "run_script_step", "cleanup_job"].map(call);
    let mut lines = vec!["PATH=/usr/bin:/bin", CONNECT, RUN];
    lines.extend(commands.iter().map(String::as_str));
    lines.push(COMPLETE);
    let agent = Agent::with_listener(&lines);
    let no_docker = agent.path("run").display().to_string();
    let ended = agent.env("PATH", no_docker).run().ended_with(0, "completed");
    for line in ["prepare_job: 1", "run_container_step: 1", "run_script_step: 1", "cleanup_job: 0"] {
        assert!(ended.lines.iter().any(|seen| seen == line), "{line}: {}", ended.text());
    }
    let told = ended.lines.iter().filter(|line| line.starts_with("::error::This runner has no Docker: "));
    assert_eq!(told.count(), 3, "{}", ended.text());
}

#[test]
fn a_runner_with_docker_has_no_container_hook() {
    let agent = Agent::with_listener(&["echo \"container hook: $ACTIONS_RUNNER_CONTAINER_HOOKS.\"", CONNECT]);
    fs::write(agent.path("docker"), "").unwrap();
    let path = agent.path("").display().to_string();
    // The image's file may name the daemon, and the path.
    fs::write(agent.path("runner/.env"), format!("DOCKER_HOST=tcp://docker:2375\nPATH={path}\n")).unwrap();
    let ended = agent.run();
    assert!(ended.lines.contains(&"container hook: .".to_owned()), "{}", ended.text());
}

#[test]
fn a_directory_for_temporary_files_becomes_the_jobs() {
    let agent = Agent::with_listener(&["echo \"tmp: $TMPDIR\"", CONNECT, RUN, COMPLETE]);
    let tmp = agent.path("tmp").display().to_string();
    let ended = agent.env("ECSRUNNER_TMP_DIR", &tmp).run().ended_with(0, "completed");
    assert!(ended.lines.contains(&format!("tmp: {tmp}")), "{}", ended.text());
}

#[test]
fn a_path_with_a_blank_is_refused_before_a_boot_item_is_taken() {
    let agent = Agent::with_answers(vec![], &[CONNECT]);
    let ended = agent.env("ECSRUNNER_AGENT_DIR", "/my agent").run().ended_with(1, "failed");
    let expected = "ECSRUNNER_AGENT_DIR is `/my agent`: a path of the characters A-Z a-z 0-9 / . _ + @ : , - is expected";
    assert!(ended.detail().contains(expected), "{}", ended.detail());
}
