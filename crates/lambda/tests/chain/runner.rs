//! Plays the part of a task's container: the agent that takes the boot item, and
//! the runner that it starts, which uses GitHub's own runner protocol.

use std::sync::Mutex;
use std::time::Duration;

use ecsrunner_aws::boot::{BootTable, Credentials, Http, Taken};
use ecsrunner_core::id::JobId;
use ecsrunner_core::wire::exit::AgentExit;
use ecsrunner_demo::runner_client::{Configuration, FILES, Files, JobClient, Message, RunnerClient};
use ecsrunner_world::ecs::TaskView;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::aws::{ACCESS_KEY, REGION};
use crate::chain::Chain;
use crate::eventually;

const TAKE_LIMIT: Duration = Duration::from_secs(5);

/// The private fields in the file of a runner's key parameters.
const PRIVATE: [&str; 6] = ["d", "dp", "dq", "inverseQ", "p", "q"];

/// A runner that is connected to GitHub.
pub(crate) struct Runner {
    pub(crate) task: TaskView,
    pub(crate) name: String,
    client: RunnerClient,
    session: String,
    /// The job that it has started.
    begun: Mutex<Option<JobClient>>,
}

impl Chain {
    /// Waits for the only runner's task.
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
        let files = Configuration::files(taken.jit.expose_secret()).unwrap();
        self.keep_secrets_of(&taken.item.runner.to_string(), taken.jit.expose_secret(), &files);
        let client = RunnerClient::new(Configuration::read(&files).unwrap());
        let session = blocking(&client, |client| client.create_session().unwrap()).await;
        let (task, name) = (task.clone(), taken.item.runner.to_string());
        Runner { task, name, client, session, begun: Mutex::default() }
    }

    fn keep_secrets_of(&self, runner: &str, config: &str, files: &Files) {
        self.keep_secret(format!("the configuration of {runner}"), config);
        let [_, _, parameters] = FILES;
        let parameters: Value = serde_json::from_slice(&files[parameters]).unwrap();
        for name in PRIVATE {
            let what = format!("`{name}` of the private key of {runner}");
            self.keep_secret(what, parameters[name].as_str().unwrap());
        }
    }

    /// Takes the boot item, which is the agent's only request.
    async fn take(&self, task: &TaskView) -> Option<Taken> {
        let variable = |name: &str| task.environment.get(name).unwrap_or_else(|| panic!("{name} is not set"));
        let owner = format!("{}:{}", variable("ECSRUNNER_BOOT_ROLE"), task.id);
        let credentials = Credentials {
            access_key_id: ACCESS_KEY.to_owned(),
            secret_access_key: ACCESS_KEY.into(),
            session_token: None,
            expires_at: None,
        };
        let (url, name) = (self.aws.url().to_owned(), variable("ECSRUNNER_BOOT_TABLE").to_owned());
        let taken = tokio::task::spawn_blocking(move || {
            let http = Http::new(None).unwrap();
            BootTable::new(http, &url, REGION, &name, credentials).take(&owner, TAKE_LIMIT)
        });
        taken.await.unwrap().unwrap()
    }

    /// Ends a task's container with the agent's exit code.
    pub(crate) fn exit(&self, task: &TaskView, exit: AgentExit) {
        let ended = self.ecs.with(|ecs, now| ecs.exit(&task.id, i32::from(exit.code()), now));
        ended.unwrap();
    }
}

impl Runner {
    /// Waits for a job and starts it.
    pub(crate) async fn begin(&self, chain: &Chain) -> JobId {
        let session = self.session.clone();
        let message = blocking(&self.client, move |client| {
            let request = loop {
                if let Some(Message::JobRequest(request)) = client.next_message(&session, false).unwrap() {
                    break request;
                }
            };
            client.acknowledge(&session, &request).unwrap();
            client.acquire(&request).unwrap()
        })
        .await;
        let token = &message["resources"]["endpoints"][0]["authorization"]["parameters"]["AccessToken"];
        chain.keep_secret(format!("the token of the job of {}", self.name), token.as_str().unwrap());
        *self.begun.lock().unwrap() = Some(JobClient::of(&message).unwrap());
        self.job(chain).await
    }

    /// Returns the runner's job according to GitHub.
    async fn job(&self, chain: &Chain) -> JobId {
        let state = chain.github.call(Method::GET, "/_sim/state", &Value::Null).await;
        let id = self.client.configuration().agent_id;
        let runners = state["runners"].as_array().unwrap();
        let runner = runners.iter().find(|runner| runner["runner_id"] == id).unwrap();
        JobId::new(runner["job"].as_u64().unwrap())
    }

    /// Reports the success of the started job.
    pub(crate) async fn complete(&self) {
        let job = self.begun.lock().unwrap().take().unwrap();
        blocking(&job, |job| job.complete(json!({"conclusion": "succeeded"})).unwrap()).await;
    }
}

/// Runs a blocking call on another thread.
async fn blocking<C, T>(client: &C, ask: impl FnOnce(&C) -> T + Send + 'static) -> T
where
    C: Clone + Send + 'static,
    T: Send + 'static,
{
    let client = client.clone();
    tokio::task::spawn_blocking(move || ask(&client)).await.unwrap()
}
