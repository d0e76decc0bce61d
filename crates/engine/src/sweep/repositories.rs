//! Finds queued jobs whose webhooks no list of deliveries shows, by asking the
//! repositories in rotation, within a budget of calls.

use ecsrunner_core::decide::sweep::repositories::{MAX_RUNS, Rotation, Step};
use ecsrunner_core::id::{Account, Repository};
use ecsrunner_core::records::hold::{Held, Hold};
use ecsrunner_core::records::open::Open;
use ecsrunner_core::rules::pool::Scope;
use tracing::{info, warn};

use super::Pass;
use crate::discover::DiscoverError;
use crate::ports::github::{GitHub, GitHubError, RunPart};
use crate::ports::{Clock, Disposition};
use crate::{Engine, World, chain};

/// The calls that are counted for one that failed: reading two lists of runs.
const CALLS_OF_A_FAILURE: u32 = 2;
/// A pass stops after this many repositories for which GitHub did not answer.
const MAX_UNANSWERED: usize = 3;

/// Whether a pass asks further repositories.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flow {
    Continue,
    Stop,
}

impl<W: World> Engine<W> {
    /// Continues the rotation through the repositories.
    pub(super) async fn sweep_repositories(&self, pass: &mut Pass, open: &Open) {
        let rules = self.rules();
        let mut rotation = Rotation::begin(&pass.progress.repositories, &rules.settings.policy, pass.now);
        let mut unanswered = 0;
        loop {
            let step = rotation.step();
            if step == Step::Done || !pass.has_time(&self.ports.clock) {
                break;
            }
            let flow = match step {
                Step::Done => Flow::Stop,
                Step::List { owner, cursor } => {
                    self.list_repositories(pass, &mut rotation, owner.as_ref(), cursor.as_deref()).await
                }
                Step::Ask { repository, after } => match self.resting(&repository, open) {
                    // That concerns no other repository.
                    Some(Held::Scope(Scope::Repository(_))) => {
                        rotation.passed_over(0);
                        Flow::Continue
                    }
                    // The engine's own calls rest too. The rotation continues after them.
                    Some(_) => Flow::Stop,
                    None => {
                        let part = RunPart { after, most: MAX_RUNS };
                        self.ask_repository(pass, &mut rotation, open, (&repository, part), &mut unanswered)
                            .await
                    }
                },
            };
            if flow == Flow::Stop {
                break;
            }
        }
        pass.progress.repositories = rotation.end();
    }

    async fn list_repositories(
        &self,
        pass: &mut Pass,
        rotation: &mut Rotation<'_>,
        owner: Option<&Account>,
        cursor: Option<&str>,
    ) -> Flow {
        match self.ports.github.repositories(owner, cursor).await {
            Ok(page) => {
                if let Some(words) = page.passed_over {
                    pass.swept.failed += 1;
                    warn!(error = words, "could not list an installation's repositories");
                }
                rotation.listed(&page.repositories, page.next, page.calls);
                Flow::Continue
            }
            Err(error) => {
                pass.failed("the list of repositories", &error);
                match error.disposition() {
                    Disposition::Permanent | Disposition::AlreadyDone => {
                        rotation.list_refused(1);
                        Flow::Continue
                    }
                    Disposition::Retry { after } => {
                        rotation.spend(1);
                        if let Some(after) = after {
                            rotation.rest_until(self.ports.clock.now() + after);
                        }
                        Flow::Stop
                    }
                }
            }
        }
    }

    async fn ask_repository(
        &self,
        pass: &mut Pass,
        rotation: &mut Rotation<'_>,
        open: &Open,
        (repository, part): (&Repository, RunPart),
        unanswered: &mut usize,
    ) -> Flow {
        let error = match self.discover_in(open, repository, part, pass.until).await {
            Ok(discovered) => {
                pass.swept.discovered += discovered.found;
                rotation.asked(repository, discovered.next, discovered.calls);
                return Flow::Continue;
            }
            Err(DiscoverError::Store(error)) => {
                pass.failed("repositories", &error);
                return Flow::Stop;
            }
            Err(DiscoverError::GitHub(error)) => error,
        };
        if let GitHubError::Throttled { after, .. } = &error {
            info!(%repository, after_secs = after.as_secs(), "GitHub throttles: repositories are asked later");
            rotation.spend(CALLS_OF_A_FAILURE);
            rotation.rest_until(self.ports.clock.now() + *after);
            return Flow::Stop;
        }
        // A repository that is gone or out of reach must not hold up the others.
        let is_refused = error.disposition() == Disposition::Permanent;
        let advice = is_refused.then_some("install the App there, or correct `repositories`");
        warn!(%repository, error = %chain(&error), advice, "could not look for queued jobs");
        rotation.passed_over(CALLS_OF_A_FAILURE);
        *unanswered += usize::from(!is_refused);
        if *unanswered < MAX_UNANSWERED { Flow::Continue } else { Flow::Stop }
    }

    /// Returns what rests while GitHub does not answer for a repository, or asks for a pause: its account, or its scope.
    pub(crate) fn resting(&self, repository: &Repository, open: &Open) -> Option<Held> {
        let scope = self.rules().settings.registration.scope(repository);
        let held = [Held::Account(self.ports.github.account(&scope)), Held::Scope(scope)];
        let now = self.ports.clock.now();
        let rests = |hold: &&Hold| hold.fault.rests_github() && now < hold.not_before;
        held.into_iter().find(|held| open.holds.get(held).filter(rests).is_some())
    }
}
