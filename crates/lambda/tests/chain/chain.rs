//! The environment of the test: a deployment in ministack, and the fakes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::id::JobId;
use ecsrunner_core::records::job::{EndedJob, JobRecord};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::runner::EndedRunner;
use ecsrunner_core::records::task::EndedTask;
use ecsrunner_demo::github::app_key;
use ecsrunner_engine::ports::store::{History, Page, Store};
use ecsrunner_sim::ecs::FakeEcs;
use ecsrunner_world::ecs::{Durations, Options, TaskDefinition, TaskView};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::Setting;

use crate::aws::{ACCOUNT, Aws, DYNAMODB, REGION};
use crate::builds::FakeBuilds;
use crate::deployment::{self, CLUSTER, FAMILIES, Fakes, IMAGE_FAMILIES, Queues};
use crate::eventually;
use crate::github::GitHub;
use crate::logs::Logs;
use crate::task_events;
use crate::traces::{Collector, HEADERS};
use crate::webhook::random_hex;

/// How long each status of a task lasts.
const STATUS: Duration = Duration::from_millis(50);

pub(crate) struct Chain {
    pub(crate) setting: Setting,
    pub(crate) aws: Aws,
    pub(crate) ecs: Arc<FakeEcs>,
    pub(crate) builds: FakeBuilds,
    pub(crate) github: GitHub,
    pub(crate) collector: Collector,
    pub(crate) store: DynamoStore,
    pub(crate) queues: Queues,
    pub(crate) webhook_secret: String,
    /// The previous secret, which is still accepted.
    pub(crate) older_secret: String,
    secrets: Mutex<Vec<Secret>>,
}

/// A secret that must not appear in any log.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) what: String,
    pub(crate) text: String,
}

impl Chain {
    pub(crate) async fn set_up(setting: Setting) -> Self {
        let aws = Aws::new(&setting.aws_url);
        let webhook_secret = random_hex(20);
        let older_secret = random_hex(20);
        let ecs = Arc::new(FakeEcs::start(ecs_options()).await.unwrap());
        let builds = FakeBuilds::start().await;
        let github = GitHub::start(&setting.webhook_url, &webhook_secret).await;
        let collector = Collector::start().await;
        let store = deployment::make_tables(&aws).await;
        let fakes =
            Fakes { ecs: ecs.url(), builds: builds.url(), github: github.url(), collector: collector.url() };
        let queues = deployment::make(&aws, &setting.archive, &fakes).await;
        // The task ends with the test's runtime.
        drop(tokio::spawn(task_events::carry(Arc::clone(&ecs), aws.clone())));
        let secrets = Mutex::default();
        let chain = Self {
            setting,
            aws,
            ecs,
            builds,
            github,
            collector,
            store,
            queues,
            webhook_secret,
            older_secret,
            secrets,
        };
        chain.keep_secret("the headers of the OTLP endpoint", HEADERS.split_once('=').unwrap().1);
        chain.keep_secret("the webhook secret", &chain.webhook_secret);
        chain.keep_secret("the webhook secret before", &chain.older_secret);
        chain.keep_secret("the function's AWS secret", &chain.setting.aws_secret);
        for line in app_key().private_pem.expose_secret().lines().filter(|line| !line.starts_with("-----")) {
            chain.keep_secret("a line of the App's key", line);
        }
        chain
    }

    pub(crate) fn keep_secret(&self, what: impl Into<String>, text: &str) {
        let secret = Secret { what: what.into(), text: text.to_owned() };
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).push(secret);
    }

    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the tasks that have not stopped.
    pub(crate) fn live_tasks(&self) -> Vec<TaskView> {
        self.ecs.with(|ecs, _| ecs.tasks().filter(|task| task.stopped_at.is_none()).collect())
    }

    pub(crate) async fn open(&self) -> Open {
        self.store.open().await.unwrap()
    }

    /// Waits until no job and no runner is open.
    pub(crate) async fn at_rest(&self) {
        eventually("no open job or runner", async || {
            let open = self.open().await;
            (open.jobs.is_empty() && open.runners.is_empty()).then_some(())
        })
        .await;
    }

    /// Returns a job that has ended.
    pub(crate) async fn ended_job(&self, job: JobId) -> EndedJob {
        match self.store.job(job).await.unwrap() {
            Some(JobRecord::Ended(ended)) => ended,
            other => panic!("job {job} is not in history: {other:?}"),
        }
    }

    /// Returns a runner that is gone.
    pub(crate) async fn gone_runner(&self, name: &str) -> EndedRunner {
        let page = Page { limit: 100, ..Page::default() };
        let gone = self.store.runners(&page).await.unwrap().items;
        let found = gone.into_iter().find_map(|task| match task {
            EndedTask::Runner(runner) if runner.facts.name.as_str() == name => Some(*runner),
            EndedTask::Runner(_) | EndedTask::Warm(_) => None,
        });
        found.unwrap_or_else(|| panic!("runner {name} is not in history"))
    }

    pub(crate) async fn boot_items(&self) -> Vec<Value> {
        let found = self.aws.call(DYNAMODB, "Scan", json!({"TableName": "ecsrunner-chain-boot"})).await;
        found["Items"].as_array().unwrap().clone()
    }

    /// Waits until a metric reaches a value, and checks that it does not exceed it.
    pub(crate) async fn measures(&self, metric: &str, value: f64) {
        let sum = eventually(metric, async || {
            let sum = self.logs().await.sum(metric);
            (sum >= value).then_some(sum)
        })
        .await;
        assert_eq!(sum, value, "{metric}");
    }

    /// Reads the function's log so far.
    pub(crate) async fn logs(&self) -> Logs {
        Logs::read(&self.aws).await
    }
}

fn ecs_options() -> Options {
    let definition = |family: &str, role: Option<String>| TaskDefinition {
        task_role_arn: role,
        ..TaskDefinition::new(family, 1)
    };
    let exec_role = format!("arn:aws:iam::{ACCOUNT}:role/ecsrunner-chain-task-exec");
    let mut task_definitions = vec![definition(FAMILIES[0], None), definition(FAMILIES[1], Some(exec_role))];
    task_definitions.extend(IMAGE_FAMILIES.map(|family| definition(family, None)));
    Options {
        region: REGION.to_owned(),
        account: ACCOUNT.to_owned(),
        clusters: vec![CLUSTER.to_owned()],
        task_definitions,
        durations: Durations::each(STATUS),
        ..Options::default()
    }
}
