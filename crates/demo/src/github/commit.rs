//! The commit of a run, as events and the API describe it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Commit {
    tree_id: String,
    message: String,
    /// RFC 3339.
    timestamp: String,
    author: Person,
    committer: Person,
    /// The commit before it; `None` for the first commit of a repository.
    pub(super) parent: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    name: String,
    email: String,
}

impl Commit {
    /// Makes the commit of a run without a repository: the file was changed in GitHub's editor.
    pub(super) fn of_file(file: &str, tree_id: String, now: Timestamp) -> Self {
        let person = Person { name: "octocat".to_owned(), email: "octocat@example.com".to_owned() };
        let name = file.rsplit('/').next().unwrap_or(file);
        Self {
            tree_id,
            message: format!("Update {name}"),
            timestamp: super::representation::seconds(now),
            author: person.clone(),
            committer: person,
            parent: None,
        }
    }

    /// Returns the first line of its message.
    pub(super) fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    pub(super) fn json(&self, id: &str) -> Value {
        json!({
            "id": id,
            "tree_id": self.tree_id,
            "message": self.message,
            "timestamp": self.timestamp,
            "author": self.author,
            "committer": self.committer,
        })
    }
}
