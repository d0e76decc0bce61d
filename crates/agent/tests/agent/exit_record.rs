//! The exit record: what it says, and that no output of a listener or a job is one.

use ecsrunner_core::id::RunnerName;
use ecsrunner_core::wire::exit_record::{ExitRecord, MAX_BYTES, PREFIX};
use ecsrunner_core::wire::peaks::Peaks;
use serde_json::json;

use crate::ecs::Ecs;
use crate::harness::{Agent, COMPLETE, CONNECT, Ended, RUN};
use crate::table::{Answer, RUNNER};

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

/// A job during which the machine's cgroups are what `before` mounts over them.
fn with_cgroups(ecs: Ecs, before: &str, job: &str) -> Option<Ended> {
    let agent = Agent::with_listener(&[CONNECT, RUN, job, COMPLETE]).in_task(ecs).in_container()?;
    let dir = agent.path("cgroup");
    std::fs::create_dir(&dir).unwrap();
    let before = before.replace("DIR", &dir.display().to_string());
    let agent = agent.env("ECSRUNNER_LISTENER_ENV", "CGROUP").env("CGROUP", dir.display());
    Some(agent.after(&before).run().ended_with(0, "completed"))
}

#[test]
fn a_task_tells_what_its_job_used_of_its_cgroup() {
    let files = "echo cpu memory > DIR/cgroup.controllers; echo 1000 > DIR/memory.current; \
                 echo inactive_file 100 > DIR/memory.stat; echo 3000 > DIR/memory.peak; \
                 echo oom_kill 0 > DIR/memory.events; echo usage_usec 5000000 > DIR/cpu.stat; \
                 chmod -R a+rwX DIR; mount --bind DIR /sys/fs/cgroup";
    // The agent has measured the start once it has told the job's name.
    let job = "until test -f ${ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}/job; do sleep 0.02; done; \
               echo usage_usec 7250000 > $CGROUP/cpu.stat; echo oom_kill 2 > $CGROUP/memory.events; \
               echo 8100 > $CGROUP/memory.current";
    let Some(ended) = with_cgroups(Ecs::start(), files, job) else { return };
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
fn without_a_cgroup_ecs_is_asked_for_the_statistics_of_the_container() {
    let stats = |cpu: u64, throttled: u64| {
        json!({
            "cpu_stats": {"cpu_usage": {"total_usage": cpu}, "online_cpus": 2,
                "throttling_data": {"periods": 10 * throttled, "throttled_periods": throttled, "throttled_time": 1}},
            "memory_stats": {"usage": 9000, "max_usage": 9500, "stats": {"total_inactive_file": 1000}},
        })
    };
    let ecs = Ecs::start().with_stats(&[stats(1_000_000_000, 1), stats(1_750_000_000, 4)]);
    let Some(ended) = with_cgroups(ecs, "mount -t tmpfs none /sys/fs/cgroup", ":") else { return };
    let peaks = record(&ended).peaks.unwrap();
    let used = (peaks.cpu_ms, peaks.throttled_percent, peaks.memory_bytes, peaks.memory_with_cache_bytes);
    assert_eq!(used, (Some(750), Some(10), Some(8_000), Some(9_500)));
}

#[test]
fn without_cgroup_and_statistics_and_on_one_machine_nothing_is_told() {
    let ended = Agent::with_listener(&[CONNECT, RUN, COMPLETE]).run().ended_with(0, "completed");
    assert_eq!(record(&ended).peaks, None);
    let Some(ended) = with_cgroups(Ecs::start(), "mount -t tmpfs none /sys/fs/cgroup", ":") else { return };
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
