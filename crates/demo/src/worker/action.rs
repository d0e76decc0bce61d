//! Downloads actions of other repositories, and finds what an action executes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::runner_client::JobClient;
use crate::workflow::action::{DESCRIPTIONS, JavaScriptAction};

use super::environment::Folders;
use super::order::{Order, StepOrder, Work};

/// An action whose files are on this machine.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    /// The folder with its files.
    pub(super) folder: PathBuf,
    pub(super) action: JavaScriptAction,
}

/// Downloads every action of another repository that the job's steps use.
pub(super) fn download_all(order: &Order, steps: &[StepOrder], folders: &Folders) -> Result<(), String> {
    let mut wanted: Vec<(&str, &str)> = steps
        .iter()
        .filter_map(|step| match &step.work {
            Work::RepositoryAction { name, version, .. } => Some((name.as_str(), version.as_str())),
            _ => None,
        })
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(());
    }
    let endpoint = order
        .variables
        .get("system.github.launch_endpoint")
        .ok_or("the job names no service for downloads of actions")?;
    let client = &order.client;
    let url = format!("{endpoint}actions/build/{}/jobs/{}/runnerresolve/actions", client.plan, client.job);
    let actions: Vec<Value> = wanted
        .iter()
        .map(|(name, version)| json!({"action": name, "version": version, "path": ""}))
        .collect();
    let answer = client.post(&url, &json!({"actions": actions})).map_err(|error| error.to_string())?;
    for (name, version) in wanted {
        let entry = &answer["actions"][format!("{name}@{version}")];
        let url = entry["tar_url"].as_str().ok_or_else(|| format!("`{name}@{version}` was not resolved"))?;
        unpack(client, url, &repository_folder(folders, name, version))
            .map_err(|error| format!("the files of `{name}@{version}` cannot be downloaded: {error}"))?;
    }
    Ok(())
}

fn repository_folder(folders: &Folders, name: &str, version: &str) -> PathBuf {
    folders.work.join("_actions").join(name).join(version)
}

/// Unpacks a gzipped tar without its top folder.
fn unpack(client: &JobClient, url: &str, target: &Path) -> Result<(), String> {
    let bytes = client.download(url).map_err(|error| error.to_string())?;
    let unpacked = || -> io::Result<()> {
        fs::create_dir_all(target)?;
        for entry in tar::Archive::new(GzDecoder::new(bytes.as_slice())).entries()? {
            let mut entry = entry?;
            let path: PathBuf = entry.path()?.components().skip(1).collect();
            let is_inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            if !path.as_os_str().is_empty() && is_inside {
                let file = target.join(path);
                // An archive need not have its folders as entries.
                file.parent().map_or(Ok(()), fs::create_dir_all)?;
                entry.unpack(file)?;
            }
        }
        Ok(())
    };
    unpacked().map_err(|error| error.to_string())
}

/// Reads the action of a step from its files.
pub(super) fn find(folders: &Folders, work: &Work) -> Result<Ready, String> {
    let folder = match work {
        Work::LocalAction { folder } => folders.workspace.join(folder),
        Work::RepositoryAction { name, version, path } => {
            repository_folder(folders, name, version).join(path)
        }
        Work::Script => return Err("a script is not an action".to_owned()),
        Work::Other(kind) => {
            return Err(format!("a step of the type `{kind}` cannot be executed without Docker"));
        }
    };
    let text = DESCRIPTIONS.iter().find_map(|name| fs::read_to_string(folder.join(name)).ok());
    let text = text.ok_or_else(|| {
        format!(
            "Can't find 'action.yml' or 'action.yaml' under '{}'. Did you forget to run actions/checkout before \
             running your local action?",
            folder.display()
        )
    })?;
    let action = JavaScriptAction::read(&text).map_err(|problems| problems.join("; "))?;
    Ok(Ready { folder, action })
}
