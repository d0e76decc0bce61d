//! Writes the log of each job to a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::follow::Follower;

/// The longest name of a file, without its ending.
const MAX_NAME: usize = 120;

/// Writes all logs to a directory. Returns the path of each job's log.
pub(super) async fn save(follower: &Follower, directory: &Path) -> anyhow::Result<BTreeMap<u64, PathBuf>> {
    let failed = || format!("the logs cannot be written to {}", directory.display());
    fs::create_dir_all(directory).with_context(failed)?;
    let mut paths: BTreeMap<u64, PathBuf> = BTreeMap::new();
    for job in &follower.jobs().run {
        let log = follower.log(job.id).await?;
        if log.is_empty() {
            continue;
        }
        let mut name = file_name(&job.name);
        let taken = |name: &str| paths.values().any(|path| path.file_stem().is_some_and(|stem| stem == name));
        if taken(&name) {
            name = format!("{name} {}", job.id);
        }
        let path = directory.join(format!("{name}.log"));
        fs::write(&path, log).with_context(failed)?;
        paths.insert(job.id, path);
    }
    Ok(paths)
}

/// Returns a job's name without characters that a file's name cannot have.
pub(super) fn file_name(job: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || " -_.()".contains(c) { c } else { '_' };
    let name: String = job.chars().take(MAX_NAME).map(plain).collect();
    let name = name.trim_matches([' ', '.']);
    if name.is_empty() { "job".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_like_its_job() {
        assert_eq!(file_name("build (a/b, 1)"), "build (a_b_ 1)");
        assert_eq!(file_name("../x"), "_x");
        assert_eq!(file_name(""), "job");
    }
}
