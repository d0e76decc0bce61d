//! Settings and classes: the rules, which have no secret.

use std::collections::{BTreeMap, HashSet};

use ecsrunner_core::rules::class::{Catalogue, ClassError};
use ecsrunner_core::rules::service::Place;
use ecsrunner_core::rules::settings::Settings;
use toml::Table;

use super::Reader;

impl Reader<'_> {
    /// Returns the valid classes, with the labels of `[labels]` that are mapped to them.
    pub(super) fn classes(&mut self, table: &mut Table) -> Option<Catalogue> {
        let (classes, labels) = (table.remove("classes"), table.remove("labels"));
        let classes: Table = self.section("classes", classes, &[])?;
        if classes.is_empty() {
            self.mistake("classes", &"at least one class is needed");
        }
        let names: HashSet<String> = classes.keys().cloned().collect();
        let mut catalogue = ecsrunner_entries::classes("classes", classes, &mut self.mistakes);
        let unfit = catalogue.keep_fit(Place::OneMachine);
        self.mistakes.extend(unfit.iter().map(|error| ecsrunner_entries::located("classes", error)));
        let labels = labels.and_then(|labels| self.section("labels", Some(labels), &[]));
        let labels: BTreeMap<String, String> = labels.unwrap_or_default();
        for error in catalogue.map_labels(&labels) {
            // What is wrong with such a class is told already.
            let is_told = matches!(&error, ClassError::MappedNowhere { class, .. } if names.contains(class));
            if !is_told {
                self.mistake("labels", &error);
            }
        }
        Some(catalogue)
    }

    pub(super) fn check_warm(&mut self, catalogue: &Catalogue, settings: &Settings) {
        if let Some(mistake) = catalogue.check_warm(settings.limits.max_warm) {
            self.mistake("classes", &mistake);
        }
    }
}
