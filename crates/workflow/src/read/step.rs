//! The steps of a job.

use crate::model::{Control, Reference, Step, Work};
use crate::token::{Content, Token};

use super::job::condition;
use super::names::Names;
use super::{Reader, filled};

const MAX_LENGTH: usize = 100;

/// A step before it has its name.
type Unnamed = (Step, bool);

impl Reader<'_, '_> {
    pub(super) fn steps(&mut self, steps: &Token) -> Vec<Step> {
        let mut names = Names::default();
        let mut read: Vec<Unnamed> = Vec::new();
        for item in steps.items().iter().filter(|item| matches!(item.content, Content::Map(_))) {
            match item.get("parallel") {
                Some(parallel) => self.parallel(item, parallel, &mut names, &mut read),
                None => read.extend(self.unnamed(item, &mut names)),
            }
        }
        // Names are made when all ids are known.
        for (step, has_id) in &mut read {
            if !*has_id {
                step.context_name = names.make(&[format!("__{}", made_name(&step.work))], true, MAX_LENGTH);
            }
        }
        let mut steps: Vec<Step> = read.into_iter().map(|(step, _)| step).collect();
        fill_groups(&mut steps);
        self.check_controls(&steps);
        steps
    }

    fn unnamed(&mut self, item: &Token, names: &mut Names) -> Option<Unnamed> {
        let id = item.get("id").and_then(|id| Some((id.text()?, id.at)));
        if let Some((id, at)) = &id
            && let Err(wrong) = names.take(id)
        {
            self.faults.add(*at, wrong);
        }
        let has_id = id.is_some();
        Some((self.step(item, id.map(|(id, _)| id).unwrap_or_default())?, has_id))
    }

    /// Reads a group of steps that are executed side by side. A step that waits for them follows.
    fn parallel(&mut self, item: &Token, parallel: &Token, names: &mut Names, read: &mut Vec<Unnamed>) {
        let group = format!("parallel_{}", read.len() + 1);
        let inner = parallel.items().iter().filter(|item| matches!(item.content, Content::Map(_)));
        let inner: Vec<Unnamed> = inner.filter_map(|item| self.unnamed(item, names)).collect();
        if inner.is_empty() {
            self.faults.add(parallel.at, "`parallel` is empty: at least one step is needed");
        }
        read.extend(inner.into_iter().map(|(mut step, has_id)| {
            step.background = true;
            step.group = Some(group.clone());
            (step, has_id)
        }));
        let work = Work::Control { control: Control::Wait, steps: Vec::new() };
        let mut wait = bare(item, work);
        wait.group = Some(group);
        read.push((wait, false));
    }

    fn step(&mut self, item: &Token, context_name: String) -> Option<Step> {
        let owned = |key: &str| item.get(key).cloned();
        let work = match (item.get("run"), item.get("uses")) {
            (Some(script), _) => Work::Script {
                script: script.clone(),
                shell: owned("shell"),
                working_directory: owned("working-directory"),
            },
            (None, Some(uses)) => {
                Work::Action { reference: self.reference(uses)?, inputs: filled(owned("with")) }
            }
            (None, None) => control(item)?,
        };
        Some(Step {
            context_name,
            condition: condition(item.get("if")),
            env: filled(owned("env")),
            continue_on_error: owned("continue-on-error"),
            timeout_minutes: owned("timeout-minutes"),
            background: item.get("background").and_then(Token::text).as_deref() == Some("true"),
            ..bare(item, work)
        })
    }

    /// Checks that `wait` and `cancel` name steps in the background before them.
    fn check_controls(&mut self, steps: &[Step]) {
        for (at, step) in steps.iter().enumerate() {
            let Work::Control { control, steps: named } = &step.work else { continue };
            for name in named {
                let is_there = steps[..at].iter().any(|step| step.background && step.context_name == *name);
                if !is_there {
                    self.faults.add(
                        step.at,
                        format!("`{}` names `{name}`: the id of a step before it with `background: true` is expected", control.as_str()),
                    );
                }
            }
        }
    }

