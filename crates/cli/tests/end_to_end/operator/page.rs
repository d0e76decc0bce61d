//! `ecsrunner ui` on a local server, and what its page shares with `costs`.

use serde_json::json;

use super::{after_two_jobs, json_of, output, tell};
use crate::testbed::bounded;

#[tokio::test]
async fn the_page_of_a_local_server_is_its_own_and_its_address_has_the_token() {
    bounded(async {
        let (_scene, server) = after_two_jobs().await;
        let page = output(&server, &["ui", "--no-browser"]).await;
        let [_, (_, token)] = server.variables();
        let expected = format!("{}/#token={token}\n", server.url(""));
        assert_eq!(String::from_utf8(page.stdout).unwrap(), expected);
        let job = output(&server, &["ui", "7", "--no-browser"]).await;
        let expected = format!("{}/?job=7#token={token}\n", server.url(""));
        assert_eq!(String::from_utf8(job.stdout).unwrap(), expected);
        insta::assert_snapshot!(tell(&server, &["ui", "8", "--no-browser"]).await, @r"
        exit code 4
        --- stdout
        --- stderr
        error: the local server at [server] has no record of job 8

        hint: run `ecsrunner why` with the job's URL to ask GitHub, or `ecsrunner deliveries list` to see lost webhooks: no webhook of the job was recorded in 90 days
        ");
        let costs = json_of(&server, &["costs", "--by", "class", "--self-hosted-fee", "0.002", "--json"]).await;
        let row = &costs["rows"][0];
        let saved = row["hosted_usd"].as_f64().unwrap() - row["cost_usd"].as_f64().unwrap() - 0.002;
        assert_eq!((&row["compared_jobs"], &row["hosted_usd"]), (&json!(1), &json!(0.006)), "{costs}");
        assert!((row["saved_usd"].as_f64().unwrap() - saved).abs() < 1e-9, "{costs}");
        let wrong = output(&server, &["costs", "--self-hosted-fee", "free"]).await;
        assert_eq!(wrong.status.code(), Some(2));
        assert!(String::from_utf8(wrong.stderr).unwrap().contains("expected dollars such as 0.002"));
    })
    .await;
}
