//! All ports with calls that can fail.

use std::collections::HashSet;
use std::time::Duration;

use ecsrunner_core::decide::sweep::{SeenTask, SweepProgress};
use ecsrunner_core::id::{
    Account, DeliveryId, Epoch, HostId, InstanceId, JobId, Repository, RunId, RunnerId, RunnerName, TaskId,
};
use ecsrunner_core::records::change::Records;
use ecsrunner_core::records::image::{Built, Newest, Ordered};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::records::spend::Spending;
use ecsrunner_core::rules::class::size::Arch;
use ecsrunner_core::rules::pace::{Bucket, Level};
use ecsrunner_core::rules::placement::Placement;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::boot::TaskRole;
use ecsrunner_core::wire::event::Keys;
use ecsrunner_engine::ports::compute::{Compute, ComputeError, TaskOrder};
use ecsrunner_engine::ports::github::{
    Deletion, DeliveredWebhook, DeliveryPage, GitHub, GitHubError, JitConfig, QueuedJobs, Registration,
    RegistrationPage, RemoteJob, RemoteRun, RepositoryPage, RunPart,
};
use ecsrunner_engine::ports::images::{BuildState, ImageError, Images};
use ecsrunner_engine::ports::queue::{Queue, QueueError};
use ecsrunner_engine::ports::store::{
    Lease, LeaseRequest, Leases, LevelSet, Levels, Progress, Revocation, Spend, Store, StoreError,
    Transaction, Unreadable,
};
use jiff::Timestamp;
use jiff::civil::Date;

use super::{Faulty, Method};

impl<T: Store> Store for Faulty<T> {
    async fn load(&self, keys: &Keys) -> Result<Records, StoreError> {
        self.through(Method::Load, self.port.load(keys)).await
    }

    async fn commit(&self, transaction: Transaction<'_>) -> Result<(), StoreError> {
        self.through(Method::Commit, self.port.commit(transaction)).await
    }

    async fn open(&self) -> Result<Open, StoreError> {
        self.through(Method::Open, self.port.open()).await
    }

    async fn revoke(&self, task: &TaskId, role: TaskRole) -> Result<Revocation, StoreError> {
        self.through(Method::Revoke, self.port.revoke(task, role)).await
    }

    async fn set_aside(&self, what: Unreadable<'_>) -> Result<(), StoreError> {
        self.through(Method::SetAside, self.port.set_aside(what)).await
    }
}

impl<T: Leases> Leases for Faulty<T> {
    async fn kick(&self) -> Result<u64, StoreError> {
        self.through(Method::Kick, self.port.kick()).await
    }

    async fn kicks(&self) -> Result<u64, StoreError> {
        self.through(Method::Kicks, self.port.kicks()).await
    }

    async fn take(
        &self,
        request: &LeaseRequest,
        now: Timestamp,
        length: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        self.through(Method::Take, self.port.take(request, now, length)).await
    }

    async fn renew(&self, epoch: Epoch, now: Timestamp, length: Duration) -> Result<bool, StoreError> {
        self.through(Method::Renew, self.port.renew(epoch, now, length)).await
    }

    async fn release(
        &self,
        epoch: Epoch,
        kicks: Option<u64>,
        next_kick_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        self.through(Method::Release, self.port.release(epoch, kicks, next_kick_at)).await
    }
}

impl<T: Levels> Levels for Faulty<T> {
    async fn set_level(
        &self,
        bucket: &Bucket,
        before: Option<Level>,
        after: Level,
    ) -> Result<LevelSet, StoreError> {
        self.through(Method::SetLevel, self.port.set_level(bucket, before, after)).await
    }
}

impl<T: Spend> Spend for Faulty<T> {
    async fn spent(&self, since: Date, now: Timestamp) -> Result<Spending, StoreError> {
        self.through(Method::Spent, self.port.spent(since, now)).await
    }
}

impl<T: Progress> Progress for Faulty<T> {
    async fn progress(&self) -> Result<SweepProgress, StoreError> {
        self.through(Method::Progress, self.port.progress()).await
    }

    async fn keep_progress(&self, progress: &SweepProgress) -> Result<(), StoreError> {
        self.through(Method::KeepProgress, self.port.keep_progress(progress)).await
    }

    async fn recorded_deliveries(&self, ids: &[DeliveryId]) -> Result<HashSet<DeliveryId>, StoreError> {
        self.through(Method::RecordedDeliveries, self.port.recorded_deliveries(ids)).await
    }
}

