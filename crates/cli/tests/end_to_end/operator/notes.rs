//! The note in a job's summary: each number in it is one of the runner's record.

use std::collections::BTreeMap;
use std::fs;

use ecsrunner_core::rules::class::size::{Arch, Size};
use ecsrunner_core::rules::cost::{Market, PRICES_AS_OF, fargate_usd};
use ecsrunner_core::rules::hosted::{HOSTED_PRICES_AS_OF, billed_minutes};
use ecsrunner_core::wire::exit_record::{AgentTimes, ExitRecord};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{fields, json_of, tell};
use crate::testbed::processes::has_cgroups;
use crate::testbed::{REPOSITORY, Setup, Testbed, at, bounded, job_ids};

const WORKFLOW: &str = "
on: push
jobs:
  build:
    runs-on: [self-hosted, 'class:small']
    steps:
      - run: echo by the job itself >> $GITHUB_STEP_SUMMARY
      - run: exit 1
";

fn setup(top: &'static str) -> Setup {
    Setup { top, listener: &[("ECSRUNNER_SIM_EXECUTOR", "steps")], ..Setup::default() }
}

/// Runs a job that fails, and returns it as GitHub has it.
async fn run(testbed: &Testbed) -> Value {
    let workflow = json!({"repository": REPOSITORY, "file": ".github/workflows/ci.yml", "text": WORKFLOW});
    let job = job_ids(&testbed.github.submit_workflow(&workflow).await)[0];
    testbed.github.wait_for(job, "completed").await
}

/// The rows of a note by their names.
fn rows(note: &str) -> BTreeMap<&str, &str> {
    let rows = note.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    rows.filter(|(name, _)| !name.is_empty() && *name != "---").collect()
}

/// The times of a runner's record, as its agent wrote them.
fn agent_times(testbed: &Testbed, runner: &Value) -> AgentTimes {
    let log = testbed.state().join("tasks").join(runner["task"].as_str().unwrap()).join("agent.log");
    let log = fs::read_to_string(log).unwrap();
    ExitRecord::read(log.lines().last().unwrap()).unwrap().unwrap().times
}

