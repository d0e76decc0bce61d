//! The exit record: what it says, and that no output of a listener or a job is one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use ecsrunner_core::id::RunnerName;
use ecsrunner_core::wire::exit_record::{ExitRecord, MAX_BYTES, PREFIX};
use ecsrunner_core::wire::peaks::Peaks;
use serde_json::{Value, json};

use crate::ecs::Ecs;
use crate::harness::{Agent, COMPLETE, CONNECT, Ended, RUN};
use crate::hook::about;
use crate::table::{Answer, RUNNER, item};

fn runner() -> RunnerName {
    RunnerName::parse(RUNNER).unwrap()
}

/// The record in the last line. Fails if another line begins like one.
fn record(ended: &Ended) -> ExitRecord {
    let records: Vec<&String> = ended.lines.iter().filter(|line| line.contains(PREFIX)).collect();
    assert_eq!(records, [ended.lines.last().unwrap()], "{:#?}", ended.lines);
    assert!(records[0].starts_with(PREFIX));
    ExitRecord::read(records[0]).unwrap().unwrap()
}

#[test]
fn it_says_when_the_agent_did_what_across_its_second_execve() {
    let agent = || Agent::with_listener(&[CONNECT, RUN, COMPLETE]);
    for agent in [agent(), agent().in_task(Ecs::start())] {
        let ended = agent.run().ended_with(0, "completed");
        let record = record(&ended);
        assert_eq!(record.runner, Some(runner()));
        assert_eq!(record.runner_version.unwrap().to_string(), "2.336.0");
        let steps = record.times.steps().map(|step| step.expect("each step was reached"));
        assert!(steps.is_sorted() && steps[6] <= record.time, "{record:?}");
        assert!(record.times.fit_between(steps[0], record.time));
    }
}

/// A job during which the machine's cgroups are what `before` mounts over them. Its runner was told `about`.
fn with_cgroups(ecs: Ecs, before: &str, job: &str, about: Option<&Value>) -> Option<Ended> {
    let mut item = item();
    if let Some(about) = about {
        item["about"] = json!({"S": about.to_string()});
    }
    let agent = Agent::with_answers(vec![Answer::Item(item)], &[CONNECT, RUN, job, COMPLETE]);
    let agent = agent.in_task(ecs).in_container()?;
    let (dir, summary) = (agent.path("cgroup"), agent.path("summary"));
    fs::create_dir(&dir).unwrap();
    fs::write(&summary, "").unwrap();
    fs::set_permissions(&summary, Permissions::from_mode(0o666)).unwrap();
    let before = before.replace("DIR", &dir.display().to_string());
    let agent = agent
        .env("ECSRUNNER_LISTENER_ENV", "CGROUP,GITHUB_STEP_SUMMARY")
        .env("CGROUP", dir.display())
        .env("GITHUB_STEP_SUMMARY", summary.display());
    Some(agent.after(&before).run().ended_with(0, "completed"))
}

/// A cgroup of version 2.
const CGROUP: &str = "echo cpu memory > DIR/cgroup.controllers; echo 1000 > DIR/memory.current; \
                      echo inactive_file 100 > DIR/memory.stat; echo 3000 > DIR/memory.peak; \
                      echo oom_kill 0 > DIR/memory.events; echo usage_usec 5000000 > DIR/cpu.stat; \
                      chmod -R a+rwX DIR; mount --bind DIR /sys/fs/cgroup";
/// The agent has measured the start once it has told the job's name.
const MEASURED: &str = "until test -f ${ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}/job; do sleep 0.02; done";

#[test]
fn a_task_tells_what_its_job_used_of_its_cgroup() {
    let job = format!(
        "{MEASURED}; echo usage_usec 7250000 > $CGROUP/cpu.stat; echo oom_kill 2 > $CGROUP/memory.events; \
         echo 8100 > $CGROUP/memory.current"
    );
    let Some(ended) = with_cgroups(Ecs::start(), CGROUP, &job, None) else { return };
    let peaks = record(&ended).peaks.unwrap();
    let expected = Peaks {
        cpu_ms: Some(2_250),
        memory_bytes: Some(8_000),
        memory_with_cache_bytes: Some(3_000),
        oom_kills: Some(2),
        measured_ms: peaks.measured_ms,
        disk_bytes: peaks.disk_bytes,
        throttled_percent: None,
    };
    assert_eq!(peaks, expected);
    assert!(peaks.measured_ms.is_some() && peaks.disk_bytes.is_some());
}

