//! Reads a workflow file.

mod call;
mod job;
pub(crate) mod names;
mod needs;
mod step;

use crate::model::Workflow;
use crate::problem::{Faults, Problems};
use crate::schema::{ROOT, check};
use crate::token::{Content, Token};
use crate::trigger::Triggers;
use crate::yaml::{self, Node};

/// Reads a workflow. `file` is its path in the repository.
///
/// # Errors
///
/// Returns all problems at once, each with its place.
pub fn read(file: &str, text: &str) -> Result<Workflow, Problems> {
    let mut faults = Faults::new(file);
    let node = match yaml::read(text) {
        Ok(node) => node,
        Err(error) => {
            faults.add(error.at, error.text);
            return Err(faults.end());
        }
    };
    let root = check(&node, &ROOT, &mut faults);
    faults.end_tables();
    let mut workflow = Reader { faults: &mut faults }.workflow(file, &root);
    for job in &mut workflow.jobs {
        job.written_name = written_name(&node, &job.id);
    }
    workflow.notes = faults.take_notes();
    if faults.is_empty() { Ok(workflow) } else { Err(faults.end()) }
}

/// Turns checked tokens into the model. What the tables have refused is left out here.
struct Reader<'a, 'f> {
    faults: &'a mut Faults<'f>,
}

impl Reader<'_, '_> {
    fn workflow(&mut self, file: &str, root: &Token) -> Workflow {
        let owned = |key: &str| root.get(key).cloned();
        let name = root.get("name").and_then(Token::text).filter(|name| !name.is_empty());
        let triggers = Triggers::read(root.get("on"), self.faults);
        let jobs = root.get("jobs").map(|jobs| self.jobs(jobs)).unwrap_or_default();
        if let Some(concurrency) = root.get("concurrency") {
            self.concurrency(concurrency);
        }
        Workflow {
            file: file.to_owned(),
            name: name.unwrap_or_else(|| file.to_owned()),
            run_name: owned("run-name"),
            triggers,
            env: filled(owned("env")),
            defaults: filled(owned("defaults")),
            permissions: owned("permissions"),
            concurrency: owned("concurrency"),
            jobs,
            notes: Vec::new(),
        }
    }

    fn concurrency(&mut self, concurrency: &Token) {
        const MAX_LENGTH: usize = 400;
        let group = concurrency.get("group").unwrap_or(concurrency);
        if group.text().is_some_and(|group| group.encode_utf16().count() > MAX_LENGTH) {
            self.faults.add(group.at, format!("the concurrency group has more than {MAX_LENGTH} characters"));
        }
        let has = |key: &str, word: &str| {
            concurrency.get(key).and_then(Token::text).is_some_and(|text| text == word)
        };
        if has("queue", "max") && has("cancel-in-progress", "true") {
            self.faults.add(concurrency.at, crate::run::QUEUE_AND_CANCEL);
        }
    }
}

/// Returns the first line of a job's `name` as it is in the file.
fn written_name(root: &Node, job: &str) -> Option<String> {
    let name = root.get("jobs")?.get(job)?.get("name")?.text()?;
    name.lines().next().map(str::to_owned)
}

/// Leaves out a mapping without entries.
fn filled(token: Option<Token>) -> Option<Token> {
    token.filter(|token| !matches!(&token.content, Content::Map(entries) if entries.is_empty()))
}

#[cfg(test)]
mod tests;
