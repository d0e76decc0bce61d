//! What a job can see, and what is left after it.

use std::collections::BTreeSet;
use std::fs;

use crate::harness::{Agent, COMPLETE, CONNECT, RUN, is_there};
use crate::table::JIT;

#[test]
fn the_jit_config_is_in_the_listeners_environment_and_nowhere_else() {
    let listener = [
        "test \"$ACTIONS_RUNNER_INPUT_JITCONFIG\" = \"$(cat expected)\" && echo handed over",
        "unset ACTIONS_RUNNER_INPUT_JITCONFIG",
        "cat ${ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}/{policy.json,job-started.sh}",
        CONNECT,
        RUN,
        "env; tr '\\0' ' ' < /proc/$PPID/cmdline; tr '\\0' ' ' < /proc/$$/cmdline; echo",
        COMPLETE,
        "echo ready; read -r < go",
    ];
    let agent = Agent::with_listener(&listener);
    fs::write(agent.path("runner/expected"), JIT).unwrap();
    nix::unistd::mkfifo(&agent.path("runner/go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut agent = agent.start();
    agent.until("ready");
    for file in ["environ", "cmdline"] {
        // Only root can read the environment of a non-dumpable process.
        let shown = fs::read(format!("/proc/{}/{file}", agent.id())).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&shown).contains(JIT), "{file}");
    }
    fs::write(agent.path("runner/go"), "\n").unwrap();
    let ended = agent.end().ended_with(0, "completed");
    assert!(ended.lines.iter().any(|line| line == "handed over"), "{}", ended.text());
    assert!(!ended.text().contains(JIT), "{}", ended.text());
}

#[test]
fn a_job_gets_the_documented_environment_and_nothing_of_aws() {
    let agent = Agent::with_listener(&[CONNECT, "echo BEGIN; /usr/bin/env; echo END"]);
    let no_docker = agent.path("run").display().to_string();
    let ended = agent
        .env("PATH", no_docker)
        .env("ACTIONS_RUNNER_ACTION_ARCHIVE_CACHE", "/opt/actions")
        .env("ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT", "1")
        .env("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", "/other")
        .env("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x")
        .env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x")
        .env("ECSRUNNER_LISTENER_ENV", "MINE,ABSENT")
        .env("MINE", "passed")
        .env("OTHER", "not passed")
        .env("ImageOS", "ubuntu24")
        .run();
    let begin = ended.lines.iter().position(|line| line == "BEGIN").unwrap();
    let end = ended.lines.iter().position(|line| line == "END").unwrap();
    let names: BTreeSet<_> =
        ended.lines[begin + 1..end].iter().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // The shell itself adds PWD, SHLVL and _.
    let expected = BTreeSet::from([
        "ACTIONS_RUNNER_ACTION_ARCHIVE_CACHE",
        "ACTIONS_RUNNER_CONTAINER_HOOKS",
        "ACTIONS_RUNNER_HOOK_JOB_STARTED",
        "ACTIONS_RUNNER_INPUT_JITCONFIG",
        "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE",
        "HOME",
        "ImageOS",
        "LANG",
        "MINE",
        "PATH",
        "PWD",
        "SHLVL",
        "_",
    ]);
    assert_eq!(names, expected);
}

#[test]
fn orphans_leave_no_zombie() {
    let orphans = "for i in {1..200}; do (true & true & exec true) & done; wait";
    // Each pass reads the current state. The orphans are gone after a few passes.
    let count = "for i in {1..500}; do \
                 left=$(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' | grep -c \"^Z $PPID \"); \
                 test $left = 0 && break; done; echo zombies $left";
    let ended =
        Agent::with_listener(&[CONNECT, RUN, orphans, count, COMPLETE]).run().ended_with(0, "completed");
    assert!(ended.lines.iter().any(|line| line == "zombies 0"), "{}", ended.text());
}

#[test]
fn what_a_job_leaves_behind_is_gone_before_the_agent_is() {
    let daemon = "setsid bash -c 'trap \"\" TERM INT; (setsid sleep 600 & echo $! >> pids); \
                  echo $$ >> pids; sleep 600' & while ! test \"$(wc -l < pids)\" = 2; do :; done 2>/dev/null";
    let ended = Agent::with_listener(&["touch pids", CONNECT, RUN, daemon, COMPLETE]).run();
    let ended = ended.ended_with(0, "completed");
    let pids = fs::read_to_string(ended.path("runner/pids")).unwrap();
    assert_eq!(pids.lines().count(), 2);
    assert!(!pids.lines().any(is_there), "{}", ended.text());
    assert!(ended.messages().contains(&"leftovers killed".to_owned()), "{}", ended.text());
}
