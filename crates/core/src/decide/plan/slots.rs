//! Places in the limits, counted from what is open.

use std::collections::HashMap;

use crate::class::Class;
use crate::id::{ClassName, Repository};
use crate::limits::Limits;
use crate::plan::Open;
use crate::reason::{Code, Reason};

#[derive(Default)]
pub(super) struct Places<'a> {
    deployment: u32,
    classes: HashMap<&'a ClassName, u32>,
    repositories: HashMap<&'a Repository, u32>,
}

impl<'a> Places<'a> {
    pub(super) fn count(open: &'a Open) -> Self {
        let unreadable = u32::try_from(open.unreadable_runners).unwrap_or(u32::MAX);
        let mut places = Self { deployment: unreadable, ..Self::default() };
        for runner in open.runners.iter().filter(|runner| runner.holds_place()) {
            places.deployment += 1;
            *places.classes.entry(&runner.facts.class).or_default() += 1;
            *places.repositories.entry(&runner.facts.repository).or_default() += 1;
        }
        places
    }

    /// Takes a place in every limit, or in none.
    pub(super) fn take(
        &mut self,
        class: &'a Class,
        repository: &'a Repository,
        limits: &Limits,
    ) -> Result<(), Reason> {
        let of_class = self.classes.entry(&class.name).or_default();
        let of_repository = self.repositories.entry(repository).or_default();
        if self.deployment >= limits.max_runners {
            return Err(Reason::with(Code::LimitDeployment, limits.max_runners));
        }
        if let Some(most) = class.max_runners.filter(|most| *of_class >= *most) {
            return Err(Reason::with(
                Code::LimitClass,
                format_args!("{most} runners of class `{}`", class.name),
            ));
        }
        if let Some(most) = limits.max_runners_per_repository.filter(|most| *of_repository >= *most) {
            return Err(Reason::with(Code::LimitRepository, most));
        }
        self.deployment += 1;
        *of_class += 1;
        *of_repository += 1;
        Ok(())
    }
}