    fn reference(&mut self, uses: &Token) -> Option<Reference> {
        let text = uses.text()?;
        let reference = reference(&text);
        if reference.is_none() {
            self.faults.add(
                uses.at,
                format!(
                    "`{text}` is not an action: `./FOLDER`, `$/FOLDER`, `OWNER/NAME@REF`, `OWNER/NAME/FOLDER@REF` or \
                     `docker://IMAGE` is expected"
                ),
            );
        }
        reference
    }
}

/// Returns a step without anything but its work and its name.
fn bare(item: &Token, work: Work) -> Step {
    Step {
        at: item.at,
        context_name: String::new(),
        name: item.get("name").cloned().filter(|name| name.text().is_none_or(|text| !text.is_empty())),
        condition: condition(None),
        env: None,
        continue_on_error: None,
        timeout_minutes: None,
        background: false,
        group: None,
        work,
    }
}

fn control(item: &Token) -> Option<Work> {
    let names = |token: &Token| match token.items() {
        [] => token.text().into_iter().collect(),
        items => items.iter().filter_map(Token::text).collect::<Vec<_>>(),
    };
    let (control, steps) = match (item.get("wait"), item.get("cancel"), item.get("wait-all")) {
        (Some(wait), _, _) => (Control::Wait, names(wait)),
        (None, Some(cancel), _) => (Control::Cancel, names(cancel)),
        (None, None, Some(_)) => (Control::WaitAll, Vec::new()),
        (None, None, None) => return None,
    };
    Some(Work::Control { control, steps })
}

/// Tells the step behind each group of `parallel` which steps it waits for.
fn fill_groups(steps: &mut [Step]) {
    for at in 0..steps.len() {
        let Some(group) = steps[at].group.clone() else { continue };
        let members: Vec<String> = steps
            .iter()
            .filter(|step| step.background && step.group.as_deref() == Some(&group))
            .map(|step| step.context_name.clone())
            .collect();
        if let Work::Control { steps, .. } = &mut steps[at].work {
            *steps = members;
        }
    }
}

/// Reads the `uses` of a step.
pub(crate) fn reference(uses: &str) -> Option<Reference> {
    if let Some(folder) = uses.strip_prefix("./").or_else(|| uses.strip_prefix(".\\")) {
        return Some(Reference::Local { folder: folder.trim_end_matches('/').to_owned() });
    }
    if let Some(folder) = uses.strip_prefix("$/").filter(|folder| !folder.is_empty()) {
        return Some(Reference::Own { folder: folder.trim_end_matches('/').to_owned() });
    }
    if let Some(image) = uses.strip_prefix("docker://") {
        return Some(Reference::Image(image.to_owned()));
    }
    let (path, version) = uses.split_once('@')?;
    let mut parts = path.split(['/', '\\']).filter(|part| !part.is_empty());
    let (owner, name) = (parts.next()?, parts.next()?);
    if version.is_empty() || version.contains('@') {
        return None;
    }
    Some(Reference::Repository {
        name: format!("{owner}/{name}"),
        path: parts.collect::<Vec<_>>().join("/"),
        version: version.to_owned(),
    })
}

/// Returns the name that GitHub makes for a step without an id.
fn made_name(work: &Work) -> String {
    match work {
        Work::Script { .. } => "run".to_owned(),
        Work::Action { reference: Reference::Local { .. }, .. } => "self".to_owned(),
        Work::Control { control, .. } => control.as_str().to_owned(),
        Work::Action { reference: Reference::Own { .. }, .. } => "selfRepository".to_owned(),
        Work::Action { reference: Reference::Image(image), .. } => image.clone(),
        Work::Action { reference: Reference::Repository { name, .. }, .. } => name.clone(),
    }
}
