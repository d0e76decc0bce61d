//! The GitHub Apps of the fake: the one of its options, and those that people register.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use ecsrunner_core::id::Repository;
use jiff::Timestamp;
use secrecy::SecretString;

use super::app_key::AppKey;
use super::manifest::Manifest;
use super::options::{App, Hook};
use super::state::State;

/// The name in URLs of the App of the options.
const SLUG: &str = "ecsrunner";
/// The user that is logged in to the fake's pages, unless its options name users.
const USER: &str = "octocat";
/// The ids of Apps that people register are above this one.
const FIRST_ID: u64 = 2_100_000;

/// An App that exists.
#[derive(Clone, Debug)]
pub(super) struct RegisteredApp {
    pub id: u64,
    pub client_id: String,
    pub slug: String,
    pub name: String,
    pub owner: String,
    pub description: String,
    pub homepage: Option<String>,
    pub public: bool,
    pub public_key_pem: String,
    pub permissions: BTreeMap<String, String>,
    pub events: Vec<String>,
    pub hook: AppHook,
    pub installed: Installed,
    /// Its number among the Apps.
    ordinal: u64,
    pub created_at: Timestamp,
}

/// The webhook of an App.
#[derive(Clone, Debug)]
pub(super) enum AppHook {
    /// The fake's own, which the control API sets.
    OfFake,
    None,
    Own {
        hook: Hook,
        active: bool,
    },
}

/// The accounts that an App is installed on.
#[derive(Clone, Debug)]
pub(super) enum Installed {
    /// Each account that has a repository.
    Everywhere,
    /// These accounts, in lower case.
    On(BTreeMap<String, Selection>),
}

/// The repositories of an installation.
#[derive(Clone, Debug)]
pub(super) enum Selection {
    All,
    Repositories(BTreeSet<Repository>),
}

/// A manifest that a browser has brought, until its owner confirms it.
#[derive(Debug)]
pub(super) struct AppRegistration {
    pub manifest: Manifest,
    pub owner: String,
    pub state: Option<String>,
}

/// The credentials that a code is exchanged for.
#[derive(Debug)]
pub(super) struct Handover {
    pub app: u64,
    pub private_key: SecretString,
    pub webhook_secret: Option<SecretString>,
    pub client_secret: SecretString,
    pub ends: Instant,
}

/// Manifests by the confirmation page's token, and credentials by their code.
#[derive(Default, Debug)]
pub(super) struct NewApps {
    pub waiting: HashMap<String, AppRegistration>,
    pub codes: HashMap<String, Handover>,
}

impl RegisteredApp {
    /// Returns the App of the options, which is installed everywhere.
    pub(super) fn of_options(app: App) -> Self {
        Self {
            id: app.id,
            client_id: app.client_id,
            slug: SLUG.to_owned(),
            name: SLUG.to_owned(),
            owner: USER.to_owned(),
            description: String::new(),
            homepage: None,
            public: app.public,
            public_key_pem: app.public_key_pem,
            permissions: app.permissions,
            events: vec!["workflow_job".to_owned()],
            hook: AppHook::OfFake,
            installed: Installed::Everywhere,
            ordinal: 0,
            created_at: Timestamp::now(),
        }
    }

    pub(super) fn number_of_installations(&self, owners: usize) -> usize {
        match &self.installed {
            Installed::Everywhere => owners,
            Installed::On(accounts) => accounts.len(),
        }
    }

    /// Returns the repositories that the App reaches on an account; `None` if it is not installed there.
    pub(super) fn selection(&self, owner: &str) -> Option<&Selection> {
        match &self.installed {
            Installed::Everywhere => Some(&Selection::All),
            Installed::On(accounts) => accounts.get(&owner.to_ascii_lowercase()),
        }
    }

    pub(super) fn reaches(&self, repository: &Repository) -> bool {
        match self.selection(repository.owner()) {
            Some(Selection::All) => true,
            Some(Selection::Repositories(names)) => names.contains(repository),
            None => false,
        }
    }
}

impl State {
    /// Returns the user that is logged in to the pages.
    pub(super) fn signed_in(&self) -> String {
        self.users.first().cloned().unwrap_or_else(|| USER.to_owned())
    }

    /// Returns the login of an account as it is written there.
    pub(super) fn account(&self, login: &str) -> Option<String> {
        let signed_in = self.signed_in();
        let mut known = self.owners().into_iter().chain([signed_in]).chain(self.users.iter().cloned());
        known.find(|known| known.eq_ignore_ascii_case(login))
    }

