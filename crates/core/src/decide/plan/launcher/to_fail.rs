//! Launches runners that fail jobs which cannot be served.

use super::super::{Launch, Order, Plan};
use super::Launcher;
use crate::decide::budgets;
use crate::decide::images::{self, Choice};
use crate::decide::plan::choose::Wanted;
use crate::id::PoolId;
use crate::reason::{Code, Reason};
use crate::records::hold::{Held, Hold};
use crate::records::job::{Assignment, Job};
use crate::rules::class::{Capacity, Class};
use crate::rules::pace::Bucket;
use crate::rules::placement::Placement;

/// A job that is failed ends in its first second; its runner ends after this time in any case.
const MAX_MINUTES_TO_FAIL: u32 = 10;

impl<'a> Launcher<'a> {
    /// Whether a runner can be launched that fails the job: one can be registered in its scope, and a class is valid.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(in crate::decide::plan) fn can_fail(
        &self,
        job: &Job,
        reason: &Reason,
        plan: &mut Plan,
    ) -> Result<(), Reason> {
        let scope = self.rules.settings.registration.scope(&job.facts.repository);
        let account = (self.means.account)(&scope);
        self.admits_scope(&scope, &account, plan).map_err(|refusal| refusal.reason)?;
        if self.classes_to_fail(job).is_empty() { Err(reason.clone()) } else { Ok(()) }
    }

    /// Launches a runner that fails a job: of the smallest class whose runners start, in any placement with room.
    pub(in crate::decide::plan) fn launch_to_fail(
        &mut self,
        job: &'a Job,
        pool: &PoolId,
        reason: &Reason,
        plan: &mut Plan,
    ) -> Result<Launch, Reason> {
        let settings = self.rules.settings;
        let scope = settings.registration.scope(&job.facts.repository);
        let account = (self.means.account)(&scope);
        let mut refused = None;
        for class in self.classes_to_fail(job) {
            // It serves no job, so it tries no new image.
            let image = match images::choose(class, self.means.images, self.open, false) {
                Choice::Image(image) => image,
                Choice::Wait(reason) => {
                    refused.get_or_insert(reason);
                    continue;
                }
            };
            let placement = match self.placement_to_fail(class, job, plan) {
                Ok(placement) => placement,
                Err(reason) => {
                    refused.get_or_insert(reason);
                    continue;
                }
            };
            let buckets = [Bucket::Fargate(placement.market), Bucket::GitHub(account.clone())];
            self.admits_pace(&buckets, plan).map_err(|refusal| refusal.reason)?;
            if let Err(reason) = self.slots.take(class, &job.facts.repository, &settings.limits) {
                refused.get_or_insert(reason);
                continue;
            }
            for bucket in buckets {
                *self.owed.entry(bucket).or_default() += 1;
            }
            self.underway.add(&placement, class);
            let assignment = Assignment { class: class.name.clone(), pool: pool.clone() };
            let order = self.order(job, class, &assignment, placement, scope);
            let max_job_minutes = order.max_job_minutes.min(MAX_MINUTES_TO_FAIL);
            let order = Order { fails: true, max_job_minutes, image, ..order };
            return Ok(Launch {
                job: job.id(),
                job_version: job.version,
                order,
                warm: None,
                reason: reason.clone(),
            });
        }
        Err(refused.unwrap_or_else(|| reason.clone()))
    }

    /// Returns the classes whose runners are not known to fail and that no budget holds back, the smallest first.
    fn classes_to_fail(&self, job: &Job) -> Vec<&'a Class> {
        let is_held = |class: &&Class| {
            let hold = self.open.holds.get(&Held::Class(class.name.clone()));
            let repository = Some(&job.facts.repository);
            hold.is_some_and(Hold::is_effective)
                || budgets::holding(self.open, self.rules, &class.name, repository, self.now).is_some()
        };
        let catalogue = self.rules.catalogue;
        let mut classes: Vec<&Class> = catalogue.iter().filter(|class| !is_held(class)).collect();
        cheapest(&mut classes);
        classes
    }

    fn placement_to_fail(&self, class: &Class, job: &Job, plan: &mut Plan) -> Result<Placement, Reason> {
        let choices = self.choices();
        let mut refused = None;
        // On-Demand first: the runner is not to be lost.
        for capacity in [Capacity::OnDemand, Capacity::Spot] {
            let wanted = Wanted::of(class, capacity);
            match choices.choose(wanted, job.id().get(), self.now) {
                // A runner that tries a held placement serves a job.
                Ok((placement, false)) => return Ok(placement),
                Ok((_, true)) => {}
                Err(none) => {
                    if let Some(at) = none.not_before {
                        plan.wake_at(at);
                    }
                    refused.get_or_insert(none.reason);
                }
            }
        }
        Err(refused.unwrap_or_else(|| Code::NoCapacity.into()))
    }
}

/// Keeps the classes on Fargate, if there is one: an instance costs too much for a runner that only fails a job, which can
/// rather wait for a slot. Sorts them by their size, those with GPUs last.
fn cheapest(classes: &mut Vec<&Class>) {
    if classes.iter().any(|class| !class.is_managed()) {
        classes.retain(|class| !class.is_managed());
    }
    classes.sort_unstable_by_key(|class| {
        (class.gpu.is_some(), class.size.cpu(), class.size.memory(), &class.name)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::class::Catalogue;

    fn of(classes: &str) -> String {
        let (catalogue, errors) = Catalogue::read(&serde_json::from_str(classes).unwrap());
        assert_eq!(errors, []);
        let mut classes: Vec<&Class> = catalogue.iter().collect();
        cheapest(&mut classes);
        classes.iter().map(|class| class.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_smallest_class_on_fargate_comes_first_and_an_instance_is_for_catalogues_without_fargate() {
        let instances = r#""cuda": {"cpu": 1024, "memory": 2048, "compute": "managed-instances", "gpu": {"count": 1}},
                           "docker": {"cpu": 2048, "memory": 4096, "compute": "managed-instances", "docker": true}"#;
        assert_eq!(of(&format!("{{{instances}}}")), "docker cuda");
        let fargate = r#""large": {"cpu": 4096, "memory": 8192}, "small": {"cpu": 512, "memory": 1024},
                         "smallest": {"cpu": 256, "memory": 2048}, "tiny": {"cpu": 256, "memory": 512}"#;
        assert_eq!(of(&format!("{{{instances}, {fargate}}}")), "tiny smallest small large");
    }
}
