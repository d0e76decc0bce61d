//! A runner's own copy of the official runner, which writes into its own
//! directory: files are linked where the file system allows it, so that a copy
//! costs milliseconds and no space.

use std::fs;
use std::io;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

/// Directories that the runner only reads, and finds by path: a link will do.
const SHARED: [&str; 1] = ["externals"];

/// Lays a runner's directory out, unless it is there, and returns it.
pub(super) fn install(source: &Path, target: &Path, uid: Option<u32>) -> io::Result<PathBuf> {
    if !target.try_exists()? {
        // Laid out beside and renamed, so that a half-done one is never used.
        let half = target.with_extension("half");
        if half.try_exists()? {
            fs::remove_dir_all(&half)?;
        }
        copy_dir(source, &half, uid, true)?;
        fs::rename(&half, target)?;
    }
    Ok(target.to_owned())
}

fn copy_dir(source: &Path, target: &Path, uid: Option<u32>, top: bool) -> io::Result<()> {
    fs::create_dir(target)?;
    own(target, uid)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let name = entry.file_name();
        // What an earlier use of the directory left there is not the runner's.
        if top
            && name.to_str().is_some_and(|name| name == "_work" || name == "_diag" || name.starts_with('.'))
        {
            continue;
        }
        let (from, to) = (entry.path(), target.join(&name));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
        } else if kind.is_dir() && top && name.to_str().is_some_and(|name| SHARED.contains(&name)) {
            symlink(&from, &to)?;
        } else if kind.is_dir() {
            copy_dir(&from, &to, uid, false)?;
        } else {
            link_or_copy(&from, &to)?;
        }
    }
    Ok(())
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    // Another file system, or a file that is not ours to link: copied.
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
    }
    Ok(())
}

fn own(path: &Path, uid: Option<u32>) -> io::Result<()> {
    match uid {
        Some(uid) => chown(path, Some(uid), Some(uid)),
        None => Ok(()),
    }
}
