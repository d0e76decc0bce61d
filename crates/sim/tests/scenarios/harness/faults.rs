//! Faults of a subnet, a capacity provider, a repository, or GitHub.

use ecsrunner_core::id::{Account, Repository};
use ecsrunner_core::records::hold::{Failure, Held, Hold};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::fault::Fault;
use ecsrunner_world::ecs::{CallFault, FaultAnswer, Provider, Shortage, StartFault, Status};
use ecsrunner_world::faults::{ExitRecords, Mishap, MishapKind};
use ecsrunner_world::github::{HubFaults, RegistrationFailure, Trouble};

use jiff::SignedDuration;

use super::World;
use super::jobs::repository;

impl World {
    /// Makes AWS accept tasks in the subnet that never run.
    pub(crate) fn break_subnet(&self, subnet: &str) {
        let reason =
            "ResourceInitializationError: unable to pull secrets or registry auth: connection timed out";
        self.add_start_fault(None, Some(subnet), reason);
    }

    /// Makes the next tasks fail to pull their image.
    pub(crate) fn fail_next_starts(&self, count: u32) {
        self.add_start_fault(Some(count), None, "CannotPullContainerError: pull timed out");
    }

    fn add_start_fault(&self, times: Option<u32>, subnet: Option<&str>, reason: &str) {
        let (subnet, reason) = (subnet.map(str::to_owned), reason.to_owned());
        let fault = StartFault { times, subnet, reason, status: Status::Pending };
        self.outside().ecs.faults_mut().start.push(fault);
    }

    /// Takes the capacity of the provider away in every subnet.
    pub(crate) fn exhaust(&self, provider: Provider) {
        let shortage = Shortage { provider: Some(provider), ..Shortage::default() };
        self.outside().ecs.faults_mut().short.push(shortage);
    }

    /// Gives all capacity back.
    pub(crate) fn restore_capacity(&self) {
        self.outside().ecs.faults_mut().short.clear();
    }

    /// Leaves the next launches without an answer that says whether there is a task.
    pub(crate) fn fail_next_launches(&self, count: u32) {
        let answer = FaultAnswer::Error {
            code: "ServerException".to_owned(),
            message: "Service Unavailable. Please try again later.".to_owned(),
        };
        let fault = CallFault { times: Some(count), ..CallFault::once("RunTask", answer) };
        self.outside().ecs.faults_mut().calls.push(fault);
    }

    /// Makes AWS throttle every launch, or no longer.
    pub(crate) fn throttle_launches(&self, throttled: bool) {
        let outside = &mut *self.outside();
        let faults = &mut outside.ecs.faults_mut().calls;
        faults.clear();
        if throttled {
            let answer = FaultAnswer::Error {
                code: "ThrottlingException".to_owned(),
                message: "Rate exceeded".to_owned(),
            };
            faults.push(CallFault { times: None, ..CallFault::once("RunTask", answer) });
        }
    }

    /// Sets the quota of vCPUs that run at once.
    pub(crate) fn limit_vcpus(&self, provider: Provider, count: u32) {
        self.outside().ecs.faults_mut().vcpu_quotas.insert(provider, count);
    }

    /// Prevents runners of a repository of `acme` from connecting.
    pub(crate) fn block_connections_of(&self, name: &str) {
        self.github_faults(|faults| {
            faults.unconnectable.insert(repository(name));
        });
    }

    /// Makes GitHub take registrations of a repository of `acme` away before it gives them a job.
    pub(crate) fn lose_registrations_of(&self, name: &str) {
        self.github_faults(|faults| {
            faults.losing.insert(repository(name));
        });
    }

    /// Makes registrations in a repository of `acme` get no answer.
    pub(crate) fn hang_registrations_of(&self, name: &str) {
        self.github_faults(|faults| {
            faults.hanging.insert(repository(name));
        });
    }

    /// Makes a part of the registrations fail.
    pub(crate) fn fail_registrations(&self, probability: f64, failure: RegistrationFailure) {
        self.github_faults(|faults| {
            (faults.registration_fails, faults.registration_failure) = (probability, failure);
        });
    }

