//! The commit of a run, as the fake GitHub's events describe it.

use std::process::Command;

use anyhow::Context;
use serde::Serialize;

use super::repository::text;

#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Commit {
    tree_id: String,
    message: String,
    /// RFC 3339.
    timestamp: String,
    author: Person,
    committer: Person,
    /// The commit before it; `None` for the first commit of a repository.
    parent: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
struct Person {
    name: String,
    email: String,
}

impl Commit {
    /// Reads a commit. `described` is the commit whose message and people are shown: not one that only holds changes
    /// which are not committed.
    pub(super) fn read(git: impl Fn() -> Command, sha: &str, described: &str) -> anyhow::Result<Self> {
        const FORMAT: &str = "--format=%an%x00%ae%x00%cn%x00%ce%x00%cI%x00%B";
        let show = ["-c", "log.showSignature=false", "log", "-1", "--encoding=UTF-8", FORMAT, described];
        let shown = text(git().args(show))?;
        let parts: Vec<&str> = shown.splitn(6, '\0').collect();
        let [author, author_email, committer, committer_email, timestamp, message] = parts.as_slice() else {
            return Err(anyhow::anyhow!("git log gave {} values, not 6", parts.len()))
                .with_context(|| format!("the commit {described} cannot be read"));
        };
        let person = |name: &str, email: &str| Person { name: name.to_owned(), email: email.to_owned() };
        Ok(Self {
            tree_id: text(git().args(["rev-parse", &format!("{sha}^{{tree}}")]))?,
            message: (*message).to_owned(),
            timestamp: (*timestamp).to_owned(),
            author: person(author, author_email),
            committer: person(committer, committer_email),
            parent: text(git().args(["rev-parse", "-q", "--verify", &format!("{sha}^")])).ok(),
        })
    }
}
