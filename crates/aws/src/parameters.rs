//! Reads a deployment's parameters from SSM: its resources, its settings and its
//! classes, written by Terraform.
//!
//! Their meaning belongs in the core.

mod deployment;
mod document;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ssm::Client;
use ecsrunner_core::id::Deployment;
use ecsrunner_core::rules::class::Catalogue;
use ecsrunner_core::rules::service::Place;
use ecsrunner_core::rules::settings::Settings;
use ecsrunner_engine::Ruleset;
use ecsrunner_engine::ports::Disposition;
use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use crate::cache::{Ages, Cache};
use crate::connection::Connection;
use crate::ecs::{AgentEnvironment, Fleet};
use crate::fault::Fault;

pub use deployment::{DeploymentFacts, ImageFacts, WebhookSources};

/// How long values are used. `ecsrunner pause` must take effect within 30 s.
const AGES: Ages = Ages { usual: SignedDuration::from_secs(25), unreadable: SignedDuration::from_mins(5) };

/// The parameters of a deployment, under `/ecsrunner/<deployment>/`.
#[derive(Debug)]
pub struct Parameters {
    client: Client,
    deployment: Deployment,
    cache: Cache<Configuration>,
}

/// The content of the parameters.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub deployment: DeploymentFacts,
    /// The settings. `paused` is true if any parameter pauses launches.
    pub settings: Settings,
    /// Whether launches are paused other than by `ecsrunner pause`.
    pub paused_by_settings: bool,
    /// The valid classes and those set aside.
    pub catalogue: Catalogue,
    /// The faults of classes, each one a sentence.
    pub class_faults: Vec<String>,
}

/// The parameters cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParametersError {
    #[error("the parameters `{path}*` cannot be read")]
    Unread {
        /// The prefix of their names.
        path: String,
        /// Whether a retry may succeed.
        passes: bool,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// All mistakes that were found in them.
    #[error("{}", .0.join("; "))]
    Mistakes(Vec<String>),
}

impl ParametersError {
    /// How the caller is to react.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unread { passes: true, .. } => Disposition::Retry { after: None },
            Self::Unread { .. } | Self::Mistakes(_) => Disposition::Permanent,
        }
    }
}

impl Parameters {
    #[must_use]
    pub fn new(connection: &Connection, deployment: Deployment) -> Self {
        Self { client: connection.ssm().clone(), deployment, cache: Cache::new() }
    }

    /// Returns the parameters, read at most 25 seconds ago. If they cannot be read
    /// or are invalid, returns those read at most 5 minutes ago.
    ///
    /// # Errors
    ///
    /// The parameters cannot be read or are invalid. The error names each mistake
    /// with the parameter's name, the key and the value.
    pub async fn read(&self, now: Timestamp) -> Result<Arc<Configuration>, ParametersError> {
        let read = async {
            let configuration = self.read_now().await?;
            // Logged once, and not every 25 seconds.
            let before = self.cache.get();
            if before.is_none_or(|before| before.value.class_faults != configuration.class_faults) {
                for fault in &configuration.class_faults {
                    warn!(fault, "a class is set aside");
                }
            }
            Ok(configuration)
        };
        self.cache.get_or_read("parameters", AGES, now, |_, _| false, read).await
    }

    /// Has the next [`Parameters::read`] ask SSM, because the caller has changed a parameter.
    #[cfg(feature = "operate")]
    pub fn forget(&self) {
        self.cache.forget();
    }

    async fn read_now(&self) -> Result<Configuration, ParametersError> {
        let path = path(&self.deployment);
        let names = document::NAMES.iter().chain([&document::PAUSED]);
        let names = names.map(|name| format!("{path}{name}")).collect();
        let answer = self
            .client
            .get_parameters()
            .set_names(Some(names))
            .with_decryption(false)
            .send()
            .await
            .map_err(|error| {
                let fault = Fault::of(&error);
                ParametersError::Unread { path: path.clone(), passes: fault.passes, source: Box::new(fault) }
            })?;
        let texts: BTreeMap<String, String> = answer
            .parameters
            .unwrap_or_default()
            .into_iter()
            .filter_map(|parameter| Some((parameter.name?, parameter.value?)))
            .collect();
        Configuration::parse(&self.deployment, &texts)
    }
}

/// The name of the parameter that `ecsrunner pause` writes.
#[cfg(feature = "operate")]
pub(crate) fn paused_name(deployment: &Deployment) -> String {
    format!("{}{}", path(deployment), document::PAUSED)
}

