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
        let from = match given {
            Some(given) => Some(given.to_owned()),
            None => checkout.parent(to)?,
        };
        let Some(from) = from else {
            let files = checkout.files(&["ls-tree", "-r", "--name-only", "-z", to])?;
            return Ok(Self::compared(files, &format!("all files of the first commit, {}", short(to))));
        };
        if !checkout.has(&from) {
            let (to, from) = (short(to), short(&from));
            return unknown(&format!("the clone is shallow: it has {to}, and not the commit before, {from}"));
        }
        // A pull request shows what its own branch changed.
        let start = match is_pull {
            true => checkout.git(&["merge-base", &from, to]).ok(),
            false => Some(from.clone()),
        };
        let Some(start) = start else {
            let (from, to) = (short(&from), short(to));
            let is_shallow = checkout.git(&["rev-parse", "--is-shallow-repository"])? == "true";
            return unknown(&match is_shallow {
                true => {
                    format!("the clone is shallow: it does not have the commit where {from} and {to} parted")
                }
                false => format!("{from} and {to} have no commit in common"),
            });
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

    /// Returns the first parent of a commit, if it has one. A shallow clone may not have that parent itself.
    fn parent(&self, commit: &str) -> anyhow::Result<Option<String>> {
        let content = self.git(&["cat-file", "commit", commit])?;
        let mut header = content.lines().take_while(|line| !line.is_empty());
        Ok(header.find_map(|line| line.strip_prefix("parent ")).map(str::to_owned))
    }

    fn files(&self, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
        let listed = self.git(arguments)?;
        Ok(listed.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::demo::repository::prepare;

    /// A repository with the branches `main` and `topic`. `topic` is checked out.
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
            let changes = changes_in(self.0.path(), event, None, payload);
            let of = self.with_names(changes.of);
            (changes.files.unwrap_or_default(), of)
        }

        fn with_names(&self, mut of: String) -> String {
            for name in ["main", "topic", "topic~1", "main~1"] {
                let id = self.git(&["rev-parse", name]);
                of = of.replace(&id[..SHORT], name);
            }
            of
        }
    }

    fn changes_in(root: &Path, event: &str, base: Option<&str>, payload: &Value) -> Changes {
        let into = tempfile::tempdir().unwrap();
        let checkout = prepare(root, &into.path().join("x.git"), None, base).unwrap();
        Changes::of_event(checkout.as_ref(), event, payload.as_object().unwrap()).unwrap()
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
    fn a_shallow_clone_does_not_tell_what_changed() {
        let repository = Repository::new();
        let clones = tempfile::tempdir().unwrap();
        let from = format!("file://{}", repository.0.path().display());
        let clone = |name: &str, depth: &str, branches: &str| {
            let into = clones.path().join(name);
            repository.git(&["clone", "--quiet", "--depth", depth, branches, &from, into.to_str().unwrap()]);
            into
        };
        let of = |root: &Path, event: &str| {
            let base = event.starts_with("pull_request").then_some("main");
            let changes = changes_in(root, event, base, &json!({}));
            (changes.files, repository.with_names(changes.of))
        };
        let one = clone("one-commit", "1", "--single-branch");
        assert_eq!(
            of(&one, "push"),
            (None, "the clone is shallow: it has topic, and not the commit before, topic~1".to_owned())
        );
        fs::write(one.join("six"), "6").unwrap();
        assert_eq!(of(&one, "push").0, Some(vec!["six".to_owned()]));
        let two = clone("two-commits", "2", "--single-branch");
        assert_eq!(of(&two, "push").0.map(|files| files.join(" ")), Some("five four one".to_owned()));
        let both = clone("both-branches", "1", "--no-single-branch");
        assert_eq!(
            of(&both, "pull_request"),
            (
                None,
                "the clone is shallow: it does not have the commit where main and topic parted".to_owned()
            )
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
