//! The engine's view of GitHub.

use ecsrunner_core::id::{Account, JobId, Repository, RunId, RunnerId, RunnerName};
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_engine::ports::github::{
    Deletion, DeliveredWebhook, DeliveryPage, GitHub, GitHubError, JitConfig, QueuedJobs, Registration,
    RegistrationPage, RemoteJob, RemoteRun, RepositoryPage, RunPart,
};
use secrecy::SecretString;

use super::happening::TaskStep;
use super::hub::{HubJob, HubRunner};
use super::state::{Shared, State};
use super::time::Millis;
use crate::faults::Method;

/// The size of a page of registrations.
const PAGE: usize = 100;
/// How long a listener takes at most to notice that its registration is gone.
const NOTICE_MS: usize = 10_000;

#[derive(Clone, Debug)]
pub struct LoadGitHub(pub(super) Shared);

impl State {
    fn delete_runner(&mut self, scope: &Scope, id: RunnerId, now: Millis) -> Deletion {
        match self.hub.runners.get(&id).filter(|runner| runner.scope == *scope) {
            None => return Deletion::Absent,
            Some(runner) if runner.job.is_some() => return Deletion::Busy,
            Some(_) => {}
        }
        if let Some(task) = self.hub.remove(id).and_then(|removed| removed.task) {
            let notices = self.random.below(NOTICE_MS);
            self.also(task, now + Millis::try_from(notices).unwrap_or_default(), TaskStep::GiveUp);
        }
        Deletion::Deleted
    }
}

impl GitHub for LoadGitHub {
    fn account(&self, scope: &Scope) -> Account {
        scope.owner()
    }

    async fn generate_jitconfig(
        &self,
        scope: &Scope,
        runner: &RunnerName,
        labels: &[String],
    ) -> Result<JitConfig, GitHubError> {
        self.0.call(Method::GenerateJitconfig).await;
        let now = self.0.now();
        let hub = &mut self.0.lock().hub;
        hub.admit(&scope.owner(), now)
            .map_err(|after| GitHubError::Throttled { operation: "generate-jitconfig".to_owned(), after })?;
        let id = hub.register(runner, scope, labels).ok_or(GitHubError::NameTaken)?;
        Ok(JitConfig { runner_id: id, encoded: SecretString::from(id.to_string()) })
    }

    async fn runner(&self, scope: &Scope, runner: &RunnerName) -> Result<Option<Registration>, GitHubError> {
        self.0.call(Method::Runner).await;
        let hub = &self.0.lock().hub;
        let id = hub.by_name.get(runner);
        let found = id.and_then(|id| Some((*id, hub.runners.get(id)?)));
        Ok(found.filter(|(_, runner)| runner.scope == *scope).map(|(id, runner)| runner.registration(id)))
    }

    async fn delete_runner(&self, scope: &Scope, id: RunnerId) -> Result<Deletion, GitHubError> {
        self.0.call(Method::DeleteRunner).await;
        let now = self.0.now();
        Ok(self.0.lock().delete_runner(scope, id, now))
    }

    async fn job(&self, _repository: &Repository, job: JobId) -> Result<Option<RemoteJob>, GitHubError> {
        self.0.call(Method::Job).await;
        Ok(self.0.lock().hub.job(job).map(HubJob::remote))
    }

    async fn run(&self, repository: &Repository, _run: RunId) -> Result<Option<RemoteRun>, GitHubError> {
        self.0.call(Method::Run).await;
        Ok(Some(RemoteRun {
            event: "push".to_owned(),
            head_repository: Some(repository.clone()),
            actor: None,
            private: Some(true),
            attempt: 1,
            is_completed: false,
        }))
    }

    async fn latest_jobs(
        &self,
        _repository: &Repository,
        _run: RunId,
    ) -> Result<Vec<RemoteJob>, GitHubError> {
        // A load runs no job again.
        Ok(Vec::new())
    }

    async fn run_again(&self, _repository: &Repository, _job: JobId) -> Result<(), GitHubError> {
        Ok(())
    }

    async fn queued_jobs(&self, _repository: &Repository, _part: RunPart) -> Result<QueuedJobs, GitHubError> {
        // No webhook is lost, so no job is left to be found.
        Ok(QueuedJobs { jobs: Vec::new(), next: None, calls: 1 })
    }

    async fn repositories(
        &self,
        _owner: Option<&Account>,
        _cursor: Option<&str>,
    ) -> Result<RepositoryPage, GitHubError> {
        Ok(RepositoryPage { repositories: Vec::new(), next: None, calls: 1, passed_over: None })
    }

    async fn registrations(&self, scope: &Scope, page: u32) -> Result<RegistrationPage, GitHubError> {
        self.0.call(Method::Registrations).await;
        let hub = &self.0.lock().hub;
        let mut of_scope: Vec<(&RunnerId, &HubRunner)> =
            hub.runners.iter().filter(|(_, runner)| runner.scope == *scope).collect();
        of_scope.sort_unstable_by_key(|(id, _)| **id);
        let before = usize::try_from(page.saturating_sub(1)).unwrap_or(0) * PAGE;
        let more = of_scope.len() > before + PAGE;
        let of_page = of_scope.into_iter().skip(before).take(PAGE);
        let runners =
            of_page.map(|(id, runner)| (runner.name.to_string(), runner.registration(*id))).collect();
        Ok(RegistrationPage { runners, more })
    }

    async fn deliveries(&self, _cursor: Option<&str>) -> Result<Option<DeliveryPage>, GitHubError> {
        // No webhook is lost, so the sweep need not read them all.
        self.0.call(Method::Deliveries).await;
        Ok(Some(DeliveryPage { deliveries: Vec::new(), next: None }))
    }

    async fn delivery(&self, _number: u64) -> Result<Option<DeliveredWebhook>, GitHubError> {
        Ok(None)
    }
}
