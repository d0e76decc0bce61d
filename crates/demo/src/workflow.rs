//! What the demo needs of a workflow, in addition to GitHub's rules: its actions must be there, and the stand-in runner
//! must be able to execute it. Reading workflows does not belong here, see `ecsrunner_workflow`.

pub(crate) mod action;
mod actions;
pub(crate) mod stand_in;

use std::collections::{BTreeMap, BTreeSet};

use ecsrunner_workflow::model::{Callee, Reference, Step, Work};
pub use ecsrunner_workflow::repository_root;
use ecsrunner_workflow::yaml::{self, Node, Yaml};
use ecsrunner_workflow::{Found, Problem, Program};
use serde::{Deserialize, Serialize};

/// Files of a submission: repository path → text.
pub type Files = BTreeMap<String, String>;

/// The runner that executes the steps.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Executor {
    /// The stand-in listener, which evaluates no expressions.
    #[default]
    StandIn,
    Official,
}

/// The action that the demo has itself, in place of GitHub's.
pub const CHECKOUT: &str = "actions/checkout";

/// What a workflow can refer to.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    /// Files of the repository, such as those of its local actions and workflows.
    pub(crate) files: &'a Files,
    /// Actions of other repositories, by their [`action_key`].
    pub(crate) actions: &'a BTreeSet<String>,
    /// Returns the text of a workflow of another repository.
    pub(crate) workflow: &'a dyn Fn(&Callee) -> Option<String>,
    /// Whether the repository can be checked out.
    pub(crate) checkout: bool,
    /// Whether other actions can be had from GitHub.
    pub(crate) online: bool,
    /// The runner that executes the steps.
    pub(crate) executor: Executor,
}

/// Reads a workflow and all that it calls, and checks that the demo can run it.
///
/// # Errors
///
/// Returns all problems of the first file that GitHub would refuse, or all others at once.
pub(crate) fn load(file: &str, text: &str, given: Given<'_>) -> Result<Program, Vec<Problem>> {
    let program = Program::load(file, text, |callee| match callee {
        Callee::Local { file } => match given.files.get(file) {
            Some(text) => Found::Text(text.clone()),
            None => Found::Missing("which was not given with the workflow".to_owned()),
        },
        Callee::Remote { repository, version, .. } => match (given.workflow)(callee) {
            Some(text) => Found::Text(text),
            None => Found::Missing(actions::missing(&format!("{repository}@{version}"), given.online)),
        },
    });
    let program = program.map_err(|problems| problems.0)?;
    let mut problems = Vec::new();
    for workflow in program.workflows() {
        actions::check(workflow, given, &mut problems);
        if given.executor == Executor::StandIn {
            stand_in::check(workflow, &mut problems);
        }
    }
    problems.sort();
    if problems.is_empty() { Ok(program) } else { Err(problems) }
}

/// Returns the repository, the path and the version of a workflow of another repository, whose file is called
/// `owner/name/.github/workflows/ci.yml@v1`. Returns `None` for one of the same repository.
pub(crate) fn parts_of_other(file: &str) -> Option<(&str, &str, &str)> {
    let (path, version) = file.split_once('@')?;
    let at = path.find("/.github/")?;
    Some((&path[..at], &path[at + 1..], version))
}

/// Returns a path of the repository without `.`, `..` and empty parts; the repository's root is empty. Returns `None` for one
/// that leaves the repository.
#[must_use]
pub fn normal_path(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Returns the scripts of a local JavaScript action as paths of the repository. `folder` is the action's. Another action,
/// and one that cannot be read, has none; using it reports that.
#[must_use]
pub fn scripts_of(folder: &str, text: &str) -> Vec<String> {
    let Ok(action) = action::JavaScriptAction::read(text) else { return Vec::new() };
    let scripts = [Some(action.main), action.pre, action.post].into_iter().flatten();
    scripts.filter_map(|script| normal_path(&format!("{folder}/{script}"))).collect()
}

/// Returns the key of an action or a called workflow of another repository. Owners and names have no case.
pub(crate) fn action_key(repository: &str, version: &str) -> String {
    format!("{}@{version}", repository.to_ascii_lowercase())
}

/// Returns the folders of local actions and the files of local workflows that a workflow or an `action.yml` uses,
/// as paths of the repository. Returns none for a text that is not YAML; reading the workflow reports that.
#[must_use]
pub fn local_uses(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Ok(root) = yaml::read(text) {
        collect(&root, &mut |uses| {
            let path = uses.strip_prefix("./").or_else(|| uses.strip_prefix("$/"));
            found.extend(path.and_then(normal_path));
        });
    }
    found
}

/// Returns the actions and workflows of other repositories that a workflow or an `action.yml` uses, as
/// `owner/name@ref`.
#[must_use]
pub fn remote_uses(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Ok(root) = yaml::read(text) {
        collect(&root, &mut |uses| {
            let Some((path, version)) = uses.split_once('@') else { return };
            let mut parts = path.split('/');
            if let (Some(owner), Some(name), false) = (parts.next(), parts.next(), uses.contains("://")) {
                found.insert(format!("{owner}/{name}@{version}"));
            }
        });
    }
    found
}

/// Whether steps use a local action without a checkout before.
pub(crate) fn uses_files_before_checkout(steps: &[Step]) -> bool {
    let is_checkout = |reference: &Reference| matches!(reference, Reference::Repository { name, .. } if name.eq_ignore_ascii_case(CHECKOUT));
    let mut uses = steps.iter().filter_map(|step| match &step.work {
        Work::Action { reference, .. } => Some(reference),
        Work::Script { .. } | Work::Control { .. } => None,
    });
    uses.find(|reference| is_checkout(reference) || matches!(reference, Reference::Local { .. }))
        .is_some_and(|first| !is_checkout(first))
}

fn collect(node: &Node, see: &mut impl FnMut(&str)) {
    node.items().iter().for_each(|item| collect(item, see));
    for (key, value) in node.entries() {
        match &value.value {
            Yaml::Text(uses) if key.text().as_deref() == Some("uses") => see(uses),
            _ => collect(value, see),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_path_is_found_however_it_is_written() {
        for (written, normal) in [
            ("", Some("")),
            (".", Some("")),
            ("./", Some("")),
            ("a/./b//c/", Some("a/b/c")),
            ("a/../dist/i.js", Some("dist/i.js")),
            ("a/../../i.js", None),
        ] {
            assert_eq!(normal_path(written).as_deref(), normal, "{written}");
        }
        let uses = "steps: [{uses: ./}, {uses: ./.}, {uses: ./a/../b/}, {uses: ./../x}]";
        assert_eq!(local_uses(uses).into_iter().collect::<Vec<_>>(), ["", "b"]);
        let action = "runs: {using: node20, main: ./i.js, post: ../dist/p.js}";
        assert_eq!(scripts_of("act", action), ["act/i.js", "dist/p.js"]);
    }
}
