//! The memory of a job as a whole, on a machine that gives tasks cgroups of their own.

use ecsrunner_agent::cgroups::TaskCgroup;
use serde_json::{Value, json};

use crate::operator::json_of;
use crate::testbed::processes::needs_cgroups;
use crate::testbed::{REPOSITORY, Server, Setup, Testbed, bounded, job_ids, until};

const CLASSES: &str = "[classes.small]\ncpu = 256\nmemory = 512\n";

/// Six processes of 150 MB each. Each one alone would fit.
const GREEDY: &str = "for i in 1 2 3 4 5 6; do perl -e '$x = q(x) x 150_000_000; sleep 3' & done; \
                      killed=0; for pid in $(jobs -p); do wait $pid || killed=$((killed + 1)); done; \
                      echo killed=$killed";

async fn start(classes: &'static str) -> (Testbed, Server) {
    let listener = &[("ECSRUNNER_SIM_EXECUTOR", "steps")];
    let testbed = Testbed::set_up(Setup { listener, classes, ..Setup::default() }).await;
    let server = testbed.serve().await;
    (testbed, server)
}

/// Submits a job of one step, and returns its id.
async fn submit(testbed: &Testbed, script: &str) -> u64 {
    let text = format!(
        "on: push\njobs:\n  build:\n    runs-on: [self-hosted, 'class:small']\n    steps:\n      - run: |\n          {script}\n"
    );
    let body = json!({"repository": REPOSITORY, "file": ".github/workflows/ci.yml", "text": text});
    job_ids(&testbed.github.submit_workflow(&body).await)[0]
}

#[tokio::test]
async fn processes_of_a_job_have_no_more_memory_together_than_its_class_and_it_is_told_so() {
    if !needs_cgroups() {
        return;
    }
    bounded(async {
        let (testbed, server) = start(CLASSES).await;
        let job = submit(&testbed, &format!("{GREEDY}; exit $killed")).await;
        assert_eq!(testbed.github.wait_for(job, "completed").await["conclusion"], "failure");
        let log = testbed.github.log(job).await;
        let killed = log.lines().find_map(|line| line.split("killed=").nth(1)?.trim().parse::<u64>().ok());
        assert!(killed.is_some_and(|killed| (1..6).contains(&killed)), "{log}");
        let api = server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        let peaks = &api.runners[0]["peaks"];
        assert_eq!(peaks["oom_kills"], json!(killed), "{peaks}");
        assert!(peaks["memory_bytes"].as_u64().is_some_and(|bytes| bytes <= 512 << 20), "{peaks}");
        let why = json_of(&server, &["why", &job.to_string(), "--json"]).await;
        assert!(why.to_string().contains("out_of_memory"), "{why}");
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_is_lost_with_its_memory_used_up_is_recorded_so_also_by_the_next_server() {
    if !needs_cgroups() {
        return;
    }
    for is_killed in [false, true] {
        bounded(async {
            let (testbed, server) = start(CLASSES).await;
            let job = submit(&testbed, &format!("{GREEDY}; sleep 987654")).await;
            let tasks = testbed.state().join("tasks");
            let api = server.api().until("the job to run", |api| api.runners_in("busy").len() == 1).await;
            let cgroup = TaskCgroup::of(&tasks.join(api.runners[0]["task"].as_str().unwrap()));
            until("the kernel to kill a process", || cgroup.memory_kills().unwrap() > 0).await;
            let server = if is_killed {
                server.kill().await;
                testbed.kill_agents();
                testbed.serve().await
            } else {
                testbed.kill_agents();
                server
            };
            assert_eq!(testbed.github.wait_for(job, "completed").await["conclusion"], "failure");
            let api =
                server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
            let reason = &api.runners[0]["reason"];
            assert_eq!(reason["code"], "out_of_memory", "{reason}");
            let text = reason["text"].as_str().unwrap();
            assert!(text.contains("class `small` has 512 MiB: OutOfMemoryError: "), "{text}");
            testbed.ends_with_nothing_left(server).await;
        })
        .await;
    }
}

#[tokio::test]
async fn without_a_limit_of_memory_a_job_has_what_the_machine_has() {
    if !needs_cgroups() {
        return;
    }
    bounded(async {
        let classes = "[classes.small]\ncpu = 256\nmemory = 512\n[runner.tasks]\nlimit_memory = false\n";
        let (testbed, server) = start(classes).await;
        let job = submit(&testbed, &format!("{GREEDY}; exit $killed")).await;
        assert_eq!(testbed.github.wait_for(job, "completed").await["conclusion"], "success");
        let api = server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        assert_eq!(api.runners[0]["peaks"]["oom_kills"], Value::from(0));
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
