//! The files that the agent and its hooks share.
//!
//! All are created new in the agent's own directory; an existing file is an
//! error. If the agent is root and the listener is not, a job cannot change them,
//! and only the listener's user can read them. A job can write only into the
//! FIFO, since its hook runs as its user. A job can therefore refuse itself,
//! which ends it, and it can forge its hook's check-in. The check-in guards
//! against an image or a runner that does not run the hook, and not against a
//! job. If agent and job are the same user, the job can change these files and
//! end the agent: nothing is protected then.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ecsrunner_core::rules::policy::Policy;
use ecsrunner_core::wire::boot::{Again, BootItem, Fail};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, geteuid, mkfifo};
use serde::{Deserialize, Serialize};

use crate::container_hook::CONTAINER_HOOK_SUBCOMMAND;
use crate::hook::HOOK_SUBCOMMAND;
use crate::note::{COMPLETED_HOOK_SUBCOMMAND, Note};
use crate::services::offered::{self, Offered};
use crate::services::output::Tails;

/// The rules that the hook applies: the part of the boot item that a job may see.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fail: Option<Fail>,
    /// Jobs that are run again because their runner was lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reruns: Vec<Again>,
}

impl From<BootItem> for Rules {
    fn from(item: BootItem) -> Self {
        Self { policy: item.policy, fail: item.fail, reruns: item.reruns }
    }
}

/// `job-started.sh`: the official runner accepts only hooks that end in `.sh` or `.ps1`.
pub(crate) fn script_path(dir: &Path) -> PathBuf {
    dir.join("job-started.sh")
}

/// `job-completed.sh`, which is there only if jobs get a note.
pub(crate) fn completed_script_path(dir: &Path) -> PathBuf {
    dir.join("job-completed.sh")
}

/// `note.json`, a [`crate::note::Note`], once a hook has asked for it.
pub(crate) fn note_path(dir: &Path) -> PathBuf {
    dir.join("note.json")
}

/// `outputs.json`, [`Tails`], once the container hook has asked for them.
pub(crate) fn outputs_path(dir: &Path) -> PathBuf {
    dir.join("outputs.json")
}

/// `policy.json`, a [`Rules`].
pub(crate) fn rules_path(dir: &Path) -> PathBuf {
    dir.join("policy.json")
}

/// `job`: the running job's display name, once the listener has printed it.
pub(crate) fn job_path(dir: &Path) -> PathBuf {
    dir.join("job")
}

/// `container-hook.sh`, with an extension that the official runner accepts.
pub(crate) fn container_script_path(dir: &Path) -> PathBuf {
    dir.join("container-hook.sh")
}

/// `verdicts`, the FIFO.
pub(crate) fn verdicts_path(dir: &Path) -> PathBuf {
    dir.join("verdicts")
}

/// `refusals`, the FIFO of older agents without `verdicts`: a line is a refusal's reason.
pub(crate) fn refusals_path(dir: &Path) -> PathBuf {
    dir.join("refusals")
}

/// What the hook reports to the agent, as one line of the FIFO.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// The job may run.
    Allowed,
    /// The job is refused, for a reason of one printable sentence.
    Refused(String),
    /// No verdict: the job has ended, and its hook asks for the note. The answer has this text.
    Note(String),
    /// No verdict: the container hook asks for what services have written. The answer has this text.
    Outputs(String),
}

impl Verdict {
    const REFUSED: &str = "refused ";
    const ALLOWED: &str = "allowed";
    const NOTE: &str = "note ";
    const OUTPUTS: &str = "outputs ";
    const SENTENCE_CHARS: usize = 300;

    /// The line, short enough for an atomic write to a FIFO.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Allowed => format!("{}\n", Self::ALLOWED),
            Self::Refused(reason) => format!("{}{}\n", Self::REFUSED, Self::printable(reason)),
            Self::Note(ask) => format!("{}{}\n", Self::NOTE, Self::printable(ask)),
            Self::Outputs(ask) => format!("{}{}\n", Self::OUTPUTS, Self::printable(ask)),
        }
    }

    /// Reads one line. Any other text, which a job can write, is ignored.
    fn parse(line: &str) -> Option<Self> {
        if line == Self::ALLOWED {
            return Some(Self::Allowed);
        }
        if let Some(ask) = line.strip_prefix(Self::NOTE) {
            return Some(Self::Note(Self::printable(ask)));
        }
        if let Some(ask) = line.strip_prefix(Self::OUTPUTS) {
            return Some(Self::Outputs(Self::printable(ask)));
        }
        Some(Self::Refused(Self::printable(line.strip_prefix(Self::REFUSED)?)))
    }

    /// The first 300 characters of the text, without control characters.
    pub(crate) fn printable(text: &str) -> String {
        text.chars().filter(|c| !c.is_control()).take(Self::SENTENCE_CHARS).collect()
    }
}

