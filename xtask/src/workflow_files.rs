//! Shows which workflow files of a directory the demo takes.
//!
//! Each file is read as the fake GitHub reads it, together with the workflows of its repository that it calls. Actions
//! and workflows of other repositories count as given. Nothing is run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use ecsrunner_workflow::model::Callee;
use ecsrunner_workflow::{Found, Problems, Program, repository_root};

use crate::steps::say;

/// The folder of workflows in a repository.
const FOLDER: &str = ".github/workflows";

pub(crate) fn run(directory: Option<&str>) -> anyhow::Result<ExitCode> {
    let directory = Path::new(directory.context("a directory is expected: cargo xtask workflows DIR")?);
    let files = workflow_files(directory)?;
    anyhow::ensure!(!files.is_empty(), "no workflow file is below {}", directory.display());
    let mut refused = 0;
    for file in &files {
        let shown = file.strip_prefix(directory).unwrap_or(file).display();
        match load(file)? {
            Ok(program) => {
                let jobs: usize = program.workflows().map(|workflow| workflow.jobs.len()).sum();
                say(&format!("taken    {shown}  ({jobs} jobs)"));
                let notes = program.workflows().flat_map(|workflow| &workflow.notes);
                notes.for_each(|note| say(&format!("           note: {note}")));
            }
            Err(problems) => {
                refused += 1;
                say(&format!("refused  {shown}"));
                problems.0.iter().for_each(|problem| say(&format!("           {problem}")));
            }
        }
    }
    let taken = files.len() - refused;
    say(&format!("\n{taken} of {} files are taken ({} %)", files.len(), taken * 100 / files.len()));
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads a file and the workflows that it calls. The outer error is a file that cannot be read.
fn load(path: &Path) -> anyhow::Result<Result<Program, Problems>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let root = repository_root(path);
    let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
    Ok(Program::load(&name, &text, |callee| match callee {
        Callee::Local { file } => match fs::read_to_string(root.join(file)) {
            Ok(text) => Found::Text(text),
            Err(error) => Found::Missing(format!("which cannot be read: {error}")),
        },
        Callee::Remote { .. } => Found::Later,
    }))
}

/// Returns all workflow files below a directory: those in folders `.github/workflows`, or if there are none, every
/// YAML file of the directory itself that is not an action.
fn workflow_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else if is_yaml(&path) && folder.ends_with(FOLDER) {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
        let is_action =
            |path: &Path| path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("action"));
        found.extend(
            entries.iter().map(|entry| entry.path()).filter(|path| is_yaml(path) && !is_action(path)),
        );
    }
    found.sort();
    Ok(found)
}

fn is_yaml(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml")
}
