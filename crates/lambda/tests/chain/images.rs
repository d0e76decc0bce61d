//! The life of the runners' own image: GitHub's image at first, a build that is tried and named, and one that fails.

use std::time::{Duration, Instant};

use ecsrunner_core::decide::sweep::SweepProgress;
use ecsrunner_engine::ports::store::Progress;
use serde_json::{Value, json};

use crate::aws::SSM;
use crate::builds::{Build, End};
use crate::chain::Chain;
use crate::deployment::{DEPLOYMENT, FAMILIES, FUNCTION, IMAGE_FAMILIES, PROJECT};
use crate::life;
use crate::operator;
use crate::within;

/// Parameters are read again after up to 25 seconds, and builds looked at every 20.
const LIMIT: Duration = Duration::from_secs(120);
/// The pause between two sweeps.
const SWEEPS: Duration = Duration::from_millis(500);

pub(crate) async fn the_runners_image_is_built_tried_and_named(chain: &Chain) {
    set_image(chain, "1").await;
    let build = built(chain, 1).await;
    assert_eq!(build.project, PROJECT);
    // The fake GitHub names no release of its runner.
    assert_eq!((build.variables["RUNNER_VERSION"].as_str(), build.variables.len()), ("latest", 2));
    assert_eq!(build.variables["IMAGE_TAG"], "1-5e8a-latest-1");

    // No job waits for it.
    let [official, next] = IMAGE_FAMILIES;
    let environment = job_in(chain, official).await;
    let url = environment["ECSRUNNER_AGENT_URL"].as_str().unwrap();
    assert!(url.contains("/agent/x64/ecsrunner-agent?versionId=v1&"), "{url}");

    chain.builds.end(End::Pushed { digest: "sha256:01".to_owned(), runner: "2.337.0".to_owned() });
    swept(chain, "an image to try", async || {
        let open = chain.open().await;
        open.images.values().any(|image| image.next.is_some()).then_some(())
    })
    .await;
    assert_eq!(chain.builds.named("current-x64"), None, "it has not started a runner yet");
    job_in(chain, next).await;
    swept(chain, "a named image", async || chain.builds.named("current-x64")).await;
    assert_eq!(chain.builds.named("current-x64").as_deref(), Some("sha256:01"));
    swept(chain, "a record of the named image", async || {
        chain.open().await.images.values().any(|image| image.current.is_some()).then_some(())
    })
    .await;
    let environment = job_in(chain, FAMILIES[0]).await;
    assert_eq!(environment.get("ECSRUNNER_AGENT_URL"), None);
    let name = environment["ECSRUNNER_RUNNER"].as_str().unwrap();
    let details = operator::document(chain, &["runners", "details", name]).await;
    assert_eq!(details["runner_version"], "2.337.0", "{details}");
    assert_eq!(chain.builds.builds().len(), 1, "one build is enough");
}

pub(crate) async fn a_build_that_fails_is_shown_and_runners_start_from_the_image_before(chain: &Chain) {
    set_image(chain, "2").await;
    let build = built(chain, 2).await;
    assert_eq!(build.variables["IMAGE_TAG"], "2-5e8a-latest-2");
    chain.builds.end(End::Failed { words: "no space left on device".to_owned() });
    let check = swept(chain, "a failed build in `doctor`", async || {
        operator::checks(chain).await.into_iter().find(|check| check["name"] == "image build")
    })
    .await;
    assert_eq!(check["state"], "warning", "{check}");
    let found = check["found"].as_str().unwrap();
    assert!(found.contains("no space left on device; its log: https://console.example/log"), "{found}");
    job_in(chain, FAMILIES[0]).await;
    assert_eq!(chain.builds.named("current-x64").as_deref(), Some("sha256:01"));
    assert_eq!(chain.builds.builds().len(), 2, "the next one waits");
}

/// Has the image built by the control plane, with this tag. It reads its parameters again within 25 seconds.
async fn set_image(chain: &Chain, tag: &str) {
    let name = format!("/ecsrunner/{DEPLOYMENT}/deployment");
    let stored = chain.aws.call(SSM, "GetParameter", json!({"Name": name})).await;
    let mut deployment: Value = serde_json::from_str(stored["Parameter"]["Value"].as_str().unwrap()).unwrap();
    let [official, next] = IMAGE_FAMILIES;
    deployment["task_definitions"]["official/x64"] = json!(format!("{official}:1"));
    deployment["task_definitions"]["next/x64"] = json!(format!("{next}:1"));
    deployment["agents"] =
        json!({"x64": {"bucket": "agents", "key": "agent/x64/ecsrunner-agent", "version": "v1"}});
    deployment["image"] = json!({
        "builder": "codebuild", "repository": "ecsrunner-chain-runner", "projects": {"x64": PROJECT},
        "sources": "5e8a", "tag": tag, "runner_version": null, "plain": true,
    });
    let input = json!({"Name": name, "Type": "String", "Overwrite": true, "Value": deployment.to_string()});
    chain.aws.call(SSM, "PutParameter", input).await;
    // ECS Exec would need more task definitions.
    let classes = json!({"Name": format!("/ecsrunner/{DEPLOYMENT}/classes"), "Type": "String", "Overwrite": true,
        "Value": json!({"small": {"cpu": 512, "memory": 1024}}).to_string()});
    chain.aws.call(SSM, "PutParameter", classes).await;
}

/// Waits for a build, and returns it.
async fn built(chain: &Chain, number: usize) -> Build {
    swept(chain, "a build", async || chain.builds.builds().into_iter().nth(number - 1)).await
}

/// Sweeps until `look` returns a value. Each sweep is due, as if minutes had passed since the last one. Shows the records
/// of images before it gives up.
async fn swept<T>(chain: &Chain, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    within(LIMIT, what, async || {
        let progress = SweepProgress { began_at: None, ..chain.store.progress().await.unwrap() };
        chain.store.keep_progress(&progress).await.unwrap();
        let swept = chain.aws.invoke(FUNCTION, &json!({"sweep": {}})).await;
        assert!(swept.is_ok(), "{swept:?}");
        let found = look().await;
        if found.is_none() {
            tokio::time::sleep(SWEEPS).await;
            if begun.elapsed() + 4 * SWEEPS > LIMIT {
                eprintln!("waiting for {what}: {:?}", chain.open().await.images);
            }
        }
        found
    })
    .await
}

/// Executes a job, whose task has to be of this family. Returns the task's environment.
async fn job_in(chain: &Chain, family: &str) -> Value {
    let queued = chain.github.queue_job().await;
    let task = chain.task().await;
    let definition = &task.task_definition;
    assert!(definition.ends_with(&format!("{family}:1")), "{definition} is not {family}");
    let runner = chain.boot(&task).await;
    life::live_to_the_end(chain, &runner, queued).await;
    json!(task.environment)
}
