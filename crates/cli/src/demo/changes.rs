//! The files that an event has changed, with which GitHub compares `paths` and `paths-ignore`.

use std::process::Command;

use serde::Serialize;
use serde_json::{Map, Value};

use super::repository::{Checkout, text};

/// The length of a commit's id in messages.
const SHORT: usize = 12;

/// What the fake GitHub is told about changed files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Changes {
    /// In the order of the diff; `None` if there is none.
    files: Option<Vec<String>>,
    /// Where they come from, or why there is no diff.
    of: String,
}

impl Changes {
    /// The files that a person names.
    pub(super) fn named(files: Vec<String>) -> Self {
        Self { files: Some(files), of: "the files of `--changed`".to_owned() }
    }

    /// Compares the commits of an event, as GitHub does it: those before and after a push, or the base branch and the
    /// branch of a pull request, from where they parted.
    pub(super) fn of_event(
        checkout: Option<&Checkout>,
        event: &str,
        payload: &Map<String, Value>,
    ) -> anyhow::Result<Self> {
        let unknown = |of: &str| Ok(Self { files: None, of: of.to_owned() });
        let Some(checkout) = checkout.filter(|checkout| checkout.is_repository) else {
            return unknown("there is no Git repository");
        };
        let pull = payload.get("pull_request");
        let of_pull = |side: &str| pull.and_then(|pull| pull[side]["sha"].as_str());
        let of_push = |key: &str| {
            let commit = payload.get(key).and_then(Value::as_str);
            commit.filter(|commit| commit.bytes().any(|digit| digit != b'0'))
        };
        let is_pull = event.starts_with("pull_request");
        let (from, to) = match is_pull {
            true => (of_pull("base"), of_pull("head")),
            false => (of_push("before"), of_push("after")),
        };
        for commit in [from, to].into_iter().flatten() {
            if !checkout.has(commit) {
                return unknown(&format!(
                    "the repository does not have the payload's commit {}",
                    short(commit)
                ));
            }
        }
        let to = to.unwrap_or(&checkout.sha);
        let base = checkout.base.as_ref().map(|(_, base)| base.as_str()).filter(|_| is_pull);
        let given = from.or(base);
        let from = given.map(str::to_owned).or_else(|| checkout.parent(to));
        let Some(from) = from else {
            let files = checkout.files(&["ls-tree", "-r", "--name-only", "-z", to])?;
            return Ok(Self::compared(files, &format!("all files of the first commit, {}", short(to))));
        };
        // A pull request shows what its own branch changed.
        let start = match is_pull {
            true => checkout.git(&["merge-base", &from, to]).ok(),
            false => Some(from.clone()),
        };
        let Some(start) = start else {
            return unknown(&format!("{} and {} have no commit in common", short(&from), short(to)));
        };
        let files = checkout.files(&["diff-tree", "-r", "--no-renames", "--name-only", "-z", &start, to])?;
        let what = match files.len() {
            1 => "the 1 file".to_owned(),
            count => format!("the {count} files"),
        };
        let is_own_base = is_pull && given.is_none();
        let why = if is_own_base {
            format!(", since `{}` is its own base branch", checkout.branch)
        } else {
            String::new()
        };
        let to = match checkout.has_changes && to == checkout.sha {
            true => "what is not committed".to_owned(),
            false => short(to).to_owned(),
        };
        Ok(Self::compared(files, &format!("{what} that changed from {} to {to}{why}", short(&start))))
    }

    fn compared(files: Vec<String>, of: &str) -> Self {
        Self { files: Some(files), of: of.to_owned() }
    }
}

fn short(commit: &str) -> &str {
    commit.get(..SHORT).unwrap_or(commit)
}