    pub(crate) fn github_faults(&self, change: impl FnOnce(&mut HubFaults)) {
        change(&mut self.outside().hub.faults);
    }

    /// Sets how often exit records come.
    pub(crate) fn bring_exit_records(&self, records: ExitRecords) {
        self.outside().fault_plan.exit_records = records;
    }

    /// Leaves the times of the pull out of ECS's events.
    pub(crate) fn omit_pull_times(&self, omit: bool) {
        self.outside().ecs.faults_mut().events.omit_pull_times = f64::from(u8::from(omit));
    }

    /// Loses all webhooks from now on.
    pub(crate) fn lose_webhooks(&self) {
        self.outside().fault_plan.webhooks.lose = 1.0;
    }

    /// Creates the repositories `app0`, `app1` and so on of `acme`.
    pub(crate) fn make_repositories(&self, count: usize) {
        let repositories = (0..count).map(|number| (repository(&format!("app{number}")), false));
        self.outside().hub.repositories.extend(repositories);
    }

    /// Creates a repository of any account.
    pub(crate) fn make_repository(&self, name: &str) {
        self.outside().hub.repositories.insert(Repository::parse(name).unwrap(), false);
    }

    /// Archives repositories of `acme`.
    pub(crate) fn archive(&self, names: &[&str]) {
        let archived = names.iter().map(|name| (repository(name), true));
        self.outside().hub.repositories.extend(archived);
    }

    /// Makes GitHub answer lists of the runs of repositories of `acme` with this status.
    pub(crate) fn refuse_lists_of(&self, names: &[&str], status: u16) {
        let unlistable = names.iter().map(|name| (repository(name), status));
        self.github_faults(|faults| faults.unlistable.extend(unlistable));
    }

    /// Makes GitHub answer with this status when the repositories of an account's installation are listed.
    pub(crate) fn refuse_installation(&self, account: &str, status: u16) {
        let account = Account::parse(account).unwrap();
        self.github_faults(|faults| {
            faults.unlistable_installations.insert(account, status);
        });
    }

    /// Holds back registrations of a repository of `acme`, as after many calls that GitHub did not answer.
    pub(crate) fn let_rest(&self, name: &str, length: SignedDuration) {
        let now = self.now();
        let held = Held::Scope(Scope::Repository(repository(name)));
        let failure = Failure::of(Fault::NoAnswer, "GitHub answered 502", now, now);
        let hold = Hold { not_before: now + length, ..Hold::after(None, held, &failure) };
        self.outside().tables.open.add_hold(hold);
    }

    /// Holds the account `acme` as the previous version did, whose holds did not say why. The hold's time is over.
    pub(crate) fn hold_account_as_before(&self) {
        let now = self.now();
        let account = Held::Account(Account::parse("acme").unwrap());
        let failure = Failure::of(Fault::Unknown, "GitHub throttles the account", now, now);
        self.outside().tables.open.add_hold(Hold { not_before: now, ..Hold::after(None, account, &failure) });
    }

    /// Makes GitHub refuse registrations, since the App has lost a permission.
    pub(crate) fn refuse_registrations(&self) {
        self.outside().hub.trouble = Trouble::Refused;
    }

    /// Kills the function's process three calls from now.
    pub(crate) fn kill_dispatcher(&self) {
        let mut outside = self.outside();
        let call = outside.ledger.all_calls() + 3;
        outside.fault_plan.mishap = Some(Mishap { call, after: false, kind: MishapKind::Kill });
    }

    /// Makes GitHub answer everything with 502.
    pub(crate) fn begin_outage(&self) {
        self.outside().hub.trouble = Trouble::Outage;
    }

    /// Ends outages and hanging registrations of GitHub.
    pub(crate) fn heal_github(&self) {
        let mut outside = self.outside();
        outside.hub.trouble = Trouble::None;
        outside.hub.faults.hanging.clear();
    }
}
