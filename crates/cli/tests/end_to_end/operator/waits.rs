//! Where the waits of jobs went, as commands tell it of a local server.

use ecsrunner_core::records::wait::Part;
use serde_json::Value;

use super::{CLASSES, fields, json_of, tell};
use crate::testbed::{Setup, Testbed, bounded};

/// The parts of a wait on one machine, where nothing is held back.
fn parts() -> Vec<&'static str> {
    Part::ALL.into_iter().filter(|part| *part != Part::Held).map(Part::as_str).collect()
}

#[tokio::test]
async fn each_part_of_a_wait_is_told_for_one_job_for_many_and_in_percentiles() {
    bounded(async {
        let testbed = Testbed::set_up(Setup { classes: CLASSES, ..Setup::default() }).await;
        let server = testbed.serve().await;
        // Long enough for its start to be reported before its end.
        testbed.github.submit_one(&["self-hosted", "class:small"], 1500).await;
        testbed.github.wait("completed=1").await;
        server.api().until("a job to be done", |api| api.is_done(1)).await;

        let runs = json_of(&server, &["runs", "list", "--json"]).await;
        let wait = &runs["runs"][0]["wait"];
        assert_eq!(fields(wait), "held_by parts total_seconds unknown_seconds warm");
        let seconds = |value: &Value| value.as_f64().unwrap();
        let told: Vec<f64> = parts().iter().map(|part| seconds(&wait["parts"][part])).collect();
        assert_eq!(wait["parts"].as_object().unwrap().len(), told.len(), "{wait}");
        let (sum, total) = (told.iter().sum::<f64>(), seconds(&wait["total_seconds"]));
        assert!((sum - total).abs() < 0.001 && seconds(&wait["unknown_seconds"]) < 0.001, "{wait}");
        assert_eq!((&wait["warm"], &wait["held_by"]), (&Value::Bool(false), &Value::Null));

        let stats = json_of(&server, &["stats", "--json"]).await;
        let group = &stats["groups"][0];
        assert_eq!((fields(&stats).as_str(), stats["groups"].as_array().unwrap().len()), ("groups since", 1));
        assert_eq!(fields(group), "class held_by parts repository total unknown warm");
        assert_eq!(fields(&group["total"]), "jobs p50_seconds p90_seconds p99_seconds");
        assert_eq!(
            (&group["total"]["p50_seconds"], &group["class"]),
            (&wait["total_seconds"], &"small".into())
        );
        assert_eq!(group["parts"]["session"]["p99_seconds"], wait["parts"]["session"]);

        let lines = tell(&server, &["stats"]).await;
        for part in parts() {
            let part = part.replace('_', "-");
            let line = format!("small\tacme/app\tcold\t{part}\t1\t[span]\t[span]\t[span]\n");
            assert!(lines.contains(&line), "{part}: {lines}");
        }
        let other = tell(&server, &["stats", "--class", "large"]).await;
        assert_eq!(other, "exit code 0\n--- stdout\n--- stderr\n");
        let times = tell(&server, &["runs", "list", "--times"]).await;
        assert!(times.contains("\tjob\tcold\t—\t[span]\t"), "{times}");
        let job = runs["runs"][0]["job"].to_string();
        let why = tell(&server, &["why", &job]).await;
        assert!(why.contains("\nIt waited [span] until it started:\n"), "{why}");
        for part in parts() {
            assert!(why.contains(&format!("[span]  {}", part.replace('_', "-"))), "{part}: {why}");
        }
    })
    .await;
}
