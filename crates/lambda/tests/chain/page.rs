//! The page of `ecsrunner ui` over the deployment in ministack.

use std::process::Stdio;

use ecsrunner_core::wire::exit::AgentExit;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::LIMIT;
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
    /// The text that does not end an event yet.
    rest: String,
}

impl Changes {
    async fn of(page: &Page) -> Self {
        let url = format!("{}/api/v1/events", page.origin);
        let answer = page.client.get(url).bearer_auth(&page.token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut changes = Self { answer, rest: String::new() };
        changes.until("a greeting", |event| event["polled"] == true).await;
        changes
    }

    /// Waits for an event.
    async fn until(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) {
        let wait = async { while !is_it(&self.next().await) {} };
        assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "not within {LIMIT:?}: {what}");
    }

    async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let data = event.strip_prefix("data: ").map(|data| serde_json::from_str(data).unwrap());
                self.rest = rest.to_owned();
                // Anything else is a comment.
                let Some(data) = data else { continue };
                return data;
            }
            let chunk = self.answer.chunk().await.unwrap().expect("the stream goes on");
            self.rest.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

pub(crate) async fn the_page_follows_a_job_and_acts_for_its_operator(chain: &Chain) {
    let page = Page::open(chain).await;
    let status = page.get("status").await;
    assert_eq!((&status["deployment"], &status["kind"]), (&json!(DEPLOYMENT), &json!("aws")), "{status}");
    let mut changes = Changes::of(&page).await;

    let queued = chain.github.queue_job().await;
    let job = queued.job.get();
    let is_job = |event: &Value, state: &str| event["job"]["id"] == job && event["job"]["state"] == state;
    changes.until("the queued job", |event| is_job(event, "queued")).await;
    let task = chain.task().await;
    let runner = chain.boot(&task).await;
    runner.begin(chain).await;
    changes.until("the job in progress", |event| is_job(event, "in_progress")).await;
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
    let is_gone =
        |event: &Value| event["runner"]["name"] == runner.name && event["runner"]["state"] == "gone";
    let (mut has_completed, mut has_gone) = (false, false);
    while !(has_completed && has_gone) {
        let event =
            tokio::time::timeout(LIMIT, changes.next()).await.expect("the end of the job and its runner");
        has_completed |= is_job(&event, "completed") && event["job"]["conclusion"] == "success";
        has_gone |= is_gone(&event);
    }
    chain.at_rest().await;
    let costs = page.get("costs").await;
    assert!(costs["total"]["jobs"].as_u64() > Some(0), "{costs}");
    assert_eq!(page.get("deployment").await["holds"], json!([]));
    page.end().await;
}
