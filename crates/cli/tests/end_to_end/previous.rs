//! The present server starts on a state directory of the previous version
//! (`fixtures/previous`).

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ecsrunner_fixtures::state;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::isolation::is_root;
use crate::testbed::{REPOSITORY, Setup, Testbed, bounded, names};

/// A process in place of an agent that the previous server started.
struct OldAgent {
    dir: PathBuf,
    child: Child,
}

impl OldAgent {
    /// Makes a task look alive: the process holds the lock of one file, and its id is in another.
    fn revive(dir: &Path) -> Self {
        let alive = File::options().write(true).open(dir.join("alive")).unwrap();
        alive.try_lock().unwrap();
        // The lock belongs to the open file, which only the child keeps open from here on.
        let child = Command::new("sleep").arg("600").stdin(alive).kill_on_drop(true).spawn().unwrap();
        fs::write(dir.join("claim"), child.id().unwrap().to_string()).unwrap();
        Self { dir: dir.to_owned(), child }
    }

    /// Ends with an exit code.
    async fn end(mut self, code: u8) {
        fs::write(self.dir.join("exit"), code.to_string()).unwrap();
        self.child.kill().await.unwrap();
    }
}

fn description(task: &Path) -> Value {
    serde_json::from_slice(&fs::read(task.join("task.json")).unwrap()).unwrap()
}

/// The tasks that had not ended, in the order of their runners' users.
fn running_tasks(testbed: &Testbed) -> Vec<PathBuf> {
    let tasks = fs::read_dir(testbed.state().join("tasks")).unwrap();
    let mut running: Vec<PathBuf> = tasks.map(|task| task.unwrap().path()).collect();
    running.retain(|task| !task.join("exit").exists());
    running.sort_by_key(|task| description(task)["uid"].as_u64());
    running
}

/// Owner, group and mode.
fn access(path: &Path) -> (u32, u32, String) {
    let metadata = path.metadata().unwrap();
    (metadata.uid(), metadata.gid(), format!("{:o}", metadata.mode() & 0o7777))
}

/// Makes the fake GitHub know the repository, and fail requests about its runs.
async fn know_repository(testbed: &Testbed) {
    let url = format!("{}/_sim/repositories", testbed.github_url());
    let repository = json!({"name": REPOSITORY, "private": true, "fork": false});
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(url).json(&repository).send().await.unwrap().error_for_status().unwrap();
    let unanswered = json!({"method": "GET", "path_end": "/actions/runs", "status": 500});
    testbed.github.faults(json!({"rest": [unanswered]})).await;
}

/// Returns GitHub's webhook for the end of a job of the previous version.
fn completed(job: &Value) -> Vec<u8> {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "action": "completed",
        "workflow_job": {"id": job["id"], "run_id": job["run_id"], "run_attempt": job["attempt"],
            "name": job["name"], "workflow_name": job["workflow"], "labels": job["labels"],
            "status": "completed", "conclusion": "success", "created_at": job["created_at"],
            "started_at": now, "completed_at": now, "runner_id": 22, "runner_name": job["runner"]},
        "repository": {"id": 1, "full_name": REPOSITORY, "private": true},
    })
    .to_string()
    .into_bytes()
}

#[tokio::test]
async fn a_server_goes_on_with_the_state_directory_of_the_version_before() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup { limits: "max_runners = 4", ..Setup::default() }).await;
        state::lay_out(&testbed.state(), Timestamp::now()).unwrap();
        let [adopted, lost] = <[PathBuf; 2]>::try_from(running_tasks(&testbed)).unwrap();
        let agent = OldAgent::revive(&adopted);
        let runner = description(&adopted)["runner"].clone();
        let lost_runner = description(&lost)["runner"].clone();
        know_repository(&testbed).await;
        let server = testbed.serve().await;

        let listed = server
            .api()
            .until("the lost runner to be gone and launches to be paused", |api| {
                api.runners_in("gone").iter().any(|gone| gone["name"] == lost_runner)
                    && api.jobs_in("queued").iter().all(|job| job["reason"]["code"] == "paused")
            })
            .await;
        // History is listed, and open jobs are unchanged.
        assert_eq!(names(listed.jobs_in("completed"), "conclusion"), ["success"]);
        assert_eq!(listed.jobs_in("refused")[0]["reason"]["code"], "class_unknown");
        assert_eq!((listed.jobs.len(), listed.jobs_in("queued").len()), (5, 1), "{:#?}", listed.jobs);
        assert_eq!(listed.runners.len(), 3, "{:#?}", listed.runners);
        let gone = listed.runners.iter().find(|gone| gone["name"] == lost_runner).unwrap();
        assert_eq!(gone["ending"], "agent_crashed");
        assert_eq!(names(listed.runners_in("busy"), "name"), [runner.as_str().unwrap()]);
        let log = fs::read_to_string(testbed.path("server.log")).unwrap();
        assert_eq!(log.matches("adopted task").count(), 1);

        let job = listed.jobs.iter().find(|job| job["runner"] == runner).unwrap();
        assert_eq!(server.deliver("workflow_job", completed(job)).await.0, 202);
        agent.end(0).await;
        let listed = server
            .api()
            .until("the adopted runner to be gone", |api| api.runners_in("gone").len() == 3)
            .await;
        let gone = listed.runners.iter().find(|gone| gone["name"] == runner).unwrap();
        assert_eq!((&gone["ending"], &gone["job"]), (&json!("completed"), &job["id"]));
        let job = listed.job(job["id"].as_u64().unwrap()).unwrap();
        assert_eq!((&job["state"], &job["conclusion"]), (&json!("completed"), &json!("success")));
        server.terminate().await;
    })
    .await;
}

#[tokio::test]
async fn a_server_closes_what_the_version_before_left_open_to_other_runners() {
    if !is_root() {
        return;
    }
    bounded(async {
        let testbed = Testbed::set_up(Setup::default()).await;
        state::lay_out(&testbed.state(), Timestamp::now()).unwrap();
        let adopted = running_tasks(&testbed).remove(0);
        let uid = u32::try_from(description(&adopted)["uid"].as_u64().unwrap()).unwrap();
        assert_eq!(access(&adopted), (0, 0, "755".to_owned()), "the fixture is as it was left");
        let agent = OldAgent::revive(&adopted);
        let server = testbed.serve().await;

        for dir in ["", "tasks"] {
            assert_eq!(access(&testbed.state().join(dir)), (0, 0, "755".to_owned()), "{dir}");
        }
        assert_eq!(access(&adopted), (0, uid, "750".to_owned()));
        assert_eq!(access(&adopted.join("agent")), (0, uid, "750".to_owned()));
        assert_eq!(access(&adopted.join("runner")), (uid, uid, "700".to_owned()));
        for file in ["agent.log", "task.json", "alive", "claim"] {
            assert_eq!(access(&adopted.join(file)), (0, 0, "600".to_owned()), "{file}");
        }
        server.terminate().await;
        agent.end(0).await;
    })
    .await;
}
