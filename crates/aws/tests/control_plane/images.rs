use ecsrunner_aws::images::Builds;
use ecsrunner_aws::parameters::ImageFacts;
use ecsrunner_core::records::image::{BuildReason, Built, Ordered, Recipe};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::image::RunnerVersion;
use ecsrunner_engine::ports::images::{BuildState, ImageError};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::aws::Aws;

const ID: &str = "ecsrunner-ci-image-x64:0123";

fn facts() -> ImageFacts {
    ImageFacts {
        is_built: true,
        repository: Some("ecsrunner-ci-runner".to_owned()),
        projects: [(Arch::X64, "ecsrunner-ci-image-x64".to_owned())].into(),
        sources: "abc".to_owned(),
        tag: "1".to_owned(),
        runner_version: None,
        is_plain: true,
    }
}

fn recipe(runner: Option<&str>) -> Recipe {
    let runner = runner.map(|text| RunnerVersion::parse(text).unwrap());
    Recipe { sources: "abc".to_owned(), tag: "1".to_owned(), runner }
}

fn ordered(runner: Option<&str>) -> Ordered {
    Ordered {
        number: 3,
        of: recipe(runner),
        tag: "1-abc-2.337.0-3".to_owned(),
        reason: BuildReason::Missing,
        at: Timestamp::UNIX_EPOCH,
        before: None,
    }
}

fn built() -> Built {
    Built {
        of: recipe(None),
        tag: "1-abc-2.337.0-3".to_owned(),
        digest: "sha256:00aa".to_owned(),
        runner: None,
        since: Timestamp::UNIX_EPOCH,
        sound_at: Some(Timestamp::UNIX_EPOCH),
        failed: Vec::new(),
        refused: false,
        failures_before: 0,
        outdated_since: None,
    }
}

async fn builds(aws: &Aws) -> Builds {
    Builds::new(&aws.connection().await, facts())
}

async fn state(build: Value) -> BuildState {
    let aws = Aws::answering([(200, json!({"builds": [build]}))]);
    builds(&aws).await.state(ID).await.unwrap()
}

#[tokio::test]
async fn a_build_is_started_once_with_its_runner_and_its_tag() {
    let aws = Aws::answering([(200, json!({"build": {"id": ID}}))]);
    assert_eq!(builds(&aws).await.start(Arch::X64, &ordered(Some("2.337.0"))).await.unwrap(), ID);
    let request = json!({
        "projectName": "ecsrunner-ci-image-x64",
        "idempotencyToken": "ecsrunner-ci-image-x64-3",
        "environmentVariablesOverride": [
            {"name": "RUNNER_VERSION", "value": "2.337.0"},
            {"name": "IMAGE_TAG", "value": "1-abc-2.337.0-3"},
        ],
    });
    assert_eq!(aws.requests(), [("StartBuild".to_owned(), request)]);
    let aws = Aws::answering([(200, json!({"build": {"id": ID}}))]);
    builds(&aws).await.start(Arch::X64, &ordered(None)).await.unwrap();
    assert_eq!(aws.requests()[0].1["environmentVariablesOverride"][0]["value"], "latest");
}

#[tokio::test]
async fn a_refusal_is_told_in_codebuilds_words_and_a_passing_fault_may_be_tried_again() {
    let words = "Cannot have more than 0 builds in queue for the account";
    let refusal = json!({"__type": "AccountLimitExceededException", "message": words});
    let error = builds(&Aws::answering([(400, refusal)])).await.start(Arch::X64, &ordered(None)).await;
    assert!(matches!(&error, Err(ImageError::Refused { message }) if message.contains(words)), "{error:?}");
    let throttled = (400, json!({"__type": "ThrottlingException", "message": "slow down"}));
    let aws = Aws::answering([throttled.clone(), throttled.clone(), throttled]);
    let error = builds(&aws).await.start(Arch::X64, &ordered(None)).await;
    assert!(matches!(error, Err(ImageError::Unanswered { .. })), "{error:?}");
    let error = builds(&Aws::answering([])).await.start(Arch::Arm64, &ordered(None)).await;
    assert!(
        matches!(&error, Err(ImageError::Refused { message }) if message.contains("no project for arm64"))
    );
}

#[tokio::test]
async fn a_builds_state_is_read_with_what_it_exports_or_why_it_failed() {
    assert_eq!(state(json!({"id": ID, "buildStatus": "IN_PROGRESS"})).await, BuildState::Underway);
    let exported = json!([
        {"name": "IMAGE_DIGEST", "value": "sha256:00aa"},
        {"name": "RUNNER_VERSION", "value": "2.337.0"},
    ]);
    let pushed =
        state(json!({"id": ID, "buildStatus": "SUCCEEDED", "exportedEnvironmentVariables": exported}));
    let runner = Some(RunnerVersion::parse("2.337.0").unwrap());
    assert_eq!(pushed.await, BuildState::Pushed { digest: "sha256:00aa".to_owned(), runner });
    let silent = state(json!({"id": ID, "buildStatus": "SUCCEEDED"})).await;
    assert!(
        matches!(&silent, BuildState::Failed { words, .. } if words.contains("exported no IMAGE_DIGEST"))
    );
    let failed = state(json!({
        "id": ID, "buildStatus": "FAILED", "logs": {"deepLink": "https://console.example/log"},
        "phases": [{"phaseType": "BUILD", "contexts": [{"message": "exit status 1"}]}],
    }));
    let expected = BuildState::Failed {
        words: "exit status 1".to_owned(),
        log: Some("https://console.example/log".to_owned()),
    };
    assert_eq!(failed.await, expected);
    let gone = builds(&Aws::answering([(200, json!({"builds": [], "buildsNotFound": [ID]}))])).await;
    assert!(matches!(gone.state(ID).await.unwrap(), BuildState::Failed { .. }));
}

#[tokio::test]
async fn the_current_tag_is_moved_to_the_image_and_again_changes_nothing() {
    let manifest = json!({"images": [{"imageManifest": "{}", "imageManifestMediaType": "application/x"}]});
    let aws = Aws::answering([(200, manifest.clone()), (200, json!({"image": {}}))]);
    builds(&aws).await.promote(Arch::X64, &built()).await.unwrap();
    let requests = aws.requests();
    assert_eq!(requests[0].1["imageIds"], json!([{"imageDigest": "sha256:00aa"}]));
    let put = json!({
        "repositoryName": "ecsrunner-ci-runner", "imageManifest": "{}",
        "imageManifestMediaType": "application/x", "imageTag": "current-x64",
    });
    assert_eq!(requests[1], ("PutImage".to_owned(), put));
    let known = json!({"__type": "ImageAlreadyExistsException", "message": "it names it"});
    builds(&Aws::answering([(200, manifest), (400, known)]))
        .await
        .promote(Arch::X64, &built())
        .await
        .unwrap();
    let gone =
        builds(&Aws::answering([(200, json!({"images": []}))])).await.promote(Arch::X64, &built()).await;
    assert!(matches!(&gone, Err(ImageError::Refused { message }) if message.contains("has no image")));
}
