//! The page of `ecsrunner ui` over the deployment in ministack.

use std::process::Stdio;

use ecsrunner_core::wire::exit::AgentExit;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::aws::SSM;
use crate::chain::Chain;
use crate::deployment::DEPLOYMENT;
use crate::operator::{BRAKE, command, log};

/// A running `ecsrunner ui`, and a client with its token.
struct Page {
    process: Child,
    origin: String,
    token: String,
    client: Client,
}

impl Page {
    async fn open(chain: &Chain) -> Self {
        let mut process = command(chain)
            .args(["ui", "--no-browser", "--deployment", DEPLOYMENT])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).await.unwrap();
        let (origin, token) = address.trim().split_once("/#token=").unwrap();
        chain.keep_secret("the token of the page", token);
        let client = Client::builder().no_proxy().build().unwrap();
        Self { process, origin: origin.to_owned(), token: token.to_owned(), client }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, String) {
        let url = format!("{}/api/v1/{path}", self.origin);
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, text) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, text) = self.ask(Method::POST, path, Some(body)).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Ends the command as Ctrl-C does.
    async fn end(mut self) {
        let id = self.process.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        assert!(self.process.wait().await.unwrap().success(), "Ctrl-C is no failure");
    }
}

/// The stream of changes that the page follows.
struct Changes {
    answer: reqwest::Response,
    told: String,
}

impl Changes {
    async fn of(page: &Page) -> Self {
        let url = format!("{}/api/v1/events", page.origin);
        let answer = page.client.get(url).bearer_auth(&page.token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut changes = Self { answer, told: String::new() };
        changes.until(r#""polled":true"#).await;
        changes
    }

    /// Reads until a text was told.
    async fn until(&mut self, text: &str) {
        let told = &mut self.told;
        let answer = &mut self.answer;
        let read = async {
            while !told.contains(text) {
                let chunk = answer.chunk().await.unwrap().expect("the stream goes on");
                told.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        let in_time = tokio::time::timeout(crate::LIMIT, read).await;
        assert!(in_time.is_ok(), "`{text}` is not in {}", self.told);
    }
}

pub(crate) async fn the_page_follows_a_job_and_acts_for_its_operator(chain: &Chain) {
    let page = Page::open(chain).await;
    let status = page.get("status").await;
    assert_eq!((&status["deployment"], &status["kind"]), (&json!(DEPLOYMENT), &json!("aws")), "{status}");
    let mut changes = Changes::of(&page).await;

    let queued = chain.github.queue_job().await;
    let job = queued.job.get();
    changes.until(&format!(r#""job":{{"id":{job},"#)).await;
    let task = chain.task().await;
    let runner = chain.boot(&task).await;
    runner.begin(chain).await;
    changes.until(r#""state":"in_progress""#).await;
    let shown = page.get(&format!("jobs/{job}")).await;
    assert_eq!((&shown["state"], &shown["runner"]), (&json!("in_progress"), &json!(runner.name)), "{shown}");

    // A busy runner is left alone, and the operator is told.
    let left_alone = page.post(&format!("runners/{}/stop", runner.name), json!({"force": false})).await;
    let message = format!("The runner runs job {job} and was not stopped.");
    assert_eq!((&left_alone["outcome"], &left_alone["message"]), (&json!("ignored"), &json!(message)));

    let (status, text) = page.ask(Method::GET, &format!("jobs/{job}/log"), None).await;
    assert_eq!(status, 404, "nothing is logged yet: {text}");
    log(chain, &task.id, &["the agent begins", "the job begins"]).await;
    let (status, text) = page.ask(Method::GET, &format!("jobs/{job}/log"), None).await;
    assert_eq!((status.as_u16(), text.as_str()), (200, "the agent begins\nthe job begins\n"));

    let brake = async || {
        let parameter = chain.aws.call(SSM, "GetParameter", json!({"Name": BRAKE})).await;
        parameter["Parameter"]["Value"].as_str().unwrap().to_owned()
    };
    assert_eq!(page.post("pause", json!({"paused": true})).await, json!({"paused": true}));
    assert_eq!((brake().await, &page.get("status").await["paused"]), ("true".to_owned(), &json!(true)));
    assert_eq!(page.post("pause", json!({"paused": false})).await, json!({"paused": false}));
    assert_eq!((brake().await, &page.get("status").await["paused"]), ("false".to_owned(), &json!(false)));

    runner.complete().await;
    chain.exit(&runner.task, AgentExit::Completed);
    changes.until(r#""conclusion":"success""#).await;
    chain.at_rest().await;
    changes.until(&format!(r#""name":"{}""#, runner.name)).await;
    let costs = page.get("costs").await;
    assert!(costs["total"]["jobs"].as_u64() > Some(0), "{costs}");
    assert_eq!(page.get("deployment").await["holds"], json!([]));
    page.end().await;
}
