//! Deletes this deployment's registrations that no open record names.

use std::ops::ControlFlow;

use ecsrunner_core::decide::sweep::registrations::{Listed, MAX_DELETED, MAX_PAGES, due, remember, unwanted};
use ecsrunner_core::id::{RunnerId, RunnerName};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::rules::pool::Scope;
use ecsrunner_core::wire::event::Keys;
use tracing::info;

use super::Pass;
use crate::ports::github::{Deletion, GitHub, GitHubError, RegistrationPage};
use crate::ports::store::{Store, StoreError};
use crate::{Engine, World};

/// Why a registration was not deleted.
#[derive(Debug, thiserror::Error)]
enum DeleteError {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The calls that the pass has made so far.
#[derive(Default)]
struct Calls {
    pages: u32,
    deletions: usize,
}

impl<W: World> Engine<W> {
    /// Sweeps the scopes that are due.
    pub(super) async fn sweep_registrations(&self, pass: &mut Pass, open: &Open) {
        pass.progress.scopes = remember(&pass.progress.scopes, open, pass.now);
        let mut calls = Calls::default();
        for index in due(&pass.progress.scopes, pass.now) {
            loop {
                if calls.pages == MAX_PAGES {
                    pass.swept.cut = true;
                    return;
                }
                if !pass.has_time(&self.ports.clock) {
                    return;
                }
                calls.pages += 1;
                match self.sweep_scope(pass, &mut calls, index, open).await {
                    ControlFlow::Continue(true) => {}
                    ControlFlow::Continue(false) => break,
                    ControlFlow::Break(()) => return,
                }
            }
        }
    }

    /// Sweeps one page of a scope; returns whether another page follows. Breaks
    /// if nothing more can be done in this pass.
    async fn sweep_scope(
        &self,
        pass: &mut Pass,
        calls: &mut Calls,
        index: usize,
        open: &Open,
    ) -> ControlFlow<(), bool> {
        let known = &pass.progress.scopes[index];
        let (scope, number) = (known.scope.clone(), known.next_page);
        let page = match self.ports.github.registrations(&scope, number).await {
            Ok(page) => page,
            Err(error) => return put_off(pass, index, &error.into()),
        };
        let listed: Vec<Listed<'_>> = listed(&page);
        let rules = self.rules();
        for (name, id) in unwanted(&listed, open, &rules.settings.deployment, pass.now) {
            if calls.deletions == MAX_DELETED {
                pass.swept.cut = true;
                return ControlFlow::Break(());
            }
            if !pass.has_time(&self.ports.clock) {
                return ControlFlow::Break(());
            }
            calls.deletions += 1;
            match self.delete_unwanted(&scope, &name, id).await {
                Ok(deleted) => pass.swept.deleted_registrations += usize::from(deleted),
                // One runner's record cannot be read; continue with the others.
                Err(error @ DeleteError::Store(StoreError::Refused { .. })) => {
                    pass.failed("registrations", &error);
                }
                Err(error) => return put_off(pass, index, &error),
            }
        }
        pass.progress.scopes[index].page_read(page.more, pass.now);
        ControlFlow::Continue(page.more)
    }

    /// Deletes a registration, unless its runner has a record by now.
    async fn delete_unwanted(
        &self,
        scope: &Scope,
        name: &RunnerName,
        id: RunnerId,
    ) -> Result<bool, DeleteError> {
        let keys = Keys::of_runner(name);
        if self.ports.store.load(&keys).await?.runner.is_some() {
            return Ok(false);
        }
        let deleted = self.ports.github.delete_runner(scope, id).await? == Deletion::Deleted;
        if deleted {
            info!(runner = %name, %scope, "deleted a registration that no record names");
        }
        Ok(deleted)
    }
}

/// Postpones the scope to its next turn. If GitHub throttles calls or the store
/// fails, the other scopes wait for the next pass too.
fn put_off(pass: &mut Pass, index: usize, error: &DeleteError) -> ControlFlow<(), bool> {
    pass.failed("registrations", error);
    let DeleteError::GitHub(error) = error else { return ControlFlow::Break(()) };
    pass.progress.scopes[index].put_off(pass.now);
    match error {
        GitHubError::Throttled { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(false),
    }
}

fn listed(page: &RegistrationPage) -> Vec<Listed<'_>> {
    let runners = page.runners.iter();
    runners
        .map(|(name, registration)| Listed { name, id: registration.id, busy: registration.busy })
        .collect()
}
