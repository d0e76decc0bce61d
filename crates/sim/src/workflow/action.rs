//! Local JavaScript actions, given with the workflow.

use serde::{Deserialize, Serialize};

use super::node::{self, Node};
use super::{Environment, Place, Reader};

/// A JavaScript action that lies in the repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LocalAction {
    /// As the step names it, `./path`.
    pub uses: String,
    /// Its folder in the repository, without `./`.
    pub folder: String,
    /// The script executed before the job's first step, relative to the folder.
    pub pre: Option<String>,
    /// The script executed as the step.
    pub main: String,
    /// The script executed after the job's last step.
    pub post: Option<String>,
    /// The defaults of its inputs.
    pub inputs: Environment,
}

impl Reader<'_> {
    pub(super) fn action(&mut self, place: Place<'_>, uses: &str) -> Option<LocalAction> {
        let Some(folder) = uses.strip_prefix("./").map(|folder| folder.trim_end_matches('/')) else {
            self.problem(place, format!("uses `{uses}`; only local actions (`./path`) can be had here"));
            return None;
        };
        let text = ["action.yml", "action.yaml"]
            .iter()
            .find_map(|name| self.files.get(&format!("{folder}/{name}")).cloned());
        let Some(text) = text else {
            self.problem(place, format!("uses `{uses}`, whose action.yml was not given with the workflow"));
            return None;
        };
        let root = match node::read(&text) {
            Ok(root) => root,
            Err(error) => {
                self.problem(place, format!("the action.yml of `{uses}` is not valid YAML: {error}"));
                return None;
            }
        };
        self.javascript_action(place, uses, folder, &root)
    }

    fn javascript_action(
        &mut self,
        place: Place<'_>,
        uses: &str,
        folder: &str,
        root: &Node,
    ) -> Option<LocalAction> {
        let runs = root.get("runs").unwrap_or(&Node::Null);
        let script = |key: &str| runs.get(key).and_then(Node::scalar);
        let using = script("using").unwrap_or_default();
        if !matches!(using.as_str(), "node20" | "node24") {
            self.problem(
                place,
                format!("uses `{uses}`, which runs with `{using}`; only node20 and node24 are supported"),
            );
            return None;
        }
        if let Node::Map(entries) = runs {
            for (key, _) in entries {
                if !matches!(key.as_str(), "using" | "pre" | "main" | "post") {
                    self.problem(
                        place,
                        format!("the key `runs.{key}` in the action.yml of `{uses}` is not supported"),
                    );
                }
            }
        }
        let Some(main) = script("main") else {
            self.problem(place, format!("the action.yml of `{uses}` has no `runs.main`"));
            return None;
        };
        let scripts = [Some(main.clone()), script("pre"), script("post")];
        for script in scripts.into_iter().flatten() {
            if !self.files.contains_key(&format!("{folder}/{script}")) {
                self.problem(place, format!("`{script}` of `{uses}` was not given with the workflow"));
            }
        }
        Some(LocalAction {
            uses: uses.to_owned(),
            folder: folder.to_owned(),
            pre: script("pre"),
            main,
            post: script("post"),
            inputs: input_defaults(root),
        })
    }
}

fn input_defaults(root: &Node) -> Environment {
    match root.get("inputs") {
        Some(Node::Map(entries)) => entries
            .iter()
            .filter_map(|(name, input)| Some((name.clone(), input.get("default")?.scalar()?)))
            .collect(),
        _ => Environment::new(),
    }
}
