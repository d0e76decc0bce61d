//! Makes each runner's copy of the official runner, which writes into its own
//! directory. Files are hard links where the file system allows it, so that a
//! copy takes milliseconds and no space.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::HALF;
use super::modes::{PRIVATE_DIR, PRIVATE_FILE, own, set_mode};
use crate::accounts::Account;

/// The directory with the Node.js that actions run on.
pub(crate) const EXTERNALS: &str = "externals";
/// Directories that the runner only reads, and finds by path, so a symbolic link
/// is enough.
const SHARED: [&str; 1] = [EXTERNALS];
/// Settings of the operator, which a runner may change. Each runner gets a copy.
const COPIED: [&str; 2] = [".env", ".path"];

/// Makes a runner's directory, unless it exists, and returns it. Only `account`
/// can enter it; without one, only this process's user.
pub(super) fn install(source: &Path, target: &Path, account: Option<&Account>) -> io::Result<PathBuf> {
    if !target.try_exists()? {
        // Made under another name and then renamed, so that a partial copy is never used.
        let half = target.with_file_name(HALF);
        if half.try_exists()? {
            fs::remove_dir_all(&half)?;
        }
        make_private(&half, account)?;
        fill(source, &half, account, true)?;
        for name in COPIED {
            copy_settings(&source.join(name), &half.join(name), account)?;
        }
        fs::rename(&half, target)?;
    }
    Ok(target.to_owned())
}

/// Makes a directory that only `account` can enter; without one, only this
/// process's user.
pub(super) fn make_private(path: &Path, account: Option<&Account>) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    set_mode(path, PRIVATE_DIR)?;
    own(path, account)
}

/// Finds a file or directory of `source` that `matches`, among those that
/// runners share or copy. Only the links of shared directories are followed.
pub(crate) fn find_shared(source: &Path, matches: &dyn Fn(&Metadata) -> bool) -> io::Result<Option<PathBuf>> {
    let metadata = fs::metadata(source)?;
    if matches(&metadata) {
        return Ok(Some(source.to_owned()));
    }
    if !metadata.is_dir() {
        return Ok(None);
    }
    find_below(source, matches, true)
}

fn find_below(dir: &Path, matches: &dyn Fn(&Metadata) -> bool, top: bool) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if top && is_left_out(&name) && !COPIED.iter().any(|copied| name == *copied) {
            continue;
        }
        let mut metadata = entry.metadata()?;
        if metadata.is_symlink() {
            if !(top && is_shared(&name)) {
                continue;
            }
            // Runners execute programs behind this link.
            match fs::metadata(entry.path()) {
                Ok(target) => metadata = target,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
        }
        if matches(&metadata) {
            return Ok(Some(entry.path()));
        }
        if metadata.is_dir()
            && let Some(found) = find_below(&entry.path(), matches, false)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether runners share this top-level directory.
fn is_shared(name: &OsStr) -> bool {
    SHARED.iter().any(|shared| name == *shared)
}

/// Whether a top-level file belongs to an earlier use of the directory.
fn is_left_out(name: &OsStr) -> bool {
    name == "_work" || name == "_diag" || name.as_encoded_bytes().starts_with(b".")
}

fn fill(source: &Path, target: &Path, account: Option<&Account>, top: bool) -> io::Result<()> {
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let name = entry.file_name();
        if top && is_left_out(&name) {
            continue;
        }
        let (from, to) = (entry.path(), target.join(&name));
        let kind = entry.file_type()?;
        if top && is_shared(&name) && from.is_dir() {
            // A relative path would have another meaning in a runner's directory.
            symlink(&from, &to)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
        } else if kind.is_dir() {
            fs::create_dir(&to)?;
            own(&to, account)?;
            fill(&from, &to, account, false)?;
        } else {
            link_or_copy(&from, &to)?;
        }
    }
    Ok(())
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    // A link fails on another file system, or for files of other users.
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
    }
    Ok(())
}

/// Copies a settings file, if it exists. A link would let the runner change the
/// original.
fn copy_settings(from: &Path, to: &Path, account: Option<&Account>) -> io::Result<()> {
    match fs::copy(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        copied => copied?,
    };
    set_mode(to, PRIVATE_FILE)?;
    own(to, account)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use tempfile::TempDir;

    use super::*;

    /// Makes an unpacked runner with files of an earlier use.
    fn unpacked() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["bin", "externals/node20", "_work/app", "_diag"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let files = ["bin/Runner.Listener", "externals/node20/node", "run.sh", "_work/app/x", "_diag/log"];
        for file in files.into_iter().chain([".env", ".path", ".runner", ".credentials"]) {
            fs::write(dir.path().join(file), file).unwrap();
        }
        dir
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    #[test]
    fn a_runner_gets_copies_of_settings_and_links_to_programs_and_nothing_of_an_earlier_use() {
        let (source, task) = (unpacked(), tempfile::tempdir().unwrap());
        let runner = install(source.path(), &task.path().join("runner"), None).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&runner).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".env", ".path", "bin", "externals", "run.sh"]);
        let inode = |path: &Path| path.metadata().unwrap().ino();
        for (name, is_linked) in
            [("run.sh", true), ("bin/Runner.Listener", true), (".env", false), (".path", false)]
        {
            assert_eq!(inode(&runner.join(name)) == inode(&source.path().join(name)), is_linked, "{name}");
        }
        assert_eq!((mode(&runner), mode(&runner.join(".env"))), (0o700, 0o600));
        // A runner's changes do not reach the source.
        fs::write(runner.join(".env"), "OTHER=1").unwrap();
        assert_eq!(fs::read_to_string(source.path().join(".env")).unwrap(), ".env");
    }

    #[test]
    fn settings_that_are_a_link_are_copied_and_missing_ones_are_no_fault() {
        let (source, task) = (unpacked(), tempfile::tempdir().unwrap());
        fs::remove_file(source.path().join(".path")).unwrap();
        fs::rename(source.path().join(".env"), source.path().join("settings")).unwrap();
        symlink("settings", source.path().join(".env")).unwrap();
        let runner = install(source.path(), &task.path().join("runner"), None).unwrap();
        assert!(runner.join(".env").symlink_metadata().unwrap().is_file());
        assert!(!runner.join(".path").exists());
    }

    #[test]
    fn a_shared_file_that_others_may_write_is_found_and_an_earlier_uses_is_not() {
        let source = unpacked();
        let open = |metadata: &Metadata| metadata.mode() & 0o002 != 0;
        for (file, is_found) in
            [("_work/app/x", false), (".runner", false), (".env", true), ("externals/node20/node", true)]
        {
            let path = source.path().join(file);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
            assert_eq!(find_shared(source.path(), &open).unwrap(), is_found.then(|| path.clone()), "{file}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }

    #[test]
    fn programs_behind_a_linked_externals_are_shared_too_and_tried() {
        let (source, task) = (unpacked(), tempfile::tempdir().unwrap());
        let externals = source.path().join("externals");
        fs::create_dir(source.path().join("_diag/elsewhere")).unwrap();
        fs::rename(&externals, source.path().join("_diag/elsewhere/externals")).unwrap();
        symlink("_diag/elsewhere/externals", &externals).unwrap();
        let runner = install(source.path(), &task.path().join("runner"), None).unwrap();
        assert!(runner.join("externals/node20/node").is_file());
        let node = externals.join("node20/node");
        fs::set_permissions(&node, fs::Permissions::from_mode(0o666)).unwrap();
        let open = |metadata: &Metadata| metadata.mode() & 0o002 != 0;
        assert_eq!(find_shared(source.path(), &open).unwrap(), Some(node));
    }
}
