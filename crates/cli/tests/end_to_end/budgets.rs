//! A budget that is spent, as its operator and those who wait see it.

use serde_json::json;

use crate::operator::{json_of, output};
use crate::testbed::{Setup, Testbed, bounded};

const SMALL: [&str; 2] = ["self-hosted", "class:small"];

#[tokio::test]
async fn the_budget_of_a_class_is_listed_with_what_was_spent_of_it() {
    bounded(async {
        let classes = "[classes.small]\ncpu = 512\nmemory = 1024\nbudget = { daily_usd = 5, monthly_usd = 80.5, action = \"hold\" }\n\
                       [classes.large]\ncpu = 4096\nmemory = 8192\n";
        // That of the deployment is none of a class.
        let top = "budget = { daily_usd = 100 }";
        let testbed = Testbed::set_up(Setup { top, classes, ..Setup::default() }).await;
        let server = testbed.serve().await;
        testbed.github.submit_one(&SMALL, 100).await;
        server.api().until("the runner to be gone", |api| api.runners_in("gone").len() == 1).await;
        let told = output(&server, &["classes", "list"]).await;
        let told = String::from_utf8(told.stdout).unwrap();
        let cells: Vec<_> = told.lines().map(|line| line.rsplit('\t').next().unwrap()).collect();
        assert_eq!(cells, ["—", "$5.00 a day, $80.50 a month: hold"], "{told}");
        let listed = json_of(&server, &["classes", "list", "--json"]).await;
        let expected = json!({"daily_usd": 5.0, "monthly_usd": 80.5, "action": "hold"});
        assert_eq!((&listed["classes"][0]["budget"], &listed["classes"][1]["budget"]), (&json!(null), &expected));
        let cost = &server.api().listed().await.runners[0]["cost_usd"];
        let budgets = listed["budgets"].as_array().unwrap();
        for (budget, (period, limit)) in budgets.iter().zip([("day", 5.0), ("month", 80.5)]) {
            assert_eq!((&budget["of"], &budget["name"]), (&json!("class"), &json!("small")), "{listed}");
            assert_eq!((&budget["period"], &budget["limit_usd"]), (&json!(period), &json!(limit)));
            let difference = budget["spent_usd"].as_f64().unwrap() - cost.as_f64().unwrap();
            assert!(difference.abs() < 1e-6, "{budget} {cost}");
        }
        assert_eq!(budgets.len(), 2, "{listed}");
    })
    .await;
}

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
