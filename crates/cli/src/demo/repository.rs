//! The repository of a workflow as a Git directory of its own, from which jobs check it out.
//!
//! It has the commits of the repository, and one more with what is not committed. The repository itself is not changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::commit::Commit;

/// A Git directory for the fake GitHub.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    pub(super) directory: PathBuf,
    /// The commit of the run.
    pub(super) sha: String,
    pub(super) commit: Commit,
    pub(super) branch: String,
    pub(super) default_branch: String,
    /// The branch that a pull request asks to change, with its commit, if the repository has it.
    pub(super) base: Option<(String, String)>,
    /// Whether the commit has changes that are not committed.
    pub(super) has_changes: bool,
    /// Whether the folder is a Git repository itself.
    pub(super) is_repository: bool,
}

/// Returns the Git directory for a repository, or `None` if Git is not installed. A folder that is no repository
/// becomes one with a single commit. `base` is the base branch of a pull request, by default the default branch.
pub(super) fn prepare(
    root: &Path,
    into: &Path,
    branch: Option<&str>,
    base: Option<&str>,
) -> anyhow::Result<Option<Checkout>> {
    if Command::new("git").arg("--version").output().is_err() {
        return Ok(None);
    }
    let is_repository = is_top_level(root);
    let current =
        is_repository.then(|| text(git(root).args(["symbolic-ref", "--short", "-q", "HEAD"])).ok()).flatten();
    let branch = branch.map(str::to_owned).or(current).filter(|name| !name.is_empty());
    let branch = branch.unwrap_or_else(|| "main".to_owned());
    let head =
        is_repository.then(|| text(git(root).args(["rev-parse", "-q", "--verify", "HEAD^{commit}"])).ok());
    let head = head.flatten();
    create(root, into, head.is_some())?;
    let default_branch = is_repository.then(|| default_branch(root)).flatten();
    let default_branch = default_branch.unwrap_or_else(|| branch.clone());
    let base = base_of(root, base.filter(|_| is_repository), &branch, &default_branch)?;
    let inside = || inside(root, into);
    let (sha, has_changes) = commit_changes(inside, head.as_deref())?;
    text(inside().args(["update-ref", &format!("refs/heads/{branch}"), &sha]))?;
    text(inside().args(["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]))?;
    if let Some((name, sha)) = &base {
        let local = format!("refs/heads/{name}");
        // Of a shallow repository, a clone has only the commits of its own branches.
        if text(inside().args(["cat-file", "-e", sha])).is_err() {
            let refspec = format!("+refs/remotes/origin/{name}:{local}");
            text(inside().args(["fetch", "--quiet", "--update-shallow", "--"]).arg(root).arg(refspec))?;
        }
        text(inside().args(["update-ref", &local, sha]))?;
    }
    let commit = Commit::read(inside, &sha, head.as_ref().unwrap_or(&sha))?;
    let directory = into.to_owned();
    Ok(Some(Checkout { directory, sha, commit, branch, default_branch, base, has_changes, is_repository }))
}

/// Creates the Git directory: a clone of a repository that has a commit, or an empty one.
fn create(root: &Path, into: &Path, has_commit: bool) -> anyhow::Result<()> {
    let mut command = Command::new("git");
    if has_commit {
        // The objects stay where they are.
        command.args(["-c", "safe.directory=*", "clone", "--quiet", "--bare", "--shared", "--"]).arg(root);
    } else {
        command.args(["init", "--quiet", "--bare", "--"]);
    }
    text(command.arg(into)).map(drop)
}

/// Returns the base branch of a pull request with its commit: the named one, or the default branch. `None` if that is the
/// branch of the run, or the repository does not have it.
fn base_of(
    root: &Path,
    named: Option<&str>,
    branch: &str,
    default_branch: &str,
) -> anyhow::Result<Option<(String, String)>> {
    let found = |name: &str| commit_of(root, name).map(|sha| (name.to_owned(), sha));
    Ok(match named {
        Some(name) if name == branch => None,
        Some(name) => Some(found(name).with_context(|| {
            format!("the repository has no branch `{name}`, which `--base` names: give one that `git branch --all` lists")
        })?),
        None if default_branch == branch => None,
        None => found(default_branch),
    })
}

/// Returns Git for the files of `root` and the Git directory `into`, with an index of its own.
fn inside(root: &Path, into: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(into).arg("--work-tree").arg(root);
    command.env("GIT_INDEX_FILE", into.join("index-of-changes"));
    command.args(["-c", "user.name=octocat", "-c", "user.email=octocat@example.com"]);
    command.args([
        "-c",
        "safe.directory=*",
        "-c",
        "core.autocrlf=false",
        "-c",
        "advice.addEmbeddedRepo=false",
    ]);
    command.current_dir(root);
    command
}

/// Commits what is not committed. Returns the commit of the run, and whether it is one more than `head`.
fn commit_changes(inside: impl Fn() -> Command, head: Option<&str>) -> anyhow::Result<(String, bool)> {
    if let Some(head) = head {
        text(inside().args(["read-tree", head]))?;
    }
    text(inside().args(["add", "--all", "--", "."]))?;
    let tree = text(inside().arg("write-tree"))?;
    let Some(head) = head else {
        let sha = text(inside().args(["commit-tree", "-m", "the files of the folder", &tree]))?;
        return Ok((sha, false));
    };
    if text(inside().args(["rev-parse", &format!("{head}^{{tree}}")]))? == tree {
        return Ok((head.to_owned(), false));
    }
    let message = "changes that are not committed";
    let sha = text(inside().args(["commit-tree", "-m", message, "-p", head, &tree]))?;
    Ok((sha, true))
}

/// Returns the default branch of a repository: that of its remote, or else `main` or `master` if it has one.
fn default_branch(root: &Path) -> Option<String> {
    let remote = text(git(root).args(["symbolic-ref", "--short", "-q", "refs/remotes/origin/HEAD"]));
    let remote = remote.ok().and_then(|name| Some(name.strip_prefix("origin/")?.to_owned()));
    remote.or_else(|| {
        let has = |name: &&str| commit_of(root, name).is_some();
        ["main", "master"].into_iter().find(has).map(str::to_owned)
    })
}

/// Returns the last commit of a branch, or of that branch of the remote.
fn commit_of(root: &Path, branch: &str) -> Option<String> {
    ["refs/heads", "refs/remotes/origin"].iter().find_map(|place| {
        let name = format!("{place}/{branch}^{{commit}}");
        text(git(root).args(["rev-parse", "-q", "--verify", &name])).ok()
    })
}

/// Returns the files of a folder of a repository that Git does not ignore. Returns `None` if it is no repository.
pub(super) fn files_of(root: &Path, folder: &str) -> Option<Vec<String>> {
    let folder = if folder.is_empty() { "." } else { folder };
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", folder];
    let listed = is_top_level(root).then(|| text(git(root).args(list)).ok()).flatten()?;
    Some(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// Whether a folder is the top of a Git repository.
pub(super) fn is_top_level(root: &Path) -> bool {
    let top = text(git(root).args(["rev-parse", "--show-toplevel"])).unwrap_or_default();
    Path::new(&top).canonicalize().ok() == root.canonicalize().ok()
}

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.args(["-c", "safe.directory=*", "-C"]).arg(root);
    command
}

/// Returns what a command prints, without the last line feed.
pub(super) fn text(command: &mut Command) -> anyhow::Result<String> {
    // Variables of a hook that runs the demo would lead to another repository.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_PREFIX"] {
        command.env_remove(variable);
    }
    let output = command.output().context("git cannot be started")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git failed: {}", error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_run_has_the_last_message_and_the_commit_before_its_own() {
        let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = |args: &[&str]| {
            let people = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"];
            text(git(root.path()).args(people).args(args)).unwrap()
        };
        run(&["init", "--quiet", "--initial-branch=main"]);
        let made = |name: &str| {
            let checkout = prepare(root.path(), &into.path().join(name), None, None).unwrap().unwrap();
            (checkout.sha, serde_json::to_value(checkout.commit).unwrap())
        };
        run(&["commit", "--quiet", "--allow-empty", "-m", "first"]);
        let first = run(&["rev-parse", "HEAD"]);
        let (sha, commit) = made("first.git");
        assert_eq!((&sha, &commit["message"], &commit["parent"]), (&first, &"first".into(), &().into()));
        run(&["commit", "--quiet", "--allow-empty", "-m", "Mend it [skip]\n\nWhy."]);
        let (_, commit) = made("second.git");
        assert_eq!(commit["message"], "Mend it [skip]\n\nWhy.");
        assert_eq!(commit["author"], serde_json::json!({"name": "Ann", "email": "ann@example.com"}));
        assert_eq!((&commit["committer"], &commit["parent"]), (&commit["author"], &first.into()));
        assert_eq!(commit["tree_id"], run(&["rev-parse", "HEAD^{tree}"]));
        assert_eq!(commit["timestamp"], run(&["log", "-1", "--format=%cI"]));
        // Changes that are not committed are a commit of their own, with the message of the last one.
        fs::write(root.path().join("a.txt"), "one").unwrap();
        let (sha, changed) = made("changed.git");
        let head = run(&["rev-parse", "HEAD"]);
        assert_ne!(sha, head);
        assert_eq!((&changed["message"], &changed["parent"]), (&commit["message"], &head.into()));
        assert_ne!(changed["tree_id"], commit["tree_id"]);
    }

    #[test]
    fn a_folder_becomes_a_repository_and_a_repository_gets_its_changes() {
        let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(root.path().join("a.txt"), "one").unwrap();
        let made = prepare(root.path(), &into.path().join("plain.git"), None, None).unwrap().unwrap();
        assert_eq!((made.branch.as_str(), made.has_changes), ("main", false));
        let show = |checkout: &Checkout| {
            let name = format!("{}:a.txt", checkout.sha);
            text(Command::new("git").arg("--git-dir").arg(&checkout.directory).args(["show", &name])).unwrap()
        };
        assert_eq!(show(&made), "one");
        let mut setup = git(root.path());
        text(setup.args(["init", "--quiet", "--initial-branch=dev"])).unwrap();
        text(git(root.path()).args(["add", "."])).unwrap();
        let mut commit = git(root.path());
        text(commit.args(["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first"])).unwrap();
        let head = text(git(root.path()).args(["rev-parse", "HEAD"])).unwrap();
        let clean = prepare(root.path(), &into.path().join("clean.git"), None, None).unwrap().unwrap();
        assert_eq!((clean.branch.as_str(), &clean.sha, clean.has_changes), ("dev", &head, false));
        fs::write(root.path().join("a.txt"), "two").unwrap();
        let changed =
            prepare(root.path(), &into.path().join("changed.git"), Some("x"), None).unwrap().unwrap();
        assert_eq!(
            (show(&changed).as_str(), changed.branch.as_str(), changed.has_changes),
            ("two", "x", true)
        );
        assert_eq!(
            text(git(root.path()).args(["rev-parse", "HEAD"])).unwrap(),
            head,
            "the repository is not changed"
        );
        assert_eq!(
            (changed.default_branch.as_str(), &changed.base),
            ("x", &None),
            "a repository without `main`, `master` and a remote"
        );
        text(git(root.path()).args(["branch", "master"])).unwrap();
        let pull = prepare(root.path(), &into.path().join("pull.git"), None, None).unwrap().unwrap();
        assert_eq!(
            (pull.default_branch.as_str(), pull.base),
            ("master", Some(("master".to_owned(), head.clone())))
        );
        text(git(root.path()).args(["update-ref", "refs/remotes/origin/next", &head])).unwrap();
        text(git(root.path()).args(["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/next"]))
            .unwrap();
        let pull = prepare(root.path(), &into.path().join("remote.git"), None, None).unwrap().unwrap();
        assert_eq!(
            (pull.default_branch.as_str(), pull.base),
            ("next", Some(("next".to_owned(), head.clone())))
        );
        let served =
            Command::new("git").arg("--git-dir").arg(&pull.directory).args(["rev-parse", "next"]).output();
        assert_eq!(
            String::from_utf8_lossy(&served.unwrap().stdout).trim(),
            head,
            "jobs can fetch the base branch"
        );
        let none = prepare(root.path(), &into.path().join("none.git"), None, Some("nowhere")).unwrap_err();
        assert!(none.to_string().starts_with("the repository has no branch `nowhere`"), "{none}");
    }
}
