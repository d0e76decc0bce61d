//! Classes.

use ecsrunner_core::rules::budget::{BudgetAction, Usd};
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::class::{Catalogue, Class, Compute, Gpu};
use ecsrunner_core::rules::cost::Market;
use ecsrunner_core::rules::placement::Placement;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A class as the API shows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClassView {
    pub name: String,
    /// CPU units; 1024 are one vCPU.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory: u32,
    pub ephemeral_storage_gib: u32,
    pub arch: Arch,
    pub capacity: String,
    /// What runs its tasks on AWS.
    #[serde(default)]
    pub compute: Compute,
    /// Whether each task has a Docker engine of its own.
    #[serde(default)]
    pub docker: bool,
    /// The GPUs of its instances, if they have any.
    #[serde(default)]
    pub gpu: Option<Gpu>,
    pub max_runners: Option<u32>,
    pub max_job_minutes: Option<u32>,
    pub labels: Vec<String>,
    pub image: Option<String>,
    pub repositories: Option<Vec<String>>,
    pub exec: bool,
    /// Whether its jobs are run again if their runner is lost; `None` for the deployment's setting.
    #[serde(default)]
    pub rerun: Option<bool>,
    /// Tasks that wait for a job, if it has any.
    #[serde(default)]
    pub warm: Option<WarmView>,
    /// What its runners may cost, if that is limited.
    #[serde(default)]
    pub budget: Option<ClassBudgetView>,
    /// What stands beside the runner.
    #[serde(default)]
    pub services: Vec<ServiceView>,
    pub default: bool,
    pub usd_per_hour: Option<f64>,
    pub spot_usd_per_hour: Option<f64>,
}

/// A service of a class. The values of its variables are not shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServiceView {
    pub name: String,
    pub image: String,
    pub port: u16,
    /// The names of its variables.
    pub variables: Vec<String>,
    /// The command of its health check, if it has one.
    pub health: Option<String>,
}

/// The budget of a class, in US dollars. At least one of its periods has a limit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ClassBudgetView {
    /// For a UTC day.
    pub daily_usd: Option<f64>,
    /// For a UTC month.
    pub monthly_usd: Option<f64>,
    pub action: BudgetAction,
}

/// The warm tasks of a class.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WarmView {
    pub count: u32,
    /// Windows in which they are kept; empty for always.
    pub schedule: Vec<String>,
    pub max_age_hours: i64,
}

impl ClassView {
    /// Returns the valid classes of a catalogue by name.
    #[must_use]
    pub fn all(catalogue: &Catalogue) -> Vec<Self> {
        let default = catalogue.default_class().map(|class| &class.name);
        catalogue.iter().map(|class| Self::of(class, default == Some(&class.name))).collect()
    }

    fn of(class: &Class, default: bool) -> Self {
        let hour = |market| {
            let began = Timestamp::UNIX_EPOCH;
            let managed = class.is_managed().then(|| class.name.clone());
            let placement = Placement { managed, ..Placement::fargate(market, None) };
            placement.usd(class.size, began, began + SignedDuration::from_hours(1))
        };
        Self {
            name: class.name.to_string(),
            cpu: class.size.cpu(),
            memory: class.size.memory(),
            ephemeral_storage_gib: class.size.ephemeral_storage_gib(),
            arch: class.size.arch(),
            capacity: class.capacity.to_string(),
            compute: class.compute,
            docker: class.docker,
            gpu: class.gpu.clone(),
            max_runners: class.max_runners,
            max_job_minutes: class.max_job_minutes,
            labels: class.offers.iter().map(str::to_owned).collect(),
            image: class.image.clone(),
            repositories: class
                .repositories
                .as_ref()
                .map(|patterns| patterns.iter().map(ToString::to_string).collect()),
            exec: class.exec,
            rerun: class.rerun,
            warm: class.warm.as_ref().map(|warm| WarmView {
                count: warm.count,
                schedule: warm.schedule.windows().map(str::to_owned).collect(),
                max_age_hours: warm.max_age.as_hours(),
            }),
            budget: class.budget.as_ref().map(|budget| ClassBudgetView {
                daily_usd: budget.daily.map(Usd::dollars),
                monthly_usd: budget.monthly.map(Usd::dollars),
                action: budget.action,
            }),
            services: class
                .services
                .iter()
                .map(|(name, service)| ServiceView {
                    name: name.to_string(),
                    image: service.image.to_string(),
                    port: service.port,
                    variables: service.env.0.keys().cloned().collect(),
                    health: service.health.as_ref().map(|health| health.command.clone()),
                })
                .collect(),
            default,
            usd_per_hour: hour(Market::OnDemand),
            spot_usd_per_hour: hour(Market::Spot),
        }
    }
}
