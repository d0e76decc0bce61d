//! Faults and what they hit: a subnet, a capacity provider, a repository, GitHub.

use ecsrunner_world::ecs::{Provider, Shortage, StartFault, Status};
use ecsrunner_world::faults::{Mishap, MishapKind};
use ecsrunner_world::github::{HubFaults, RegistrationFailure, Trouble};

use super::World;
use super::jobs::repository;

impl World {
    /// Tasks in the subnet are accepted and never run.
    pub(crate) fn break_subnet(&self, subnet: &str) {
        let reason =
            "ResourceInitializationError: unable to pull secrets or registry auth: connection timed out";
        self.add_start_fault(None, Some(subnet), reason);
    }

    /// The next tasks fail to pull their image.
    pub(crate) fn fail_next_starts(&self, count: u32) {
        self.add_start_fault(Some(count), None, "CannotPullContainerError: pull timed out");
    }

    fn add_start_fault(&self, times: Option<u32>, subnet: Option<&str>, reason: &str) {
        let (subnet, reason) = (subnet.map(str::to_owned), reason.to_owned());
        let fault = StartFault { times, subnet, reason, status: Status::Pending };
        self.outside().ecs.faults_mut().start.push(fault);
    }

    /// The provider has no capacity in any subnet.
    pub(crate) fn exhaust(&self, provider: Provider) {
        let shortage = Shortage { provider: Some(provider), ..Shortage::default() };
        self.outside().ecs.faults_mut().short.push(shortage);
    }

    /// AWS lets so many vCPUs run at once.
    pub(crate) fn limit_vcpus(&self, provider: Provider, count: u32) {
        self.outside().ecs.faults_mut().vcpu_quotas.insert(provider, count);
    }

    /// Runners of a repository of `acme` cannot connect.
    pub(crate) fn block_connections_of(&self, name: &str) {
        self.github_faults(|faults| {
            faults.unconnectable.insert(repository(name));
        });
    }

    /// Registrations in a repository of `acme` get no answer.
    pub(crate) fn hang_registrations_of(&self, name: &str) {
        self.github_faults(|faults| {
            faults.hanging.insert(repository(name));
        });
    }

    /// A part of the registrations fails.
    pub(crate) fn fail_registrations(&self, probability: f64, failure: RegistrationFailure) {
        self.github_faults(|faults| {
            (faults.registration_fails, faults.registration_failure) = (probability, failure);
        });
    }

    pub(crate) fn github_faults(&self, change: impl FnOnce(&mut HubFaults)) {
        change(&mut self.outside().hub.faults);
    }

    /// The function's process dies three calls from now.
    pub(crate) fn kill_dispatcher(&self) {
        let mut outside = self.outside();
        let call = outside.ledger.all_calls() + 3;
        outside.fault_plan.mishap = Some(Mishap { call, after: false, kind: MishapKind::Kill });
    }

    /// GitHub answers everything with 502.
    pub(crate) fn begin_outage(&self) {
        self.outside().hub.trouble = Trouble::Outage;
    }

    /// GitHub is as it was: no outage, no hanging registrations.
    pub(crate) fn heal_github(&self) {
        let mut outside = self.outside();
        outside.hub.trouble = Trouble::None;
        outside.hub.faults.hanging.clear();
    }
}