    /// Returns the login of an organization as it is written there.
    pub(super) fn organization(&self, login: &str) -> Option<String> {
        let mut owners = self.repositories.keys().map(|name| name.owner());
        let found = owners.find(|owner| owner.eq_ignore_ascii_case(login) && !self.is_user(owner));
        found.map(str::to_owned)
    }

    /// Returns every account with a repository.
    pub(super) fn owners(&self) -> Vec<String> {
        let mut owners: Vec<String> = self.repositories.keys().map(|name| name.owner().to_owned()).collect();
        owners.sort_by_key(|owner| owner.to_ascii_lowercase());
        owners.dedup_by(|one, other| one.eq_ignore_ascii_case(other));
        owners
    }

    /// Returns the accounts that an App is installed on.
    pub(super) fn accounts_of(&self, app: &RegisteredApp) -> Vec<String> {
        self.owners().into_iter().filter(|owner| app.selection(owner).is_some()).collect()
    }

    /// Returns the account of an App's installation.
    pub(super) fn installed_on(&self, app: &RegisteredApp, installation: u64) -> Option<String> {
        self.accounts_of(app).into_iter().find(|owner| self.installation_id(app, owner) == installation)
    }

    pub(super) fn installation_id(&self, app: &RegisteredApp, owner: &str) -> u64 {
        /// Above the largest id of an account.
        const STEP: u64 = 100_000_000;
        40_000_000 + super::representation::account_id(owner) + STEP * app.ordinal
    }

    /// Returns the hook that gets the webhooks of a repository, and its App.
    pub(super) fn hook_of(&self, repository: Option<&Repository>) -> Option<(&Hook, Option<&RegisteredApp>)> {
        let apps = self.credentials.apps();
        if let Some(hook) = &self.hook {
            return Some((hook, apps.iter().find(|app| matches!(app.hook, AppHook::OfFake))));
        }
        apps.iter().find_map(|app| match &app.hook {
            AppHook::Own { hook, active: true } if repository.is_some_and(|name| app.reaches(name)) => {
                Some((hook, Some(app)))
            }
            _ => None,
        })
    }

    /// Registers an App, and returns the code for its credentials. GitHub makes the App before anyone takes them.
    pub(super) fn register(&mut self, registration: AppRegistration, name: &str, key: &AppKey) -> String {
        let AppRegistration { manifest, owner, .. } = registration;
        let ordinal = u64::try_from(self.credentials.apps().len()).unwrap_or(u64::MAX).saturating_add(1);
        let id = FIRST_ID + ordinal;
        let secret = manifest.hook.is_some().then(|| SecretString::from(self.random.hex(40)));
        let hook = match (manifest.hook, &secret) {
            (Some((url, active)), Some(secret)) => {
                AppHook::Own { hook: Hook { url, secret: secret.clone() }, active }
            }
            _ => AppHook::None,
        };
        let app = RegisteredApp {
            id,
            client_id: format!("Iv23li{}", self.random.hex(14)),
            slug: slug(name),
            name: name.to_owned(),
            owner,
            description: manifest.description,
            homepage: Some(manifest.homepage),
            public: manifest.public,
            public_key_pem: key.public_pem.clone(),
            permissions: manifest.permissions,
            events: manifest.events,
            hook,
            installed: Installed::On(BTreeMap::new()),
            ordinal,
            created_at: Timestamp::now(),
        };
        self.credentials.add(app.clone());
        self.emit_app_ping(&app);
        let code = self.random.hex(40);
        let handover = Handover {
            app: id,
            private_key: key.rsa_private_pem.clone(),
            webhook_secret: secret,
            client_secret: SecretString::from(self.random.hex(40)),
            ends: Instant::now() + self.code_life,
        };
        self.new_apps.codes.insert(code.clone(), handover);
        self.note_change();
        code
    }

    /// Returns why no App can have this name, in GitHub's words.
    pub(super) fn refused_name(&self, name: &str) -> Option<&'static str> {
        /// GitHub's limit.
        const MAX: usize = 34;
        let is_taken = |app: &RegisteredApp| app.slug == slug(name);
        if slug(name).is_empty() {
            Some("Name can't be blank")
        } else if name.chars().count() > MAX {
            Some("Name is too long (maximum is 34 characters)")
        } else if self.credentials.apps().iter().any(is_taken) {
            Some("Name is already taken")
        } else {
            None
        }
    }
}

/// Returns a name as it is written in URLs.
fn slug(name: &str) -> String {
    let dashed: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}