/// The words of the hooks' commands. The agent's directory is appended to each.
pub(crate) struct HookCommands<'a> {
    pub(crate) job_started: [&'a str; 2],
    /// `None` if jobs get no note.
    pub(crate) job_completed: Option<[&'a str; 2]>,
    pub(crate) container: [&'a str; 2],
}

impl<'a> HookCommands<'a> {
    /// The agent's own subcommands. `has_notes` says whether jobs get a note.
    pub(crate) fn of(executable: &'a str, has_notes: bool) -> Self {
        Self {
            job_started: [executable, HOOK_SUBCOMMAND],
            job_completed: has_notes.then_some([executable, COMPLETED_HOOK_SUBCOMMAND]),
            container: [executable, CONTAINER_HOOK_SUBCOMMAND],
        }
    }
}

/// The directory or a file in it could not be created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentDirError {
    #[error("agent directory `{0}` is not a directory that only this user can write into")]
    Shared(PathBuf),
    #[error("`{path}` cannot be made")]
    File { path: PathBuf, source: io::Error },
}

/// The directory and the agent's end of the FIFO. Dropping it removes the files.
pub(crate) struct AgentDir {
    path: PathBuf,
    fifo: File,
    has_completed_hook: bool,
}

impl AgentDir {
    /// Creates the files. `group` is the listener's, if the listener is another user.
    pub(crate) fn create(
        path: &Path,
        rules: &Rules,
        hooks: &HookCommands<'_>,
        group: Option<Gid>,
    ) -> Result<Self, AgentDirError> {
        let failed = |path: PathBuf| |source| AgentDirError::File { path, source };
        make_directory(path, group)?;
        let own = path.to_string_lossy();
        for (file, [program, subcommand]) in
            [(script_path(path), hooks.job_started), (container_script_path(path), hooks.container)]
        {
            let text = script(&[program, subcommand, &own]);
            write_new(&file, text.as_bytes(), 0o755).map_err(failed(file))?;
        }
        if let Some([program, subcommand]) = hooks.job_completed {
            let file = completed_script_path(path);
            let text = harmless_script(&[program, subcommand, &own]);
            write_new(&file, text.as_bytes(), 0o755).map_err(failed(file))?;
        }
        let text = serde_json::to_vec(rules).map_err(io::Error::other);
        text.and_then(|text| write_new(&rules_path(path), &text, 0o644)).map_err(failed(rules_path(path)))?;
        let fifo = open_fifo(&verdicts_path(path), group).map_err(failed(verdicts_path(path)))?;
        Ok(Self { path: path.to_owned(), fifo, has_completed_hook: hooks.job_completed.is_some() })
    }

    /// The job-started hook's absolute path.
    pub(crate) fn script(&self) -> PathBuf {
        script_path(&self.path)
    }

    /// The job-completed hook's absolute path, if there is one.
    pub(crate) fn completed_script(&self) -> Option<PathBuf> {
        self.has_completed_hook.then(|| completed_script_path(&self.path))
    }

    /// The container hook's absolute path.
    pub(crate) fn container_script(&self) -> PathBuf {
        container_script_path(&self.path)
    }

    /// Writes the job's display name for the hook. GitHub gives a step only the
    /// job's id in the workflow.
    pub(crate) fn write_job(&self, name: &str) -> io::Result<()> {
        let new = self.path.join("job.new");
        write_new(&new, name.as_bytes(), 0o644)?;
        fs::rename(new, job_path(&self.path))
    }

    /// Answers the job-completed hook. An earlier answer is replaced.
    pub(crate) fn write_note(&self, note: &Note) -> io::Result<()> {
        replace(&note_path(&self.path), note)
    }

    /// Answers the container hook. An earlier answer is replaced.
    pub(crate) fn write_outputs(&self, tails: &Tails) -> io::Result<()> {
        replace(&outputs_path(&self.path), tails)
    }

    /// Writes what the container hook needs to know about services.
    pub(crate) fn write_services(&self, offered: &Offered) -> Result<(), AgentDirError> {
        let path = offered::path(&self.path);
        replace(&path, offered).map_err(|source| AgentDirError::File { path, source })
    }

    /// The FIFO, for `poll`.
    pub(crate) fn fifo(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }

    /// Reads the verdicts since the last call, at most 4 KiB.
    pub(crate) fn take_verdicts(&mut self) -> Vec<Verdict> {
        let mut bytes = [0; 4096];
        let read = self.fifo.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..read]).lines().filter_map(Verdict::parse).collect()
    }
}

