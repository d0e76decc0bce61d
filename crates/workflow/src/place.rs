//! Where a workflow file is.

use std::path::Path;

/// Returns the folder of a workflow's repository: what is above `.github`, or else the workflow's own folder.
#[must_use]
pub fn repository_root(workflow: &Path) -> &Path {
    let github = workflow.ancestors().find(|path| path.file_name().is_some_and(|name| name == ".github"));
    github.unwrap_or(workflow).parent().unwrap_or(Path::new("/"))
}
