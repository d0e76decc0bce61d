//! A workflow together with all workflows that it calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::expression::Contexts;
use crate::model::{Body, Call, Callee, Secrets, Workflow};
use crate::permissions::Permissions;
use crate::problem::{Problem, Problems};
use crate::token::Token;
use crate::trigger::CallInterface;

/// GitHub's limit of workflows that call each other in a row, the first one included.
const MAX_DEPTH: usize = 10;
/// How many calls a run may have: workflows that call each other many times grow by powers.
const MAX_CALLS: usize = 1_000;

/// A workflow that can be run, and the workflows that it calls.
#[derive(Clone, Debug)]
pub struct Program {
    pub main: Arc<Workflow>,
    called: BTreeMap<Callee, Arc<Workflow>>,
    /// How many calls a run has, without those of matrices.
    calls: usize,
}

/// Where the text of a called workflow is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    Text(String),
    /// It is not there; the text says what would help.
    Missing(String),
    /// It is not there, but may be when the workflow is run. Its inputs are not checked.
    Later,
}

impl Program {
    /// Reads a workflow and all that it calls. `find` returns the text of a called workflow.
    ///
    /// # Errors
    ///
    /// Returns all problems of the first file that has some.
    pub fn load(file: &str, text: &str, mut find: impl FnMut(&Callee) -> Found) -> Result<Self, Problems> {
        let main = Arc::new(crate::read(file, text)?);
        let mut program = Self { main: Arc::clone(&main), called: BTreeMap::new(), calls: 0 };
        let mut row = vec![Callee::Local { file: file.to_owned() }];
        program.load_called(&main, &mut row, None, &mut find)?;
        Ok(program)
    }

    /// Returns the workflow that a job of a workflow calls. `caller` is the caller itself, if it was called.
    pub(crate) fn called(&self, callee: &Callee, caller: Option<&Callee>) -> Option<Arc<Workflow>> {
        self.called.get(&callee.seen_from(caller)).cloned()
    }

    /// Returns all workflows, the main one first.
    pub fn workflows(&self) -> impl Iterator<Item = &Workflow> {
        std::iter::once(self.main.as_ref()).chain(self.called.values().map(AsRef::as_ref))
    }

    /// Loads what a workflow calls. `row` has the workflows from the first one to the caller.
    fn load_called(
        &mut self,
        caller: &Workflow,
        row: &mut Vec<Callee>,
        allowed: Option<&Permissions>,
        find: &mut impl FnMut(&Callee) -> Found,
    ) -> Result<(), Problems> {
        // The first workflow was called by none.
        let origin = (row.len() > 1).then(|| row.last().cloned()).flatten();
        for job in &caller.jobs {
            let Body::Call(call) = &job.body else { continue };
            let problem =
                |text: String| Problems(vec![Problem { file: caller.file.clone(), at: call.at, text }]);
            let callee = call.uses.seen_from(origin.as_ref());
            if row.contains(&callee) {
                return Err(problem(format!("calls `{callee}`, which calls this workflow: a cycle")));
            }
            if row.len() >= MAX_DEPTH {
                return Err(problem(format!("more than {MAX_DEPTH} workflows call each other in a row")));
            }
            self.calls += 1;
            if self.calls > MAX_CALLS {
                return Err(problem(format!("more than {MAX_CALLS} workflows are called in one run")));
            }
            let workflow = match self.called.get(&callee) {
                Some(known) => Arc::clone(known),
                None => match find(&callee) {
                    Found::Text(text) => Arc::new(crate::read(&callee.to_string(), &text)?),
                    Found::Missing(what) => return Err(problem(format!("calls `{callee}`, {what}"))),
                    Found::Later => continue,
                },
            };
            let Some(interface) = &workflow.triggers.call else {
                let on = workflow.triggers.names().join(", ");
                return Err(problem(format!(
                    "calls `{callee}`, which has no `on: workflow_call`: it runs on {on}"
                )));
            };
            let wrong = mismatches(call, interface);
            if !wrong.is_empty() {
                let problem = |(at, text)| Problem { file: caller.file.clone(), at, text };
                return Err(Problems(wrong.into_iter().map(problem).collect()));
            }
            let own = job.permissions.as_ref().or(caller.permissions.as_ref()).map(Permissions::of);
            let allowed = own.as_ref().or(allowed);
            let default = Permissions::default_policy();
            if let Some(wrong) = excess(&workflow, allowed.unwrap_or(&default)) {
                let hint = if allowed.is_none() { ", since it names no `permissions`" } else { "" };
                let text = format!("calls `{callee}`, {wrong}{hint}");
                return Err(Problems(vec![Problem { file: caller.file.clone(), at: job.at, text }]));
            }
            self.called.insert(callee.clone(), Arc::clone(&workflow));
            row.push(callee);
            self.load_called(&workflow, row, allowed, find)?;
            row.pop();
        }
        Ok(())
    }
}