impl<T: Compute> Compute for Faulty<T> {
    async fn run_task(&self, order: &TaskOrder<'_>) -> Result<TaskId, ComputeError> {
        self.through(Method::RunTask, self.port.run_task(order)).await
    }

    async fn stop_task(&self, task: &TaskId, reason: &str) -> Result<(), ComputeError> {
        self.through(Method::StopTask, self.port.stop_task(task, reason)).await
    }

    async fn tasks(&self) -> Result<Vec<SeenTask>, ComputeError> {
        self.through(Method::Tasks, self.port.tasks()).await
    }

    async fn host_of(
        &self,
        instance: &InstanceId,
        placement: &Placement,
    ) -> Result<Option<HostId>, ComputeError> {
        self.through(Method::HostOf, self.port.host_of(instance, placement)).await
    }

    async fn drain(&self, instance: &InstanceId) -> Result<(), ComputeError> {
        self.through(Method::Drain, self.port.drain(instance)).await
    }
}

impl<T: GitHub> GitHub for Faulty<T> {
    fn account(&self, scope: &Scope) -> Account {
        self.port.account(scope)
    }

    async fn generate_jitconfig(
        &self,
        scope: &Scope,
        runner: &RunnerName,
        labels: &[String],
    ) -> Result<JitConfig, GitHubError> {
        self.through(Method::GenerateJitconfig, self.port.generate_jitconfig(scope, runner, labels)).await
    }

    async fn runner(&self, scope: &Scope, runner: &RunnerName) -> Result<Option<Registration>, GitHubError> {
        self.through(Method::Runner, self.port.runner(scope, runner)).await
    }

    async fn delete_runner(&self, scope: &Scope, id: RunnerId) -> Result<Deletion, GitHubError> {
        self.through(Method::DeleteRunner, self.port.delete_runner(scope, id)).await
    }

    async fn job(&self, repository: &Repository, job: JobId) -> Result<Option<RemoteJob>, GitHubError> {
        self.through(Method::Job, self.port.job(repository, job)).await
    }

    async fn run(&self, repository: &Repository, run: RunId) -> Result<Option<RemoteRun>, GitHubError> {
        self.through(Method::Run, self.port.run(repository, run)).await
    }

    async fn latest_jobs(&self, repository: &Repository, run: RunId) -> Result<Vec<RemoteJob>, GitHubError> {
        self.through(Method::LatestJobs, self.port.latest_jobs(repository, run)).await
    }

    async fn run_again(&self, repository: &Repository, job: JobId) -> Result<(), GitHubError> {
        self.through(Method::RunAgain, self.port.run_again(repository, job)).await
    }

    async fn queued_jobs(&self, repository: &Repository, part: RunPart) -> Result<QueuedJobs, GitHubError> {
        self.through(Method::QueuedJobs, self.port.queued_jobs(repository, part)).await
    }

    async fn repositories(
        &self,
        owner: Option<&Account>,
        cursor: Option<&str>,
    ) -> Result<RepositoryPage, GitHubError> {
        self.through(Method::Repositories, self.port.repositories(owner, cursor)).await
    }

    async fn registrations(&self, scope: &Scope, page: u32) -> Result<RegistrationPage, GitHubError> {
        self.through(Method::Registrations, self.port.registrations(scope, page)).await
    }

    async fn deliveries(&self, cursor: Option<&str>) -> Result<Option<DeliveryPage>, GitHubError> {
        self.through(Method::Deliveries, self.port.deliveries(cursor)).await
    }

    async fn delivery(&self, number: u64) -> Result<Option<DeliveredWebhook>, GitHubError> {
        self.through(Method::Delivery, self.port.delivery(number)).await
    }
}

impl<T: Images> Images for Faulty<T> {
    async fn start_build(&self, arch: Arch, ordered: &Ordered) -> Result<String, ImageError> {
        self.through(Method::StartBuild, self.port.start_build(arch, ordered)).await
    }

    async fn build(&self, arch: Arch, id: &str) -> Result<BuildState, ImageError> {
        self.through(Method::Build, self.port.build(arch, id)).await
    }

    async fn promote(&self, arch: Arch, built: &Built) -> Result<(), ImageError> {
        self.through(Method::Promote, self.port.promote(arch, built)).await
    }

    async fn newest_runner(&self) -> Result<Option<Newest>, ImageError> {
        self.through(Method::NewestRunner, self.port.newest_runner()).await
    }
}

impl<T: Queue> Queue for Faulty<T> {
    async fn post_kick(&self, after: Duration) -> Result<(), QueueError> {
        self.through(Method::PostKick, self.port.post_kick(after)).await
    }
}
