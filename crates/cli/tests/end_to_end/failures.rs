//! Jobs that cannot be served fail visibly, with a sentence in their log.

use serde_json::json;

use crate::testbed::{REPOSITORY, Setup, Testbed, bounded, job_ids};

const WORKFLOW: &str = "
on: push
jobs:
  build:
    runs-on: [self-hosted, 'class:huge']
    steps:
      - run: echo a step ran > \"$TOUCHED\"
";

#[tokio::test]
async fn a_job_of_an_unknown_class_is_failed_by_one_runner_and_its_log_says_why() {
    bounded(async {
        let top = "fail_after_minutes = 0";
        let listener = &[("ECSRUNNER_SIM_EXECUTOR", "steps")];
        let testbed = Testbed::set_up(Setup { top, listener, ..Setup::default() }).await;
        let server = testbed.serve().await;
        let workflow =
            json!({"repository": REPOSITORY, "file": ".github/workflows/ci.yml", "text": WORKFLOW});
        let job = job_ids(&testbed.github.submit_workflow(&workflow).await)[0];
        let failed = |api: &crate::testbed::Listed| {
            api.job(job).is_some_and(|job| job["conclusion"] == "failure")
                && api.runners_in("gone").len() == 1
        };
        let api = server.api().until("the job to fail", failed).await;
        let told = api.job(job).unwrap();
        let text = "runner class `huge` does not exist: the catalogue has large, small";
        assert_eq!((&told["state"], &told["reason"]["text"]), (&json!("refused"), &json!(text)));
        assert_eq!(told["runner"], api.runners[0]["name"]);
        let log = testbed.github.log(job).await;
        let sentence = format!("ecsrunner refuses this job: {text}. `ecsrunner why {job}` says more.");
        assert!(log.contains(&sentence), "{log}");
        assert!(!log.contains("a step ran"), "{log}");
        let seen = testbed.github.wait_for(job, "completed").await;
        let summary = json!([{"step": "Set up runner", "text": format!("~~~text\n{sentence}\n~~~\n")}]);
        assert_eq!(seen["summaries"], summary);
        testbed.ends_with_nothing_left(server).await;
    })
    .await;
}
