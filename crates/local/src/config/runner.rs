//! Checks of the runner's directory, its users and its tasks.

use std::collections::HashSet;
use std::path::Path;

use super::entries::{RunnerEntry, TasksEntry};
use super::{LISTENER, Reader};
use crate::{accounts, preflight};

impl Reader<'_> {
    pub(super) fn check_tasks(&mut self, tasks: &TasksEntry) {
        for (key, value, least) in [
            ("max_processes", Some(tasks.max_processes), 64),
            ("max_files", Some(tasks.max_files), 256),
            ("max_process_memory", tasks.max_process_memory, 256),
        ] {
            if let Some(value) = value.filter(|value| *value < least) {
                let what = format_args!(
                    "{value} is too few for the official runner itself: at least {least} is expected"
                );
                self.mistake(&format!("runner.tasks.{key}"), &what);
            }
        }
        for dir in &tasks.writable {
            if !dir.is_absolute() || !dir.is_dir() {
                let what =
                    format_args!("`{}` is not an existing directory with an absolute path", dir.display());
                self.mistake("runner.tasks.writable", &what);
            }
        }
    }

    pub(super) fn check_users(&mut self, runner: &RunnerEntry, max_runners: Option<u32>) {
        if runner.first_uid == Some(0) {
            self.mistake("runner.first_uid", &"0 is root: a user id above all accounts is expected");
        }
        let Some(users) = &runner.users else { return };
        if runner.first_uid.is_some() {
            self.mistake("runner", &"either `users` or `first_uid` is expected, not both");
        }
        let mut seen = HashSet::new();
        for name in users.iter().filter(|name| !seen.insert(name.as_str())) {
            self.mistake("runner.users", &format_args!("`{name}` is named twice"));
        }
        let named = u32::try_from(seen.len()).unwrap_or(u32::MAX);
        if let Some(needed) = max_runners.filter(|needed| named < *needed) {
            let s = if named == 1 { " is" } else { "s are" };
            let command = accounts::command(needed);
            let what = format_args!(
                "{named} account{s} named, but limits.max_runners is {needed}: name {needed} accounts (create \
                 them with `{command}`), or lower limits.max_runners"
            );
            self.mistake("runner.users", &what);
        }
    }

    pub(super) fn check_runner_dir(&mut self, dir: &Path) {
        preflight::check_characters("runner.dir", dir, &mut self.mistakes);
        let listener = dir.join(LISTENER);
        if !listener.is_file() {
            let what =
                format_args!("{} does not exist: an unpacked actions/runner is expected", listener.display());
            self.mistake("runner.dir", &what);
        } else if listener.canonicalize().ok() != dir.canonicalize().ok().map(|dir| dir.join(LISTENER)) {
            // The listener uses the directory above its executable as its root.
            let what = format_args!(
                "{} is behind a symbolic link, as after a self-update of the runner: a freshly unpacked \
                 actions/runner is expected",
                listener.display()
            );
            self.mistake("runner.dir", &what);
        }
    }
}
