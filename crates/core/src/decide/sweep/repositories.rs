//! Without an App, lost webhooks cannot be listed. Instead, the repositories that
//! the policy names exactly are asked for their queued jobs, in rotation.

use crate::id::Repository;
use crate::rules::policy::{Policy, RepositoryPattern};

/// The most repositories asked in one pass. Each costs two calls, and one more for
/// each of its active runs.
pub const MAX_ASKED: usize = 5;

/// In how many passes all repositories of a short list are asked: with one pass a
/// minute, each repository is asked every five minutes.
const PASSES: usize = 5;

/// Returns the repositories to ask in this pass; `asked` counts those of earlier passes.
#[must_use]
pub fn to_ask(policy: &Policy, asked: u32) -> Vec<Repository> {
    let mut named: Vec<Repository> = Vec::new();
    for repository in policy.repositories.iter().filter_map(RepositoryPattern::exact) {
        if !named.contains(&repository) {
            named.push(repository);
        }
    }
    let share = named.len().div_ceil(PASSES).min(MAX_ASKED);
    let offset = usize::try_from(asked).unwrap_or(0).checked_rem(named.len()).unwrap_or(0);
    named.into_iter().cycle().skip(offset).take(share).collect()
}