impl Drop for AgentDir {
    fn drop(&mut self) {
        let scripts = [script_path, completed_script_path, container_script_path];
        let data = [rules_path, job_path, offered::path, verdicts_path, note_path, outputs_path];
        for file in scripts.into_iter().chain(data) {
            let file = file(&self.path);
            // The file may be gone already.
            let _ = fs::remove_file(file);
        }
        let _ = fs::remove_dir(&self.path);
    }
}

/// Creates the directory, which only the agent and `group` can enter. The mode is
/// set regardless of the umask, because the listener's user must reach the hook.
fn make_directory(path: &Path, group: Option<Gid>) -> Result<(), AgentDirError> {
    let failed = |source| AgentDirError::File { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(found) => {
            let own = found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o022 == 0;
            if !own {
                return Err(AgentDirError::Shared(path.to_owned()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            for parent in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
                make_new(parent, 0o755).map_err(failed)?;
            }
            make_new(path, 0o700).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    let mode = if group.is_some() { 0o750 } else { 0o700 };
    if group.is_some() {
        nix::unistd::chown(path, None, group).map_err(|errno| failed(errno.into()))?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)
}

/// Creates a directory with this mode if it does not exist.
fn make_new(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)),
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes JSON to a file that may exist: a hook sees either all of it or the earlier one.
fn replace(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let new = path.with_extension("new");
    let json = serde_json::to_vec(value).map_err(io::Error::other)?;
    let written = write_new(&new, &json, 0o644).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // It would be in the way of the next one.
        let _ = fs::remove_file(&new);
    }
    written
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(mode))
}

/// Creates the FIFO: only the agent can read it, and `group`, if given, can
/// write into it. It is also opened for writing, so that it never reports an end.
fn open_fifo(path: &Path, group: Option<Gid>) -> io::Result<File> {
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    if let Some(group) = group {
        nix::unistd::chown(path, None, Some(group))?;
        fs::set_permissions(path, Permissions::from_mode(0o620))?;
    }
    OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

/// A script that executes this command.
fn script(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    format!("#!/bin/sh\nexec {}\n", words.join(" "))
}

/// A script that executes this command and ends with 0 in any case, also if there is no such program any more.
fn harmless_script(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    format!("#!/bin/sh\n{} || :\nexit 0\n", words.join(" "))
}

/// Quotes a word for a shell's command line.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word_for_the_shell() {
        assert_eq!(quoted("/a b/$(x)"), "'/a b/$(x)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    const HOOKS: HookCommands<'_> = HookCommands {
        job_started: ["agent", "a"],
        job_completed: Some(["agent", "c"]),
        container: ["agent", "b"],
    };

    fn rules() -> Rules {
        Rules {
            policy: serde_json::from_str(r#"{"repositories":["*"]}"#).unwrap(),
            fail: None,
            reruns: Vec::new(),
        }
    }

    #[test]
    fn files_that_are_there_already_are_not_taken_for_ones_own() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        fs::write(rules_path(dir.path()), "{}").unwrap();
        let error = AgentDir::create(dir.path(), &rules(), &HOOKS, None).err().unwrap();
        assert!(error.to_string().ends_with("policy.json` cannot be made"), "{error}");
    }

    #[test]
    fn a_directory_that_others_can_write_into_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(make_directory(dir.path(), None), Err(AgentDirError::Shared(_))));
    }

    #[test]
    fn no_other_user_can_enter_the_directory_whether_it_is_new_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        for _ in 0..2 {
            let made = AgentDir::create(&path, &rules(), &HOOKS, None).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
            assert_eq!(fs::metadata(dir.path().join("a")).unwrap().mode() & 0o777, 0o755);
            drop(made);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        let group = nix::unistd::getegid();
        make_directory(&path, Some(group)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o750);
    }

    #[test]
    fn only_the_words_of_the_hooks_mean_something() {
        let note = Verdict::Note("0f".into());
        let outputs = Verdict::Outputs("0f".into());
        for verdict in [Verdict::Allowed, Verdict::Refused("its event is not allowed".into()), note, outputs]
        {
            assert_eq!(Verdict::parse(verdict.line().trim_end()), Some(verdict));
        }
        for line in ["", "x", "allowed ", "ALLOWED", "refused"] {
            assert_eq!(Verdict::parse(line), None, "{line}");
        }
        assert_eq!(Verdict::Refused("a\nallowed".into()).line(), "refused aallowed\n");
    }
}
