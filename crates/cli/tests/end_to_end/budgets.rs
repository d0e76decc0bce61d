//! A budget that is spent, as its operator and those who wait see it.

use serde_json::json;

use crate::operator::{json_of, output};
use crate::testbed::{Setup, Testbed, bounded};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];

#[tokio::test]
async fn a_spent_budget_holds_the_next_job_back_and_everything_says_so() {
    bounded(async {
        // Less than the least that a task costs.
        let top = "budget = { daily_usd = 0.0001, action = \"hold\" }\nself_hosted_fee = 0.002";
        let testbed = Testbed::set_up(Setup { top, ..Setup::default() }).await;
        let server = testbed.serve().await;
        testbed.github.submit_one(&SMALL, 100).await;
        server.api().until("the first job to be done", |api| api.is_done(1)).await;
        let second = testbed.github.submit_one(&SMALL, 100).await;
        let held = |api: &crate::testbed::Listed| api.reason(second) == Some("budget_spent");
        let api = server.api().until("the second job to be held back", held).await;
        let text = api.job(second).unwrap()["reason"]["text"].as_str().unwrap().to_owned();
        assert!(
            text.starts_with("a budget is spent: $0.0")
                && text.contains(" of $0.0001 a day for the deployment"),
            "{text}"
        );

        let costs = json_of(&server, &["costs", "--json"]).await;
        let budget = &costs["budgets"][0];
        assert_eq!(
            (&budget["of"], &budget["period"], &budget["is_spent"]),
            (&json!("deployment"), &json!("day"), &json!(true))
        );
        let (spent, total) =
            (budget["spent_usd"].as_f64().unwrap(), costs["total"]["cost_usd"].as_f64().unwrap());
        assert!((spent - total).abs() < 1e-6, "the sums are those of the records: {costs}");
        assert_eq!(costs["self_hosted_fee_usd"], json!(0.002));
        let free = json_of(&server, &["costs", "--self-hosted-fee", "0", "--json"]).await;
        assert_eq!((&free["self_hosted_fee_usd"], &free["total"]["fee_usd"]), (&json!(0.0), &json!(0.0)));
        assert!(costs["total"]["fee_usd"].as_f64().unwrap() >= 0.002, "{costs}");

        let doctor = json_of(&server, &["doctor", "--json"]).await;
        let found = |check: &&serde_json::Value| check["name"] == "budgets";
        let check = doctor["checks"].as_array().unwrap().iter().find(found).unwrap().clone();
        assert_eq!(check["state"], "warning", "{check}");
        assert!(check["found"].as_str().unwrap().contains("nothing is launched until"), "{check}");
        let why = output(&server, &["why", &second.to_string()]).await;
        let why = String::from_utf8(why.stdout).unwrap();
        assert!(why.contains("a budget is spent") && why.contains("raise the budget"), "{why}");
    })
    .await;
}