#[tokio::test]
async fn each_number_of_a_jobs_note_is_in_its_runners_record() {
    bounded(async {
        let testbed = Testbed::set_up(setup("job_summary = true")).await;
        let server = testbed.serve().await;
        let job = run(&testbed).await;
        let api = server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        let (runner, summaries) = (&api.runners[0], job["summaries"].as_array().unwrap());
        assert_eq!(summaries[0]["text"], "by the job itself\n");
        assert_eq!((summaries.len(), &summaries[1]["step"]), (2, &json!("Complete runner")), "{summaries:?}");
        assert_eq!(job["conclusion"], "failure", "the note changes no result");
        let note = summaries[1]["text"].as_str().unwrap();
        let rows = rows(note);
        let name = runner["name"].as_str().unwrap();

        assert_eq!(rows["runner"], format!("`{name}`"));
        let (class, capacity) =
            (runner["class"].as_str().unwrap(), runner["capacity_provider"].as_str().unwrap());
        assert_eq!(rows["class"], format!("`{class}`: 0.5 vCPU, 1024 MiB, {capacity}"));
        let time = |name: &str| rows[name].split([',', ' ']).next().unwrap().parse::<Timestamp>().unwrap();
        let millis = |at: Option<Timestamp>| at.unwrap().as_millisecond();
        assert_eq!(time("requested").as_millisecond(), millis(at(runner, "reserved")));
        let [started, _, _, _, session_made, job_acquired, _] = agent_times(&testbed, runner).steps();
        for (name, recorded) in
            [("booted", started), ("listening", session_made), ("job begun", job_acquired)]
        {
            assert_eq!(time(name).as_millisecond(), millis(recorded), "{name}: {note}");
        }
        let later = |name: &str| rows[name].split(", ").nth(1).unwrap();
        let between = |from: &str, to: &str| time(to).duration_since(time(from)).as_secs_f64();
        assert_eq!(later("booted"), format!("{:.3} s later", between("requested", "booted")));
        assert_eq!(later("job begun"), format!("{:.3} s later", between("listening", "job begun")));

        if has_cgroups() {
            let mib = |name: &str| runner["peaks"][name].as_u64().unwrap() >> 20;
            let words: Vec<_> = rows["memory"].split(' ').collect();
            // The record is a little later than the note.
            let noted: u64 = words[2].parse().unwrap();
            assert!(rows["memory"].starts_with("at most ") && noted <= mib("memory_bytes"), "{note}");
            assert!(rows["CPU"].contains(" s of CPU time, "), "{note}");
            assert_eq!((rows.get("disk"), &runner["peaks"]["disk_bytes"]), (None, &Value::Null));
        } else {
            assert_eq!((rows["used"], &runner["peaks"]), ("not measured", &Value::Null));
        }

        let launched =
            ["starting", "booted", "busy"].into_iter().find_map(|stage| at(runner, stage)).unwrap();
        let words: Vec<&str> = rows["cost here"].split([' ', ',']).collect();
        let until: Timestamp = words[2].parse().unwrap();
        let size = Size::new(512, 1024, None, Arch::X64).unwrap();
        let cost = fargate_usd(size, Market::OnDemand, launched, until);
        assert_eq!((words[0], words.last()), (format!("${cost:.6}").as_str(), Some(&PRICES_AS_OF)), "{note}");
        // A job of seconds costs the minute that is billed at least, here as in the record.
        assert!((cost - runner["cost_usd"].as_f64().unwrap()).abs() < 1e-9, "{runner}");

        let minutes = billed_minutes(until.duration_since(job_acquired.unwrap()));
        assert_eq!(runner["job_minutes"], minutes);
        let hosted = runner["hosted_usd"].as_f64().unwrap();
        assert_eq!(
            rows["on a runner that GitHub hosts"],
            format!(
                "${hosted:.6} for {minutes} min on Linux 2-core, at list prices of {HOSTED_PRICES_AS_OF}"
            )
        );

        assert!(note.ends_with(&format!("`ecsrunner why {name}` in deployment `test`.\n")), "{note}");
        let why = json_of(&server, &["why", name, "--json"]).await;
        assert_eq!(why["job"]["id"], job["id"], "the command that the note names");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn without_the_setting_a_jobs_summary_is_its_own() {
    bounded(async {
        let testbed = Testbed::set_up(setup("")).await;
        let server = testbed.serve().await;
        let job = run(&testbed).await;
        let summaries = job["summaries"].as_array().unwrap();
        assert_eq!((summaries.len(), &summaries[0]["text"]), (1, &json!("by the job itself\n")));
        let steps = job["steps"].as_array().unwrap();
        assert!(steps.iter().all(|step| step["name"] != "Complete runner"), "{steps:?}");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn what_was_not_measured_is_told_so_by_each_command() {
    bounded(async {
        let testbed = Testbed::set_up(setup("")).await;
        let server = testbed.serve().await;
        let job = run(&testbed).await["id"].to_string();
        server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        let told = tell(&server, &["runs", "list", "--peaks"]).await.replace(&job, "[job]");
        if has_cgroups() {
            // Of its disk nothing is known: jobs share a file system.
            let row = told.lines().find(|line| line.starts_with("[job]")).unwrap();
            let cells: Vec<&str> = row.split('\t').collect();
            assert!(cells[..4] == ["[job]", "build", "small", "[span]"] && cells[7] == "—", "{told}");
            assert!(cells[4].ends_with(" vCPU on average") && cells[6].ends_with(" MiB"), "{told}");
        } else {
            insta::assert_snapshot!(told, @r"
            exit code 0
            --- stdout
            [job]	build	small	[span]	—	—	—	—	—
            --- stderr
            ");
        }
        // The classes are in the server's configuration, which its state directory leads to.
        let state = testbed.state().display().to_string();
        let sizes = json_of(&server, &["costs", "--right-size", "--json", "--local", &state]).await;
        assert_eq!(fields(&sizes), "prices_as_of rows rules since");
        let rows = sizes["rows"].as_array().unwrap();
        // One of the repository and one of all together.
        assert_eq!(rows.is_empty(), !has_cgroups(), "{rows:?}");
        assert!(rows.iter().all(|row| row["runs"] == 1 && row["disk_bytes"].is_null()), "{rows:?}");
        assert_eq!(fields(&sizes["rules"]), "cpu_percent disk_percent memory_percent runs throttled_percent");
        let told = tell(&server, &["costs", "--right-size", "--by", "day"]).await;
        assert!(told.starts_with("exit code 2\n") && told.contains("cannot be used with"), "{told}");
        let absent = "ecsr-test-abcdefg234-01arz3ndektsv4rrffq69g5fav";
        let told = tell(&server, &["why", absent]).await;
        let has_none = format!("has no runner `{absent}`");
        assert!(told.starts_with("exit code 4\n") && told.contains(&has_none), "{told}");
    })
    .await;
}
