//! The exit record: what it says, and that no output of a listener or a job is one.

use ecsrunner_core::id::RunnerName;
use ecsrunner_core::wire::exit_record::{ExitRecord, MAX_BYTES, PREFIX};

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