/// Says which permissions a called workflow asks for that its caller may not give it.
fn excess(workflow: &Workflow, allowed: &Permissions) -> Option<String> {
    let asks = |who: String, token: &Token| {
        let (asked, given) = Permissions::of(token).beyond(allowed)?;
        Some(format!("{who} asks for the permissions {asked}, but the caller gives only {given}"))
    };
    let own = workflow.permissions.as_ref().and_then(|token| asks("which".to_owned(), token));
    own.or_else(|| {
        let jobs = workflow.jobs.iter();
        jobs.filter_map(|job| Some((job, job.permissions.as_ref()?)))
            .find_map(|(job, token)| asks(format!("whose job `{}`", job.id), token))
    })
}

/// Returns what a call gives that the called workflow does not take, and what it does not give.
fn mismatches(call: &Call, interface: &CallInterface) -> Vec<(crate::Position, String)> {
    let mut wrong = Vec::new();
    let given = call.inputs.as_ref().map(Token::entries).unwrap_or_default();
    for (name, value) in given {
        let Some(text) = name.text() else { continue };
        if let Some(input) = interface.inputs.iter().find(|input| input.name.eq_ignore_ascii_case(&text)) {
            if !value.has_expression()
                && let Ok(literal) = value.value(&Contexts::default())
                && let shown = literal.text()
                && input.kind.accept(literal).is_none()
            {
                let expected = input.kind.expected();
                wrong.push((value.at, format!("the input `{text}` is `{shown}`: {expected} is expected")));
            }
        } else {
            let names: Vec<&str> = interface.inputs.iter().map(|input| input.name.as_str()).collect();
            wrong.push((
                name.at,
                format!("the called workflow has no input `{text}`: it takes {}", listed(&names)),
            ));
        }
    }
    let gives = |entries: &[(Token, Token)], name: &str| {
        entries.iter().any(|(key, _)| key.text().is_none_or(|key| key.eq_ignore_ascii_case(name)))
    };
    for input in interface.inputs.iter().filter(|input| input.required && !gives(given, &input.name)) {
        wrong.push((call.at, format!("the called workflow needs the input `{}`", input.name)));
    }
    let Secrets::Given(secrets) = &call.secrets else { return wrong };
    let secrets = secrets.as_ref().map(Token::entries).unwrap_or_default();
    for (name, _) in secrets {
        let Some(text) = name.text() else { continue };
        if !interface.secrets.iter().any(|secret| secret.name.eq_ignore_ascii_case(&text)) {
            let names: Vec<&str> = interface.secrets.iter().map(|secret| secret.name.as_str()).collect();
            wrong.push((
                name.at,
                format!("the called workflow has no secret `{text}`: it takes {}", listed(&names)),
            ));
        }
    }
    for secret in interface.secrets.iter().filter(|secret| secret.required && !gives(secrets, &secret.name)) {
        wrong.push((call.at, format!("the called workflow needs the secret `{}`", secret.name)));
    }
    wrong
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Callee {
    /// Returns the workflow that this one means in the files of another one's repository.
    fn seen_from(&self, origin: Option<&Self>) -> Self {
        match (self, origin) {
            (Self::Local { file }, Some(Self::Remote { repository, version, .. })) => {
                Self::Remote { repository: repository.clone(), file: file.clone(), version: version.clone() }
            }
            _ => self.clone(),
        }
    }
}

impl std::fmt::Display for Callee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local { file } => f.write_str(file),
            Self::Remote { repository, file, version } => write!(f, "{repository}/{file}@{version}"),
        }
    }
}
