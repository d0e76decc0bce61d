//! What is in a task, played: the agent that takes its boot item, and the
//! runner that it starts.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use ecsrunner_aws::boot::{BootTable, Credentials, Http, Taken};
use ecsrunner_core::exit::AgentExit;
use ecsrunner_core::id::JobId;
use ecsrunner_sim::ecs::TaskView;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::aws::{ACCESS_KEY, REGION};
use crate::chain::Chain;
use crate::eventually;

const TAKE_LIMIT: Duration = Duration::from_secs(5);

/// A runner that is connected to GitHub.
pub(crate) struct Runner {
    pub(crate) task: TaskView,
    pub(crate) name: String,
    token: String,
    session: String,
}

impl Chain {
    /// The task of the only runner that there is, once it is there.
    pub(crate) async fn task(&self) -> TaskView {
        eventually("a task", async || self.live_tasks().into_iter().next()).await
    }

    /// Boots a task: its agent takes the boot item and connects its runner.
    pub(crate) async fn boot(&self, task: &TaskView) -> Runner {
        eventually("a running container", async || {
            let now = self.ecs.with(|ecs, _| ecs.task(&task.id)).unwrap();
            now.has_container.then_some(())
        })
        .await;
        let taken = eventually("a boot item", async || self.take(task).await).await;
        assert_eq!(
            Some(taken.item.runner.as_str()),
            task.environment.get("ECSRUNNER_RUNNER").map(String::as_str)
        );
        let config = taken.jit.expose_secret();
        let files = decoded(config);
        let credentials = decoded(files[".credentials"].as_str().unwrap());
        let token = credentials["data"]["token"].as_str().unwrap().to_owned();
        self.keep_secret(format!("the configuration of {}", taken.item.runner), config);
        self.keep_secret(format!("the token of {}", taken.item.runner), &token);
        let answer = self.github.call(Method::POST, "/_runner/sessions", Some(&token), &Value::Null).await;
        let session = format!("/_runner/sessions/{}", answer["session"].as_str().unwrap());
        Runner { task: task.clone(), name: taken.item.runner.to_string(), token, session }
    }

    /// The agent's one request.
    async fn take(&self, task: &TaskView) -> Option<Taken> {
        let variable = |name: &str| task.environment.get(name).unwrap_or_else(|| panic!("{name} is not set"));
        let owner = format!("{}:{}", variable("ECSRUNNER_BOOT_ROLE"), task.id);
        let credentials = Credentials {
            access_key_id: ACCESS_KEY.to_owned(),
            secret_access_key: ACCESS_KEY.into(),
            session_token: None,
        };
        let (url, name) = (self.aws.url().to_owned(), variable("ECSRUNNER_BOOT_TABLE").to_owned());
        let taken = tokio::task::spawn_blocking(move || {
            let http = Http::new(None).unwrap();
            BootTable::new(http, &url, REGION, &name, credentials).take(&owner, TAKE_LIMIT)
        });
        taken.await.unwrap().unwrap()
    }

    /// Ends a task's container as the agent does.
    pub(crate) fn exit(&self, task: &TaskView, exit: AgentExit) {
        let ended = self.ecs.with(|ecs, now| ecs.exit(&task.id, i32::from(exit.code()), now));
        ended.unwrap();
    }
}

impl Runner {
    /// Waits for its job and begins it.
    pub(crate) async fn begin(&self, chain: &Chain) -> JobId {
        let message = self.call(chain, Method::GET, "/message", &Value::Null).await;
        let job = JobId::new(message["job"].as_u64().unwrap());
        self.call(chain, Method::POST, &format!("/jobs/{job}/start"), &Value::Null).await;
        job
    }

    pub(crate) async fn complete(&self, chain: &Chain, job: JobId) {
        let body = json!({"conclusion": "success", "steps": []});
        self.call(chain, Method::POST, &format!("/jobs/{job}/complete"), &body).await;
    }

    async fn call(&self, chain: &Chain, method: Method, path: &str, body: &Value) -> Value {
        chain.github.call(method, &format!("{}{path}", self.session), Some(&self.token), body).await
    }
}

fn decoded(text: &str) -> Value {
    serde_json::from_slice(&BASE64_STANDARD.decode(text).unwrap()).unwrap()
}
