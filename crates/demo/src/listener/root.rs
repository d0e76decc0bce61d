//! The runner's root directory: its environment file, its configuration, and the
//! check of the directories above it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::runner_client::{Configuration, ConfigurationError, FILES};

use super::terminal::Terminal;
use super::{JIT_VARIABLE, RETRYABLE, TERMINATED};

/// The file with lines `NAME=value`, which replace variables of the environment.
const ENVIRONMENT_FILE: &str = ".env";

/// The root, and the environment as the listener sees it.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    pub(super) variables: BTreeMap<String, String>,
}

impl Root {
    pub(super) fn here() -> io::Result<Self> {
        let path = std::env::current_dir()?;
        let mut variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let text = fs::read_to_string(path.join(ENVIRONMENT_FILE)).unwrap_or_default();
        for line in text.lines() {
            match line.split_once('=') {
                Some((name, "")) if !name.is_empty() => {
                    variables.remove(name);
                }
                Some((name, value)) if !name.is_empty() => {
                    variables.insert(name.to_owned(), value.to_owned());
                }
                _ => {}
            }
        }
        Ok(Self { path, variables })
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Checks that the root and every directory above it can be listed.
    pub(super) fn check_directories(&self) -> Result<(), String> {
        for directory in self.path.ancestors() {
            let listed = fs::read_dir(directory).and_then(|mut entries| entries.next().transpose());
            match listed {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    return Err(format!(
                        "Permission to read the directory contents is required for '{}' and each directory up \
                         the hierarchy. Access to the path '{}' is denied.",
                        self.path.display(),
                        directory.display()
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes the configuration's files and reads them. The error is the exit code.
    pub(super) fn configure(&self, terminal: &Terminal) -> Result<Configuration, u8> {
        if let Some(encoded) = self.variable(JIT_VARIABLE).filter(|text| !text.is_empty()) {
            let written =
                Configuration::files(encoded).map_err(|error| error.to_string()).and_then(|files| {
                    files.iter().try_for_each(|(name, bytes)| {
                        self.write(name, bytes).map_err(|error| error.to_string())
                    })
                });
            if let Err(error) = written {
                terminal.error(&error);
                return Err(TERMINATED);
            }
        }
        if !self.path.join(FILES[0]).exists() {
            terminal.error("Not configured. Run config.(sh/cmd) to configure the runner.");
            return Err(TERMINATED);
        }
        let files =
            FILES.iter().filter_map(|name| Some(((*name).to_owned(), fs::read(self.path.join(name)).ok()?)));
        Configuration::read(&files.collect()).map_err(|error| {
            let text = match error {
                ConfigurationError::Missing(name) => {
                    format!("Could not find file '{}'.", self.path.join(name).display())
                }
                other => other.to_string(),
            };
            terminal.error(&format!("An error occurred: {text}"));
            RETRYABLE
        })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path.join(Path::new(name).file_name().ok_or(ErrorKind::InvalidInput)?);
        fs::write(&path, bytes)?;
        // As in the official runner: every user that can enter the directory can read it.
        fs::set_permissions(&path, Permissions::from_mode(0o644))
    }

    /// Removes the configuration, as the listener does at the end of a job or a registration.
    pub(super) fn remove_configuration(&self, terminal: &Terminal) {
        let [runner, credentials, parameters] = FILES;
        // This file is removed first, without a line.
        let _ = fs::remove_file(self.path.join(parameters));
        for name in [credentials, runner] {
            if fs::remove_file(self.path.join(name)).is_ok() {
                terminal.success(&format!("Removed {name}"));
            }
        }
    }
}
