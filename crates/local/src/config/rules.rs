//! Settings and classes: the rules, which have no secret.

use std::collections::BTreeMap;

use ecsrunner_core::rules::class::{Catalogue, ClassEntry};
use ecsrunner_core::rules::limits::Limits;
use ecsrunner_core::rules::service::Place;
use ecsrunner_core::rules::settings::{Settings, SettingsEntry};
use toml::{Table, Value};

use super::Reader;

impl Reader<'_> {
    pub(super) fn settings(&mut self, mut table: Table) -> Option<Settings> {
        // Read separately, so that a mistake in it does not hide the others.
        let limits = match table.remove("limits") {
            Some(limits) => self.section::<Limits>("limits", Some(limits)),
            None => Some(Limits::default()),
        };
        let entry: SettingsEntry = Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| self.mistake("settings", &error.message()))
            .ok()?;
        let entry = SettingsEntry { limits: limits.clone().unwrap_or_default(), ..entry };
        let settings = Settings::read(&entry)
            .map_err(|errors| errors.iter().for_each(|error| self.mistakes.push(error.to_string())))
            .ok();
        limits.and(settings)
    }

    pub(super) fn classes(&mut self, value: Option<Value>) -> Option<Catalogue> {
        let table = self.section::<Table>("classes", value)?;
        let mut entries = BTreeMap::new();
        for (name, value) in table {
            if let Some(entry) = self.section::<ClassEntry>(&format!("classes.{name}"), Some(value)) {
                entries.insert(name, entry);
            }
        }
        let (mut catalogue, errors) = Catalogue::read(&entries);
        for error in errors.into_iter().chain(catalogue.keep_fit(Place::OneMachine)) {
            self.mistake("classes", &error);
        }
        if entries.is_empty() {
            self.mistake("classes", &"at least one class is needed");
        }
        Some(catalogue)
    }

    pub(super) fn check_warm(&mut self, catalogue: &Catalogue, settings: &Settings) {
        if let Some(mistake) = catalogue.check_warm(settings.limits.max_warm) {
            self.mistake("classes", &mistake);
        }
    }

    /// Maps labels to classes, as `[labels]` says.
    pub(super) fn mapped(&mut self, value: Option<Value>, classes: Option<Catalogue>) -> Option<Catalogue> {
        let mut classes = classes?;
        if let Some(value) = value {
            let labels = self.section::<BTreeMap<String, String>>("labels", Some(value))?;
            for error in classes.map_labels(&labels) {
                self.mistake("labels", &error);
            }
        }
        Some(classes)
    }
}
