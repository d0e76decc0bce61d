//! The runner's `.env` file, which must not override the agent's variables.
//!
//! First of all, the listener sets each variable of `<root>/.env`, which
//! replaces those that it was started with (seen with the official runner
//! 2.336). Without this module an image's file could replace the job-started
//! hook, or remove it. Before each start the agent removes the lines that name a
//! variable of its own. The image's other lines stay.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

const FILE: &str = ".env";
const NEW_FILE: &str = ".env.ecsrunner-new";
/// Byte order marks of encodings other than UTF-8 that .NET detects.
const FOREIGN_MARKS: [&[u8]; 3] = [b"\xFF\xFE", b"\xFE\xFF", b"\x00\x00\xFE\xFF"];
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";
const LIMIT_BYTES: u64 = 1024 * 1024;

/// The file is invalid, or the agent's variables cannot be removed from it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvFileError {
    #[error("`{0}` is not a regular file: a regular file, or a symbolic link to one, is expected")]
    NotRegular(PathBuf),
    #[error("`{0}` is a symbolic link to a file that not every user can read: mode o+r is expected")]
    PrivateTarget(PathBuf),
    #[error("`{0}` is larger than 1 MiB")]
    TooLarge(PathBuf),
    #[error("`{0}` is expected to be text in UTF-8")]
    Encoding(PathBuf),
    #[error("`{path}` names variables of the agent and cannot be rewritten")]
    Rewrite { path: PathBuf, source: io::Error },
    #[error("`{path}` cannot be read")]
    Read { path: PathBuf, source: io::Error },
}

/// The content of the files.
#[derive(Debug, Default)]
pub(crate) struct EnvFile {
    /// Names of the removed variables, each once.
    pub(crate) removed: BTreeSet<String>,
    /// The lines that stay, as name and value.
    pub(crate) kept: Vec<(String, Vec<u8>)>,
}

/// Removes the lines of `is_own` variables from the `.env` of a runner.
///
/// The listener's root is the parent of its executable's directory. If `bin` is a
/// symbolic link, that is not `runner_dir`.
pub(crate) fn hold(runner_dir: &Path, is_own: impl Fn(&str) -> bool) -> Result<EnvFile, EnvFileError> {
    let mut found = EnvFile::default();
    let listener = runner_dir.join("bin/Runner.Listener");
    let real = listener.canonicalize().ok();
    let real_root = real.as_deref().and_then(Path::parent).and_then(Path::parent);
    let roots: BTreeSet<&Path> = [Some(runner_dir), real_root].into_iter().flatten().collect();
    for root in roots {
        hold_one(root, &is_own, &mut found)?;
    }
    Ok(found)
}

fn hold_one(root: &Path, is_own: &impl Fn(&str) -> bool, found: &mut EnvFile) -> Result<(), EnvFileError> {
    let path = root.join(FILE);
    let Some((file, text)) = read(&path)? else { return Ok(()) };
    let mut kept = Vec::with_capacity(text.len());
    let mut has_own = false;
    for line in lines(text.strip_prefix(UTF8_MARK).unwrap_or(&text)) {
        match variable(line) {
            Some((name, _)) if is_own(&name) => {
                has_own = true;
                found.removed.insert(name);
                continue;
            }
            Some((name, value)) => found.kept.push((name, value.to_owned())),
            None => {}
        }
        kept.extend_from_slice(line);
        kept.push(b'\n');
    }
    if !has_own {
        return Ok(());
    }
    replace(root, &file, &kept).map_err(|source| EnvFileError::Rewrite { path, source })
}

/// Opens the file and reads it. `None` if it does not exist.
fn read(path: &Path) -> Result<Option<(File, Vec<u8>)>, EnvFileError> {
    let failed = |source: io::Error| EnvFileError::Read { path: path.to_owned(), source };
    // The type is checked before opening, because opening a device can have effects.
    // A dangling link counts as no file, as it does for the listener.
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(EnvFileError::NotRegular(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let flags = OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(EnvFileError::NotRegular(path.to_owned()));
    }
    // The agent can read files that the listener's user cannot, and must not copy them.
    let is_link = fs::symlink_metadata(path).map_err(failed)?.is_symlink();
    if is_link && found.mode() & 0o004 == 0 {
        return Err(EnvFileError::PrivateTarget(path.to_owned()));
    }
    let mut text = Vec::new();
    (&file).take(LIMIT_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > LIMIT_BYTES {
        return Err(EnvFileError::TooLarge(path.to_owned()));
    }
    if FOREIGN_MARKS.iter().any(|mark| text.starts_with(mark)) {
        return Err(EnvFileError::Encoding(path.to_owned()));
    }
    Ok(Some((file, text)))
}

/// .NET ends a line at each carriage return too.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty())
}

/// The variable that a line sets or, if the value is empty, removes.
///
/// .NET ends a name at its first NUL. The listener keeps blanks around a name.
/// They are removed here, so that a line with blanks is found too.
fn variable(line: &[u8]) -> Option<(String, &[u8])> {
    let separator = line.iter().position(|byte| *byte == b'=')?;
    let name = line[..separator].split(|byte| *byte == 0).next()?;
    let name = String::from_utf8_lossy(name).trim().to_owned();
    (!name.is_empty()).then_some((name, &line[separator + 1..]))
}

/// Replaces the file instead of writing into it, because it can be a link to a
/// file that other runners share. The new file takes the place of the link.
fn replace(root: &Path, old: &File, text: &[u8]) -> io::Result<()> {
    let (path, new) = (root.join(FILE), root.join(NEW_FILE));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let before = old.metadata()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(text).and_then(|()| {
        let after = file.metadata()?;
        if (after.uid(), after.gid()) != (before.uid(), before.gid()) {
            fchown(&file, Some(before.uid()), Some(before.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(before.mode() & 0o777))?;
        fs::rename(&new, &path)
    });
    if written.is_err() {
        // The first error is the one to report. A new file that stays does no harm.
        let _ = fs::remove_file(&new);
    }
    written
}

/// The value of a variable: the last line that names it counts.
pub(crate) fn value<'a>(kept: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a OsStr> {
    let (_, value) = kept.iter().rev().find(|(known, _)| known == name)?;
    Some(OsStr::from_bytes(value))
}

#[cfg(test)]
mod tests;
