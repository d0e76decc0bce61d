//! The agent as process 1 of a container: a process namespace of its own, as
//! root, with the listener as another user. Needs root.

use std::fs;

use nix::sys::signal::Signal;

use crate::ecs::Ecs;
use crate::harness::{Agent, COMPLETE, CONNECT, GRACEFUL, RUN, START, WAIT};
use crate::table::JIT;

fn container(listener: &[&str]) -> Option<Agent> {
    Agent::with_listener(listener).in_task(Ecs::start()).in_container()
}

#[test]
fn the_listener_has_the_user_and_the_groups_of_its_account() {
    let who = "id -u; id -un; id -G; id -g; echo \"$HOME\"";
    let Some(agent) = container(&[CONNECT, RUN, who, COMPLETE]) else { return };
    let home = agent.path("runner").display().to_string();
    let ended = agent.run().ended_with(0, "completed");
    // The agent's own lines can come between any two.
    let lines: Vec<_> = ended.lines.iter().filter(|line| !line.starts_with('{')).collect();
    let begin = lines.iter().position(|line| *line == "1001").unwrap();
    assert_eq!(lines[begin..begin + 5], ["1001", "runner", "1001 27 123", "1001", &home]);
}

#[test]
fn process_1_and_what_it_holds_is_out_of_the_jobs_reach() {
    let look = "for file in environ fd/0 mem maps; do head -c1 /proc/1/$file >/dev/null 2>&1 && echo read $file; done; \
                kill -9 1 2>/dev/null && echo killed; cat /proc/1/cmdline | tr '\\0' ' '; echo";
    let Some(agent) = container(&[CONNECT, RUN, look, COMPLETE]) else { return };
    let ended = agent.run().ended_with(0, "completed");
    let seen: Vec<_> =
        ended.lines.iter().filter(|line| line.starts_with("read ") || *line == "killed").collect();
    assert!(seen.is_empty(), "{seen:?}");
    let arguments = ended.lines.iter().find(|line| line.contains("agent-supervise")).unwrap();
    assert!(!arguments.contains(JIT), "{arguments}");
}

#[test]
fn each_fault_of_a_listener_has_its_ending_and_leaves_no_process() {
    for (lines, limit, code, reason) in [
        (vec![GRACEFUL, START, WAIT], "CONNECT", 14, "not_connected"),
        // A listener that cannot acquire its job prints nothing and keeps listening.
        (vec![GRACEFUL, CONNECT, WAIT], "IDLE", 16, "no_job"),
        (vec![GRACEFUL, CONNECT, RUN, WAIT], "JOB", 19, "job_timeout"),
        (vec![CONNECT, RUN, "kill -SEGV $$"], "JOB", 18, "listener_crashed"),
        (vec![CONNECT, "exit 0"], "JOB", 31, "job_withdrawn"),
        (vec!["exit 7"], "JOB", 15, "image_too_old"),
    ] {
        let Some(agent) = container(&lines) else { return };
        agent.env(&format!("ECSRUNNER_{limit}_LIMIT_SECS"), 1).run().ended_with(code, reason);
    }
}

#[test]
fn term_reaches_the_listener_as_int_and_one_that_ignores_it_is_killed() {
    for (trap, told) in [(GRACEFUL, "Exiting..."), ("trap '' INT TERM", "killing listener")] {
        let Some(agent) = container(&[trap, CONNECT, RUN, "echo ready", WAIT]) else { return };
        let mut agent = agent.env("ECSRUNNER_STOP_TIMEOUT_SECS", 6).start();
        agent.until("ready").signal(Signal::SIGTERM);
        let ended = agent.end().ended_with(22, "interrupted_busy");
        assert!(ended.text().contains(told), "{}", ended.text());
    }
}

#[test]
fn a_signal_in_the_first_life_ends_it() {
    let Some(agent) = Agent::with_answers(vec![], &[CONNECT]).in_task(Ecs::start()).in_container() else {
        return;
    };
    let mut agent = agent.start();
    agent.until("task known").until_polled().signal(Signal::SIGTERM);
    agent.end().ended_with(21, "interrupted");
}

#[test]
fn a_thousand_orphans_leave_no_zombie() {
    // Each one's parent has ended, so process 1 inherits it.
    let orphans = "for i in {1..1000}; do (true & exec true) & done; wait";
    let count = "for i in {1..500}; do \
                 left=$(cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' | grep -c '^Z 1 '); \
                 test $left = 0 && break; done; echo zombies $left";
    let Some(agent) = container(&[CONNECT, RUN, orphans, count, COMPLETE]) else { return };
    let ended = agent.run().ended_with(0, "completed");
    assert!(ended.lines.iter().any(|line| line == "zombies 0"), "{}", ended.text());
}

#[test]
fn a_daemon_that_forks_twice_and_ignores_every_signal_is_gone_before_the_agent_is() {
    let daemon = "setsid bash -c 'trap \"\" TERM INT HUP; (setsid sleep 600 & echo $! >> pids); \
                  echo $$ >> pids; sleep 600' & while ! test \"$(wc -l < pids)\" = 2; do :; done 2>/dev/null";
    let Some(agent) = container(&["touch pids", CONNECT, RUN, daemon, COMPLETE]) else { return };
    let ended = agent.run().ended_with(0, "completed");
    assert_eq!(fs::read_to_string(ended.path("runner/pids")).unwrap().lines().count(), 2);
    assert!(ended.messages().contains(&"leftovers killed".to_owned()), "{}", ended.text());
}

#[test]
fn a_full_disk_is_an_ending_of_its_own() {
    let Some(agent) = container(&[CONNECT, RUN, COMPLETE]) else { return };
    let run = agent.path("run");
    fs::create_dir_all(&run).unwrap();
    let path = run.display();
    let fill = format!(
        "mount -t tmpfs -o size=16k tmpfs {path} && ! head -c 64k /dev/zero > {path}/fill 2>/dev/null"
    );
    let ended = agent.after(&fill).run().ended_with(25, "files_failed");
    assert!(ended.lines.last().unwrap().contains("cannot be made"), "{}", ended.text());
}

#[test]
fn a_rewritten_env_file_is_still_its_owners() {
    let see = "cat .env; stat -c 'owner %u:%g %a' .env";
    let Some(agent) = container(&[see, CONNECT, RUN, COMPLETE]) else { return };
    let path = agent.path("runner/.env");
    fs::write(&path, "ACTIONS_RUNNER_HOOK_JOB_STARTED=\nMINE=1\n").unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&path, Some(1001), Some(1001)).unwrap();
    let ended = agent.run().ended_with(0, "completed");
    for line in ["MINE=1", "owner 1001:1001 600"] {
        assert!(ended.lines.iter().any(|seen| seen == line), "{line}: {}", ended.text());
    }
    assert!(!ended.lines.iter().any(|line| line.starts_with("ACTIONS_RUNNER_")), "{}", ended.text());
}

#[test]
fn a_listener_that_is_missing_or_cannot_be_executed_is_told() {
    for name in ["runner/bin/Runner.Listener", "runner/bin"] {
        let Some(agent) = container(&[CONNECT]) else { return };
        let path = agent.path(name);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        }
        let ended = agent.run().ended_with(13, "listener_missing");
        assert!(
            ended.lines.last().unwrap().contains("Runner.Listener` cannot be started"),
            "{}",
            ended.text()
        );
    }
}