impl Checkout {
    fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("git");
        command.args(["-c", "safe.directory=*", "--git-dir"]).arg(&self.directory).args(arguments);
        text(&mut command)
    }

    fn has(&self, commit: &str) -> bool {
        self.git(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).is_ok()
    }

    /// Returns the first parent of a commit, if it has one.
    fn parent(&self, commit: &str) -> Option<String> {
        self.git(&["rev-parse", "-q", "--verify", &format!("{commit}^1^{{commit}}")]).ok()
    }

    fn files(&self, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
        let listed = self.git(arguments)?;
        Ok(listed.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::demo::repository::prepare;

    /// A repository with the branches `main` and `topic`, of which `topic` is checked out.
    struct Repository(tempfile::TempDir);

    impl Repository {
        fn new() -> Self {
            let made = Self(tempfile::tempdir().unwrap());
            made.git(&["init", "--quiet", "--initial-branch=main"]);
            made.commit("one", "1");
            made.git(&["checkout", "--quiet", "-b", "topic"]);
            made.commit("docs/two", "2");
            made.git(&["checkout", "--quiet", "main"]);
            made.commit("three", "3");
            made.git(&["checkout", "--quiet", "topic"]);
            made.git(&["mv", "one", "four"]);
            made.commit("five", "5");
            made
        }

        fn git(&self, arguments: &[&str]) -> String {
            let mut command = Command::new("git");
            command.arg("-C").arg(self.0.path());
            command.args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]).args(arguments);
            text(&mut command).unwrap()
        }

        fn write(&self, file: &str, content: &str) {
            let file = self.0.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }

        fn commit(&self, file: &str, content: &str) {
            self.write(file, content);
            self.git(&["add", "--all"]);
            self.git(&["commit", "--quiet", "-m", file]);
        }

        /// Returns the changed files, and the text beside them with commits by name.
        fn changes(&self, event: &str, payload: &Value) -> (Vec<String>, String) {
            let into = tempfile::tempdir().unwrap();
            let checkout = prepare(self.0.path(), &into.path().join("x.git"), None, None).unwrap();
            let changes = Changes::of_event(checkout.as_ref(), event, payload.as_object().unwrap()).unwrap();
            let mut of = changes.of;
            for name in ["main", "topic", "topic~1", "main~1"] {
                let id = self.git(&["rev-parse", name]);
                of = of.replace(&id[..SHORT], name);
            }
            (changes.files.unwrap_or_default(), of)
        }
    }

    fn told(changes: &(Vec<String>, String)) -> String {
        format!("{}: {}", changes.1, changes.0.join(" "))
    }

    #[test]
    fn a_push_changes_what_its_commits_changed() {
        let repository = Repository::new();
        // A file that was moved is one at both places.
        assert_eq!(
            told(&repository.changes("push", &json!({}))),
            "the 3 files that changed from topic~1 to topic: five four one"
        );
        let before = repository.git(&["rev-parse", "main~1"]);
        assert_eq!(
            told(&repository.changes("push", &json!({"before": before}))),
            "the 4 files that changed from main~1 to topic: docs/two five four one"
        );
        let zeros = json!({"before": "0".repeat(40), "after": repository.git(&["rev-parse", "topic~1"])});
        assert_eq!(
            told(&repository.changes("push", &zeros)),
            "the 1 file that changed from main~1 to topic~1: docs/two"
        );
        let elsewhere = json!({"before": "ab".repeat(20)});
        assert_eq!(
            told(&repository.changes("push", &elsewhere)),
            "the repository does not have the payload's commit abababababab: "
        );
        repository.write("six", "6");
        assert_eq!(
            told(&repository.changes("push", &json!({}))),
            "the 1 file that changed from topic to what is not committed: six"
        );
    }

    #[test]
    fn a_pull_request_changes_what_its_own_branch_changed() {
        let repository = Repository::new();
        assert_eq!(
            told(&repository.changes("pull_request", &json!({}))),
            "the 4 files that changed from main~1 to topic: docs/two five four one"
        );
        let payload = json!({"pull_request": {"base": {"sha": repository.git(&["rev-parse", "topic~1"])}}});
        assert_eq!(
            told(&repository.changes("pull_request_target", &payload)),
            "the 3 files that changed from topic~1 to topic: five four one"
        );
        repository.git(&["checkout", "--quiet", "main"]);
        assert_eq!(
            told(&repository.changes("pull_request", &json!({}))),
            "the 1 file that changed from main~1 to main, since `main` is its own base branch: three"
        );
        repository.git(&["checkout", "--quiet", "--orphan", "other"]);
        repository.commit("seven", "7");
        let (files, of) = repository.changes("pull_request", &json!({}));
        assert!(files.is_empty() && of.ends_with("have no commit in common"), "{of}");
    }

    #[test]
    fn the_first_commit_changes_all_of_its_files() {
        let repository = Repository::new();
        repository.git(&["checkout", "--quiet", "main~1"]);
        assert_eq!(
            told(&repository.changes("push", &json!({}))),
            "all files of the first commit, main~1: one"
        );
    }

    #[test]
    fn without_a_repository_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "a").unwrap();
        let prepared = prepare(folder.path(), &folder.path().join("x.git"), None, None).unwrap();
        let no = |checkout: Option<&Checkout>| Changes::of_event(checkout, "push", &Map::new()).unwrap();
        let expected = Changes { files: None, of: "there is no Git repository".to_owned() };
        assert_eq!((no(None), no(prepared.as_ref())), (expected.clone(), expected));
    }
}
