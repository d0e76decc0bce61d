//! Actions: the `uses` of a step, and `action.yml`.

use ecsrunner_workflow::yaml::{self, Node, Yaml};

/// Names and values in the order of the file.
type Environment = Vec<(String, String)>;

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
        let root = yaml::read(text)
            .map_err(|error| vec![format!("line {}, column {}: {error}", error.at.line, error.at.column)])?;
        let nothing = Node { at: ecsrunner_workflow::Position::START, value: Yaml::Null };
        let runs = root.get("runs").unwrap_or(&nothing);
        let script = |key: &str| runs.get(key).and_then(Node::text);
        let using = script("using").unwrap_or_default();
        if !matches!(using.as_str(), "node20" | "node24") {
            return Err(vec![format!(
                "runs with `{using}`; the stand-in executes node20 and node24 only; the official runner executes it (`--runner-dir DIR`)"
            )]);
        }
        let mut problems = Vec::new();
        for (key, _) in runs.entries() {
            let key = key.text().unwrap_or_default();
            if !matches!(key.as_str(), "using" | "pre" | "main" | "post") {
                problems.push(format!(
                    "the key `runs.{key}` is not supported by the stand-in; the official runner executes it (`--runner-dir DIR`)"
                ));
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

fn input_defaults(root: &Node) -> Environment {
    let inputs = root.get("inputs").map(Node::entries).unwrap_or_default();
    inputs.iter().filter_map(|(name, input)| Some((name.text()?, input.get("default")?.text()?))).collect()
}
