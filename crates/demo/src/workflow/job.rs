//! One job of a workflow, expanded by its matrix.

use super::matrix::Combination;
use super::node::Node;
use super::{Environment, Job, Location, Reader, RunsOn};

/// GitHub's default limit of a job on a self-hosted runner, in minutes.
const DEFAULT_TIMEOUT_MINUTES: u32 = 360;

/// Keys of a workflow that apply to all of its jobs.
#[derive(Default)]
pub(super) struct TopLevel {
    pub(super) env: Environment,
    pub(super) defaults: Option<Environment>,
}

impl Reader<'_> {
    /// Returns the jobs of one entry below `jobs`.
    pub(super) fn jobs(&mut self, key: &str, value: &Node, top_level: &TopLevel) -> Vec<Job> {
        let location = Location { job: Some(key), step: None };
        if !is_key(key) {
            let text = "the key of a job begins with a letter or `_` and holds letters, digits, `-` and `_`";
            self.problem(location, text);
        }
        let Node::Map(entries) = value else {
            self.problem(location, "is not a mapping");
            return Vec::new();
        };
        for (name, _) in entries {
            match name.as_str() {
                "name" | "runs-on" | "needs" | "strategy" | "env" | "steps" | "timeout-minutes"
                | "permissions" => {}
                "defaults" | "outputs" if self.is_official() => {}
                other => self.problem(location, format!("the key `{other}` is not supported")),
            }
        }
        let mut combinations = match value.get("strategy") {
            Some(strategy) => self.combinations(location, strategy),
            None => Vec::new(),
        };
        if combinations.is_empty() {
            // Without a matrix, or with a refused one, the rest is still read.
            combinations.push(Combination::default());
        }
        let total = combinations.len();
        let mut jobs = Vec::with_capacity(total);
        for (index, combination) in combinations.iter().enumerate() {
            jobs.push(Job { index: (index, total), ..self.job(key, value, top_level, combination) });
        }
        jobs
    }

    fn job(&mut self, key: &str, value: &Node, top_level: &TopLevel, combination: &Combination) -> Job {
        let location = Location { job: Some(key), step: None };
        let own = value.get("env").map(|own| self.environment(location, own, combination));
        let env = [top_level.env.clone(), own.unwrap_or_default()];
        Job {
            key: key.to_owned(),
            name: self.job_name(key, value.get("name"), combination),
            needs: self.needs(location, value.get("needs")),
            runs_on: self.runs_on(location, value.get("runs-on"), combination),
            env: env.into_iter().filter(|env| !env.is_empty()).collect(),
            defaults: self.job_defaults(location, value.get("defaults"), top_level),
            outputs: value
                .get("outputs")
                .map(|outputs| self.named_texts(location, "outputs", outputs))
                .unwrap_or_default(),
            matrix: combination.typed(),
            index: (0, 1),
            steps: self.steps(location, value.get("steps"), combination),
            timeout_minutes: self.timeout_minutes(location, value.get("timeout-minutes")),
        }
    }

    fn job_defaults(
        &mut self,
        location: Location<'_>,
        own: Option<&Node>,
        top_level: &TopLevel,
    ) -> Vec<Environment> {
        let own = own.and_then(|own| self.defaults(location, own));
        top_level.defaults.clone().into_iter().chain(own).collect()
    }

    /// Reads `defaults.run`: the shell and the working directory of scripts.
    pub(super) fn defaults(&mut self, location: Location<'_>, value: &Node) -> Option<Environment> {
        let run = value.get("run")?;
        Some(self.named_texts(location, "defaults.run", run))
    }

    fn named_texts(&mut self, location: Location<'_>, key: &str, value: &Node) -> Environment {
        let texts = match value {
            Node::Map(entries) => {
                entries.iter().map(|(name, value)| Some((name.clone(), value.scalar()?))).collect()
            }
            _ => None,
        };
        texts.unwrap_or_else(|| {
            self.problem(location, format!("`{key}` is not a mapping to texts"));
            Environment::new()
        })
    }

    /// Returns a job's name. GitHub adds the matrix's values if the name does not use them.
    fn job_name(&mut self, key: &str, name: Option<&Node>, combination: &Combination) -> String {
        let location = Location { job: Some(key), step: None };
        let written = match name.map(Node::scalar) {
            None => key.to_owned(),
            Some(Some(text)) => text,
            Some(None) => {
                self.problem(location, "`name` is not a text");
                key.to_owned()
            }
        };
        let name = self.substitute(location, "name", &written, combination);
        match combination.suffix() {
            Some(suffix) if !written.contains("${{") => format!("{name} {suffix}"),
            _ => name,
        }
    }

    fn needs(&mut self, location: Location<'_>, needs: Option<&Node>) -> Vec<String> {
        match needs.map(Node::scalars) {
            None => Vec::new(),
            Some(Some(keys)) => keys,
            Some(None) => {
                self.problem(location, "`needs` is not a job or a list of jobs");
                Vec::new()
            }
        }
    }

    fn runs_on(&mut self, location: Location<'_>, value: Option<&Node>, combination: &Combination) -> RunsOn {
        let (labels, group) = match value {
            None | Some(Node::Null) => {
                self.problem(location, "`runs-on` is missing");
                (Some(Vec::new()), None)
            }
            Some(Node::Map(entries)) => {
                for (key, _) in entries.iter().filter(|(key, _)| key != "group" && key != "labels") {
                    self.problem(location, format!("the key `runs-on.{key}` is not supported"));
                }
                let labels = value.and_then(|value| value.get("labels")).map(Node::scalars);
                let group = value.and_then(|value| value.get("group")).and_then(Node::scalar);
                (labels.unwrap_or_else(|| Some(Vec::new())), group)
            }
            Some(other) => (other.scalars(), None),
        };
        let Some(labels) = labels else {
            self.problem(location, "`runs-on` is not a label, a list of labels, or `group` and `labels`");
            return RunsOn { labels: Vec::new(), group: None };
        };
        RunsOn {
            labels: labels
                .iter()
                .map(|label| self.substitute(location, "runs-on", label, combination))
                .collect(),
            group: group.map(|group| self.substitute(location, "runs-on.group", &group, combination)),
        }
    }

    fn timeout_minutes(&mut self, location: Location<'_>, value: Option<&Node>) -> u32 {
        let Some(value) = value else { return DEFAULT_TIMEOUT_MINUTES };
        value.scalar().and_then(|text| text.parse().ok()).filter(|minutes| *minutes > 0).unwrap_or_else(
            || {
                self.problem(location, "`timeout-minutes` is not a whole number of minutes above 0");
                DEFAULT_TIMEOUT_MINUTES
            },
        )
    }
}

/// Whether GitHub allows this key of a job. The official runner sends it in a header.
fn is_key(text: &str) -> bool {
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins_well && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
