//! Actions: the `uses` of a step, and `action.yml`.

use super::node::{self, Node};
use super::{Environment, Location, Reader, Reference};

/// A JavaScript action, as its `action.yml` describes it.
#[derive(Clone, Debug)]
pub(crate) struct JavaScriptAction {
    /// The script that runs before the job's first step. Local actions have none.
    pub(crate) pre: Option<String>,
    /// The script that runs as the step.
    pub(crate) main: String,
    /// The script that runs after the job's last step.
    pub(crate) post: Option<String>,
    /// The defaults of its inputs.
    pub(crate) inputs: Environment,
}

/// The file names of an action's description.
pub(crate) const DESCRIPTIONS: [&str; 2] = ["action.yml", "action.yaml"];

impl JavaScriptAction {
    /// Reads an `action.yml`.
    ///
    /// # Errors
    ///
    /// Returns every reason why the stand-in cannot execute the action.
    pub(crate) fn read(text: &str) -> Result<Self, Vec<String>> {
        let root = node::read(text).map_err(|error| vec![format!("not valid YAML: {error}")])?;
        let runs = root.get("runs").unwrap_or(&Node::Null);
        let script = |key: &str| runs.get(key).and_then(Node::scalar);
        let using = script("using").unwrap_or_default();
        if !matches!(using.as_str(), "node20" | "node24") {
            return Err(vec![format!("runs with `{using}`; the stand-in executes node20 and node24 only")]);
        }
        let mut problems = Vec::new();
        if let Node::Map(entries) = runs {
            for (key, _) in entries {
                if !matches!(key.as_str(), "using" | "pre" | "main" | "post") {
                    problems.push(format!("the key `runs.{key}` is not supported"));
                }
            }
        }
        let main = script("main").unwrap_or_else(|| {
            problems.push("it has no `runs.main`".to_owned());
            String::new()
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { pre: script("pre"), main, post: script("post"), inputs: input_defaults(&root) })
    }
}

impl Reader<'_> {
    /// Returns the action that a step's `uses` names. Without one, adds a problem and returns
    /// `None`.
    pub(super) fn reference(&mut self, location: Location<'_>, uses: &str) -> Option<Reference> {
        if let Some(folder) = uses.strip_prefix("./") {
            let folder = folder.trim_end_matches('/');
            if !self.is_official() {
                self.check_local_action(location, uses, folder)?;
            }
            return Some(Reference::Local { folder: folder.to_owned() });
        }
        if let Some(image) = uses.strip_prefix("docker://") {
            if self.is_official() {
                return Some(Reference::Image(image.to_owned()));
            }
            self.problem(location, format!("uses `{uses}`; the stand-in runner has no Docker"));
            return None;
        }
        let named = uses.split_once('@').and_then(|(path, version)| {
            let mut parts = path.splitn(3, '/');
            let (owner, name) = (parts.next()?, parts.next()?);
            let known = format!("{owner}/{name}@{version}");
            Some((known, format!("{owner}/{name}"), parts.next().unwrap_or_default(), version))
        });
        let Some((known, name, path, version)) = named else {
            self.problem(location, format!("uses `{uses}`; `./path` or `owner/name@ref` is expected"));
            return None;
        };
        if !self.given.actions.contains(&known) {
            self.problem(
                location,
                format!(
                    "uses `{uses}`, which was not given: `--action {known}=DIR` gives it from a directory"
                ),
            );
            return None;
        }
        Some(Reference::Repository { name, path: path.to_owned(), version: version.to_owned() })
    }

    fn check_local_action(&mut self, location: Location<'_>, uses: &str, folder: &str) -> Option<()> {
        let text = DESCRIPTIONS.iter().find_map(|name| self.given.files.get(&format!("{folder}/{name}")));
        let Some(text) = text else {
            self.problem(
                location,
                format!("uses `{uses}`, whose action.yml was not given with the workflow"),
            );
            return None;
        };
        let action = match JavaScriptAction::read(text) {
            Ok(action) => action,
            Err(problems) => {
                for problem in problems {
                    self.problem(location, format!("the action.yml of `{uses}`: {problem}"));
                }
                return None;
            }
        };
        for script in [Some(action.main), action.pre, action.post].into_iter().flatten() {
            if !self.given.files.contains_key(&format!("{folder}/{script}")) {
                self.problem(location, format!("`{script}` of `{uses}` was not given with the workflow"));
            }
        }
        Some(())
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
