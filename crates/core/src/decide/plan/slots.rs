//! Slots of the limits, counted from what is open.

use std::collections::HashMap;

use crate::id::{ClassName, Repository};
use crate::reason::{Code, Reason};
use crate::records::open::Open;
use crate::rules::Rules;
use crate::rules::class::Class;
use crate::rules::limits::Limits;

#[derive(Default)]
pub(super) struct Slots<'a> {
    deployment: u32,
    classes: HashMap<&'a ClassName, u32>,
    repositories: HashMap<&'a Repository, u32>,
}

impl<'a> Slots<'a> {
    pub(super) fn count(open: &'a Open, rules: Rules<'_>) -> Self {
        let classes_are_limited = rules.catalogue.iter().any(|class| class.max_runners.is_some());
        let repositories_are_limited = rules.settings.limits.max_runners_per_repository.is_some();
        let unreadable = u32::try_from(open.unreadable_runners).unwrap_or(u32::MAX);
        let mut slots = Self { deployment: unreadable, ..Self::default() };
        for runner in open.runners.values().filter(|runner| runner.takes_slot()) {
            slots.deployment += 1;
            if classes_are_limited {
                *slots.classes.entry(&runner.facts.class).or_default() += 1;
            }
            if repositories_are_limited {
                *slots.repositories.entry(&runner.facts.repository).or_default() += 1;
            }
        }
        for warm in open.warm.values().filter(|warm| warm.takes_slot()) {
            slots.deployment += 1;
            *slots.classes.entry(&warm.facts.class).or_default() += 1;
        }
        slots
    }

    /// Takes a slot of every limit, or of none.
    pub(super) fn take(
        &mut self,
        class: &'a Class,
        repository: &'a Repository,
        limits: &Limits,
    ) -> Result<(), Reason> {
        let of_class = self.classes.entry(&class.name).or_default();
        let of_repository = self.repositories.entry(repository).or_default();
        // The narrowest limit comes first: no room that others give up would help against it.
        if let Some(most) = limits.max_runners_per_repository.filter(|most| *of_repository >= *most) {
            return Err(Reason::with(Code::LimitRepository, most));
        }
        if self.deployment >= limits.max_runners {
            return Err(Reason::with(Code::LimitDeployment, limits.max_runners));
        }
        if let Some(most) = class.max_runners.filter(|most| *of_class >= *most) {
            return Err(Reason::with(
                Code::LimitClass,
                format_args!("{most} runners of class `{}`", class.name),
            ));
        }
        self.deployment += 1;
        *of_class += 1;
        *of_repository += 1;
        Ok(())
    }

    /// Takes a slot for a runner that takes over a warm task, which has the other slots already.
    pub(super) fn take_over(&mut self, repository: &'a Repository, limits: &Limits) -> Result<(), Reason> {
        let of_repository = self.repositories.entry(repository).or_default();
        if let Some(most) = limits.max_runners_per_repository.filter(|most| *of_repository >= *most) {
            return Err(Reason::with(Code::LimitRepository, most));
        }
        *of_repository += 1;
        Ok(())
    }

    /// Takes the slots of a warm task; false if there are none.
    pub(super) fn take_warm(&mut self, class: &'a Class, limits: &Limits) -> bool {
        let of_class = self.classes.entry(&class.name).or_default();
        let is_free =
            self.deployment < limits.max_runners && class.max_runners.is_none_or(|most| *of_class < most);
        if is_free {
            self.deployment += 1;
            *of_class += 1;
        }
        is_free
    }
}