fn path(deployment: &Deployment) -> String {
    format!("/ecsrunner/{deployment}/")
}

impl Configuration {
    /// Parses the parameters' values, given by name. Also for callers that have not read them from SSM.
    ///
    /// A class with a mistake is set aside; every other mistake is an error.
    ///
    /// # Errors
    ///
    /// All mistakes that were found.
    pub fn parse(deployment: &Deployment, texts: &BTreeMap<String, String>) -> Result<Self, ParametersError> {
        let mut mistakes = Vec::new();
        let path = path(deployment);
        let mut document = |name: &str| document::find(&format!("{path}{name}"), texts, &mut mistakes);
        let [facts, settings, classes] = document::NAMES.map(&mut document);
        let facts = facts.and_then(|document| DeploymentFacts::read(&document, &mut mistakes));
        let settings = settings.and_then(|document| read_settings(document, deployment, &mut mistakes));
        let classes = classes.and_then(|document| read_classes(document, &mut mistakes));
        let paused = read_paused(&format!("{path}{}", document::PAUSED), texts, &mut mistakes);
        match (facts, settings, classes) {
            (Some(deployment), Some(mut settings), Some((mut catalogue, mut class_faults)))
                if mistakes.is_empty() =>
            {
                let undefined = catalogue.set_aside(|class| deployment.undefined(class));
                class_faults.extend(undefined.iter().map(|fault| {
                    format!("parameter `{path}classes`: {}", ecsrunner_entries::located("", fault))
                }));
                let paused_by_settings = settings.paused || deployment.paused;
                settings.paused = paused_by_settings || paused;
                Ok(Self { deployment, settings, paused_by_settings, catalogue, class_faults })
            }
            _ => Err(ParametersError::Mistakes(mistakes)),
        }
    }

    /// The rules in the engine's form.
    #[must_use]
    pub fn ruleset(&self) -> Ruleset {
        Ruleset {
            settings: self.settings.clone(),
            catalogue: self.catalogue.clone(),
            subnets: self.deployment.network.subnets.clone(),
            images: self.deployment.image_rules(),
        }
    }

    /// The settings that all tasks share, with the given variables of the agent.
    #[must_use]
    pub fn fleet(&self, environment: AgentEnvironment) -> Fleet {
        Fleet {
            agents: self.deployment.agents.clone(),
            deployment: self.settings.deployment.clone(),
            cluster: self.deployment.cluster.clone(),
            network: self.deployment.network.clone(),
            task_definitions: self.deployment.task_definitions.clone(),
            service_definitions: self.deployment.service_definitions.clone(),
            capacity_providers: self.deployment.capacity_providers.clone(),
            environment,
        }
    }
}

/// Reads the parameter of `ecsrunner pause`, which `terraform apply` does not change.
fn read_paused(name: &str, texts: &BTreeMap<String, String>, mistakes: &mut Vec<String>) -> bool {
    match texts.get(name).map(|text| text.trim()) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            mistakes.push(format!("parameter `{name}` is `{other}`: true or false is expected"));
            false
        }
    }
}

fn read_settings(
    document: document::Document,
    deployment: &Deployment,
    mistakes: &mut Vec<String>,
) -> Option<Settings> {
    let name = document.name.clone();
    let mut found = Vec::new();
    let settings =
        document.table(&mut found).and_then(|table| ecsrunner_entries::settings(table, &mut found));
    let settings = settings.filter(|settings| {
        let other = &settings.deployment;
        let is_own = other == deployment;
        if !is_own {
            found.push(format!("`deployment` is `{other}`, not `{deployment}`"));
        }
        is_own
    });
    mistakes.extend(found.iter().map(|mistake| format!("parameter `{name}`: {mistake}")));
    settings
}

fn read_classes(
    document: document::Document,
    mistakes: &mut Vec<String>,
) -> Option<(Catalogue, Vec<String>)> {
    let name = document.name.clone();
    let located = |mistake: &String| format!("parameter `{name}`: {mistake}");
    let mut found = Vec::new();
    let Some(classes) = document.table(&mut found) else {
        mistakes.extend(found.iter().map(located));
        return None;
    };
    let mut catalogue = ecsrunner_entries::classes("", classes, &mut found);
    found.extend(catalogue.keep_fit(Place::Ecs).iter().map(|error| ecsrunner_entries::located("", error)));
    Some((catalogue, found.iter().map(located).collect()))
}

#[cfg(test)]
mod tests;
