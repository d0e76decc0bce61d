//! GitHub's lists of active runs and of repositories, page by page.

use std::collections::BTreeMap;

use ecsrunner_core::decide::sweep::repositories::Listed;
use ecsrunner_core::id::{Account, Repository, RunId};
use ecsrunner_engine::ports::github::{QueuedJobs, RepositoryPage, RunPart};

use super::hub::Hub;
use super::{HubJob, HubState};

/// The size of a page of jobs or repositories.
const PAGE: usize = 100;

impl Hub {
    /// Lists the queued jobs of a part of a repository's active runs.
    pub(super) fn queued_jobs(&self, repository: &Repository, part: RunPart) -> QueuedJobs {
        let after = part.after.map_or(0, RunId::get);
        let mut active: BTreeMap<RunId, Vec<&HubJob>> = BTreeMap::new();
        for job in self.jobs.values() {
            let is_active = !matches!(job.state, HubState::Completed { .. });
            if is_active && job.order.repository == *repository && job.run.get() > after {
                active.entry(job.run).or_default().push(job);
            }
        }
        let is_last = active.len() <= part.most;
        let runs: Vec<(RunId, Vec<&HubJob>)> = active.into_iter().take(part.most).collect();
        let next = runs.last().filter(|_| !is_last).map(|(run, _)| *run);
        // Two lists of runs, and the pages of each run's jobs.
        let pages: usize = runs.iter().map(|(_, jobs)| jobs.len().div_ceil(PAGE)).sum();
        let calls = u32::try_from(pages).unwrap_or(u32::MAX).saturating_add(2);
        let jobs = runs.iter().flat_map(|(_, jobs)| jobs).filter(|job| job.status() == "queued");
        QueuedJobs { jobs: jobs.map(|job| job.remote()).collect(), next, calls }
    }

    /// Lists a page of repositories of this owner's installation, or of all installations in turn. A cursor names an
    /// installation and a position in it.
    pub(super) fn repository_page(&self, owner: Option<&Account>, cursor: Option<&str>) -> RepositoryPage {
        let mut installations: BTreeMap<Account, Vec<Listed>> = BTreeMap::new();
        for (name, archived) in &self.repositories {
            let listed = Listed { name: name.clone(), private: true, active: !archived };
            installations.entry(name.account()).or_default().push(listed);
        }
        installations.retain(|account, _| owner.is_none_or(|owner| owner == account));
        let (current, from) = match cursor.and_then(|cursor| cursor.split_once(':')) {
            Some((account, from)) => (Account::parse(account).ok(), from.parse().unwrap_or(0)),
            None => (installations.keys().next().cloned(), 0),
        };
        let Some(current) = current else {
            return RepositoryPage { repositories: Vec::new(), next: None, calls: 1, passed_over: None };
        };
        let following = installations.keys().find(|account| **account > current);
        let following = following.map(|account| format!("{account}:0"));
        if let Some(status) = self.faults.unlistable_installations.get(&current) {
            let passed_over = Some(format!("GitHub answered {status}"));
            return RepositoryPage { repositories: Vec::new(), next: following, calls: 2, passed_over };
        }
        let of_installation = installations.get(&current).map(Vec::as_slice).unwrap_or_default();
        let repositories: Vec<Listed> = of_installation.iter().skip(from).take(PAGE).cloned().collect();
        let end = from + repositories.len();
        let next = if end < of_installation.len() { Some(format!("{current}:{end}")) } else { following };
        RepositoryPage { repositories, next, calls: 2, passed_over: None }
    }
}