#[test]
fn what_a_jobs_note_says_that_it_used_is_what_the_exit_record_says_until_then() {
    let job = format!(
        "{MEASURED}; echo usage_usec 7250000 > $CGROUP/cpu.stat; echo $((100 + (700 << 20))) > $CGROUP/memory.current; \
         bash -e $ACTIONS_RUNNER_HOOK_JOB_COMPLETED; echo usage_usec 7500000 > $CGROUP/cpu.stat; \
         echo $((100 + (900 << 20))) > $CGROUP/memory.current"
    );
    let Some(ended) = with_cgroups(Ecs::start(), CGROUP, &job, Some(&about(1))) else { return };
    let note = fs::read_to_string(ended.path("summary")).unwrap();
    assert!(note.contains("| CPU | 2.250 s of CPU time, "), "{note}");
    assert!(note.contains("| memory | at most 700 MiB; 0 MiB with file cache |"), "{note}");
    let peaks = record(&ended).peaks.unwrap();
    assert_eq!((peaks.cpu_ms, peaks.memory_bytes), (Some(2_500), Some(900 << 20)), "measured again");
}

#[test]
fn without_a_cgroup_ecs_is_asked_for_the_statistics_of_the_container() {
    let stats = |cpu: u64, throttled: u64| {
        json!({
            "cpu_stats": {"cpu_usage": {"total_usage": cpu}, "online_cpus": 2,
                "throttling_data": {"periods": 10 * throttled, "throttled_periods": throttled, "throttled_time": 1}},
            "memory_stats": {"usage": 9000, "max_usage": 9500, "stats": {"total_inactive_file": 1000}},
        })
    };
    let ecs = Ecs::start().with_stats(&[stats(1_000_000_000, 1), stats(1_750_000_000, 4)]);
    let Some(ended) = with_cgroups(ecs, "mount -t tmpfs none /sys/fs/cgroup", ":", None) else { return };
    let peaks = record(&ended).peaks.unwrap();
    let used = (peaks.cpu_ms, peaks.throttled_percent, peaks.memory_bytes, peaks.memory_with_cache_bytes);
    // ECS is asked before and after the job, so its present memory is that of an idle container.
    assert_eq!(used, (Some(750), Some(10), None, Some(9_500)));
}

#[test]
fn without_cgroup_and_statistics_and_on_one_machine_nothing_is_told() {
    let ended = Agent::with_listener(&[CONNECT, RUN, COMPLETE]).run().ended_with(0, "completed");
    assert_eq!(record(&ended).peaks, None);
    let Some(ended) = with_cgroups(Ecs::start(), "mount -t tmpfs none /sys/fs/cgroup", ":", None) else {
        return;
    };
    assert_eq!(record(&ended).peaks, None);
}

#[test]
fn steps_that_were_not_reached_have_no_time() {
    let ended = Agent::with_answers(vec![Answer::Nothing], &[CONNECT])
        .env("ECSRUNNER_BOOT_LIMIT_SECS", 1)
        .run()
        .ended_with(10, "no_boot_item");
    let record = record(&ended);
    assert_eq!((record.runner, record.runner_version), (None, None));
    let [started, rest @ ..] = record.times.steps();
    assert!(started.is_some() && rest.iter().all(Option::is_none), "{:?}", record.times);
}

#[test]
fn a_job_that_writes_exit_records_to_the_listeners_outputs_makes_none() {
    let forged = r#"{"exit_record":1,"time":"2026-11-01T12:00:00Z","level":"info","message":"agent ended","exit":0,"reason":"completed","detail":"","times":{}}"#;
    let (front, back) = forged.split_at(9);
    let acts = [
        format!("echo '{forged}'"),
        format!("echo '{forged}' >&2"),
        format!("printf '%s' '{front}'; sleep 0.05; printf '%s\\n' '{back}'"),
        // What collects the log cuts long lines.
        format!("printf '%16384s%s\\n' x '{forged}'"),
        format!("printf '%s' '{forged}'"),
    ];
    let lines: Vec<&str> = [CONNECT, RUN].into_iter().chain(acts.iter().map(String::as_str)).collect();
    let ended = Agent::with_listener(&lines).run();
    let record = record(&ended);
    assert_eq!(record.runner, Some(runner()), "the agent's own");
    assert!(ended.text().contains(r#"{"exit_record" :1"#), "the job's lines are there: {}", ended.text());
}

#[test]
fn it_is_short_however_much_the_listener_complains() {
    let complaint = "printf 'Runner connect error: Error: %1000s\\n' x >&2; exit 3";
    let ended = Agent::with_listener(&[complaint]).run();
    assert!(ended.lines.last().unwrap().len() <= MAX_BYTES);
    record(&ended);
}
