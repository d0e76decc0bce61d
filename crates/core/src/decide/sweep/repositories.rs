//! Without an App nobody lists lost webhooks: repositories that the policy
//! names one by one are asked for their queued jobs, in rotation.

use crate::id::Repository;
use crate::rules::policy::{Policy, RepositoryPattern};

/// The most repositories asked in one pass. Each costs two calls and one for
/// each of its active runs.
pub const MAX_ASKED: usize = 5;

/// A short list is gone through in this many passes: with one pass a minute,
/// each repository is asked each five minutes.
const PASSES: usize = 5;

/// The repositories to ask in this pass, when so many were asked before.
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
