//! State that lives as long as the process: connections, cached parameters,
//! secrets and tokens. Each invocation gets a new engine with the current rules.
//! The store holds everything that must survive an invocation.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use ecsrunner_aws::connection::Connection;
use ecsrunner_aws::ecs::{AgentEnvironment, EcsTasks};
use ecsrunner_aws::images::Builds;
use ecsrunner_aws::parameters::{Configuration, Parameters};
use ecsrunner_aws::queue::SqsQueue;
use ecsrunner_aws::secrets::Secrets;
use ecsrunner_aws::store::DynamoStore;
use ecsrunner_core::records::task::TaskFacts;
use ecsrunner_core::wire::environment;
use ecsrunner_engine::dispatcher::budgets::ClosedDays;
use ecsrunner_engine::{Engine, Ports};
use jiff::Timestamp;

use crate::environment::Environment;
use crate::github::LazyGitHub;
use crate::images::AwsImages;
use crate::rules::LiveRules;
use crate::traces::Traces;
use crate::world::{Aws, OsRandomness, SystemClock};

pub(crate) struct ControlPlane {
    pub(crate) environment: Environment,
    pub(crate) connection: Connection,
    parameters: Arc<Parameters>,
    made: Mutex<Option<Made>>,
    pub(crate) traces: Option<Traces>,
}

/// The adapters made from one reading of the parameters.
#[derive(Clone)]
struct Made {
    configuration: Arc<Configuration>,
    secrets: Arc<Secrets>,
    github: LazyGitHub,
    store: DynamoStore,
    tasks: EcsTasks,
    builds: Option<Builds>,
    queue: SqsQueue,
    closed_days: Arc<ClosedDays>,
}

/// The engine of one invocation, with its secrets and configuration.
pub(crate) struct Desk {
    pub(crate) engine: Engine<Aws>,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) github: LazyGitHub,
    pub(crate) configuration: Arc<Configuration>,
}

impl ControlPlane {
    /// Reads the environment. It connects to nothing yet.
    pub(crate) fn new(lookup: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let environment = Environment::read(&lookup)?;
        let aws = ecsrunner_aws::connection::Environment::read(&lookup).context("the environment")?;
        let connection = Connection::new(aws)?;
        let parameters = Arc::new(Parameters::new(&connection, environment.deployment.clone()));
        let traces = Traces::new(&environment, &connection);
        Ok(Self { environment, connection, parameters, made: Mutex::new(None), traces })
    }

    /// Makes an engine with the current rules.
    pub(crate) async fn desk(&self) -> anyhow::Result<Desk> {
        let configuration = self.parameters.read(Timestamp::now()).await?;
        let made = self.made_of(configuration);
        let ports = Ports {
            store: made.store,
            compute: made.tasks,
            images: AwsImages::new(made.builds, made.github.clone()),
            github: made.github.clone(),
            queue: made.queue,
            rulebook: LiveRules::new(Arc::clone(&self.parameters), Arc::clone(&made.configuration)),
            clock: SystemClock,
            randomness: OsRandomness,
        };
        let rules = Arc::new(made.configuration.ruleset());
        let engine = Engine::new(ports, rules).with_closed_days(made.closed_days);
        if self.traces.is_some() {
            engine.follow_traces();
        }
        Ok(Desk { engine, secrets: made.secrets, github: made.github, configuration: made.configuration })
    }

    fn made_of(&self, configuration: Arc<Configuration>) -> Made {
        let mut kept = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &*kept
            && Arc::ptr_eq(&made.configuration, &configuration)
        {
            return made.clone();
        }
        let facts = &configuration.deployment;
        let same_secrets = kept.as_ref().filter(|made| {
            let before = &made.configuration.deployment;
            (&before.webhook_secret, &before.github_secret) == (&facts.webhook_secret, &facts.github_secret)
        });
        let secrets = same_secrets.map_or_else(
            || Arc::new(Secrets::new(&self.connection, &facts.webhook_secret, &facts.github_secret)),
            |made| Arc::clone(&made.secrets),
        );
        let github = match kept.as_ref() {
            Some(made) => made.github.with_secrets(Arc::clone(&secrets)),
            None => LazyGitHub::new(
                Arc::clone(&secrets),
                self.connection.clone(),
                self.environment.github_api.clone(),
            ),
        };
        let fleet = configuration.fleet(agent_environment(&configuration));
        let made = Made {
            secrets,
            github,
            store: DynamoStore::new(&self.connection, facts.tables.clone()),
            tasks: EcsTasks::new(&self.connection, Arc::new(fleet)),
            builds: facts.image.clone().map(|image| Builds::new(&self.connection, image)),
            queue: SqsQueue::new(&self.connection, &facts.queue_url),
            closed_days: Arc::default(),
            configuration,
        };
        *kept = Some(made.clone());
        made
    }
}

/// Makes an agent's environment variables. None is a secret: anyone who may describe a task can read them.
fn agent_environment(configuration: &Configuration) -> AgentEnvironment {
    let limits = configuration.settings.limits.clone();
    let tables = configuration.deployment.tables.clone();
    Arc::new(move |task: &TaskFacts| {
        let of_limits = environment::limits(&limits, task.max_job_minutes);
        let mut variables = vec![
            (environment::BOOT_TABLE.to_owned(), tables.boot.clone()),
            // Followed by the task's id, this is the key of its boot item.
            (environment::BOOT_ROLE.to_owned(), tables.boot_owners.of(task.role()).to_owned()),
        ];
        variables.extend(of_limits.map(|(name, value)| (name.to_owned(), value)));
        variables.extend(environment::warm(task.warm_for).map(|(name, value)| (name.to_owned(), value)));
        variables
    })
}
